// Addresses of listeners and peers: "tls://HOST:PORT", numeric or a name, IPv6 in brackets; "unix:///PATH". Threads:
// pure, any (a name is looked up by the system, which may take time: only at start).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace petrel::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  // The 4 or 16 bytes of an IP address, as they travel.
  static Address of_ip(BytesView bytes, std::uint16_t port);
  // The path may be empty, of a socket without a name; what is too long is cut.
  static Address of_unix(std::string_view path);
  // "192.0.2.7" or "2001:db8::1", nothing else.
  static std::optional<Address> parse_ip(std::string_view text, std::uint16_t port = 0);
  // The other end of a connection; empty if the system does not tell.
  static Address of_peer(int fd);

  bool empty() const { return size == 0; }
  bool is_unix() const { return storage.ss_family == AF_UNIX; }
  // Of this machine alone: a loopback address, or a Unix socket.
  bool is_loopback() const;
  std::uint16_t port() const;  // 0 of Unix sockets
  std::string path() const;    // of Unix sockets
  // The bytes that of_ip() takes; those of an IPv4 address where it is written as an IPv6 one (::ffff:192.0.2.7). Empty
  // for Unix sockets.
  std::string ip_bytes() const;
  std::string host() const;       // "192.0.2.7", "::1", "/run/petrel.sock"
  std::string peer_text() const;  // for logs: the port only if it is known, "unix /run/app.sock"
  std::string to_string() const;  // "192.0.2.7:1883", "[::1]:1883", "/run/petrel.sock"
};

// What an address's clients speak below MQTT.
enum class Scheme : std::uint8_t { kTcp, kTls, kWs, kWss, kHttp, kHttps, kUnix };

struct Endpoint {
  Scheme scheme = Scheme::kTcp;
  Address address;

  bool is_tls() const { return scheme == Scheme::kTls || scheme == Scheme::kWss || scheme == Scheme::kHttps; }
  bool is_websocket() const { return scheme == Scheme::kWs || scheme == Scheme::kWss; }
  bool is_http() const { return scheme == Scheme::kHttp || scheme == Scheme::kHttps; }
  std::string to_string() const;  // "tls://192.0.2.7:8883"
};

// Why an address cannot be used, in words that tell what to write instead.
struct AddressError {
  std::string what;
};

Result<Endpoint, AddressError> parse_endpoint(std::string_view url);

}  // namespace petrel::net
