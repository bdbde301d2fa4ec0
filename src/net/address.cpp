#include "net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

namespace petrel::net {

Address Address::of_ip(BytesView bytes, std::uint16_t port) {
  Address address;
  if (bytes.size() == sizeof(in_addr)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
  } else if (bytes.size() == sizeof(in6_addr)) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
  }
  return address;
}

Address Address::of_unix(std::string_view path) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  path.copy(local.sun_path, sizeof local.sun_path - 1);
  Address address;
  std::memcpy(&address.storage, &local, sizeof local);
  address.size = sizeof local;
  return address;
}

std::optional<Address> Address::parse_ip(std::string_view text, std::uint16_t port) {
  char bytes[sizeof(in6_addr)];
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos) return std::nullopt;
  text.copy(terminated, text.size());
  if (inet_pton(AF_INET, terminated, bytes) == 1) return of_ip({bytes, sizeof(in_addr)}, port);
  if (inet_pton(AF_INET6, terminated, bytes) == 1) return of_ip({bytes, sizeof(in6_addr)}, port);
  return std::nullopt;
}

Address Address::of_peer(int fd) {
  Address address;
  address.size = sizeof address.storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) < 0) address.size = 0;
  return address;
}

std::string Address::ip_bytes() const {
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr};
  }
  if (storage.ss_family != AF_INET6) return {};
  sockaddr_in6 v6{};
  std::memcpy(&v6, &storage, sizeof v6);
  const std::string bytes(reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr);
  return IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) != 0 ? bytes.substr(sizeof(in6_addr) - sizeof(in_addr)) : bytes;
}

bool Address::is_loopback() const {
  if (is_unix()) return true;
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &storage, sizeof v6);
  return storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

std::uint16_t Address::port() const {
  if (is_unix()) return 0;
  // The port lies at the same place in both families.
  sockaddr_in v4{};
  std::memcpy(&v4, &storage, sizeof v4);
  return ntohs(v4.sin_port);
}

std::string Address::path() const {
  sockaddr_un local{};
  std::memcpy(&local, &storage, sizeof local);
  return is_unix() ? local.sun_path : "";
}

std::string Address::host() const {
  if (is_unix()) return path();
  char text[INET6_ADDRSTRLEN] = "?";
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  }
  return text;
}

std::string Address::peer_text() const {
  if (is_unix()) return path().empty() ? "unix" : "unix " + path();
  return port() == 0 ? host() : to_string();
}

std::string Address::to_string() const {
  if (storage.ss_family == AF_INET) return fmt::format("{}:{}", host(), port());
  return storage.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host(), port()) : host();
}

namespace {

struct NamedScheme {
  Scheme scheme;
  std::string_view prefix;
};
constexpr NamedScheme kSchemes[] = {
    {Scheme::kTcp, "tcp://"},   {Scheme::kTls, "tls://"},     {Scheme::kWs, "ws://"},     {Scheme::kWss, "wss://"},
    {Scheme::kHttp, "http://"}, {Scheme::kHttps, "https://"}, {Scheme::kUnix, "unix://"},
};

std::string_view prefix_of(Scheme scheme) {
  for (const NamedScheme& named : kSchemes)
    if (named.scheme == scheme) return named.prefix;
  return {};
}

// What is wrong with a path of a Unix socket, or nothing.
std::string_view read_path(std::string_view path, Address& address) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  if (!path.starts_with('/') || path.ends_with('/')) return "the path does not begin with a slash or ends with one";
  if (path.size() >= sizeof local.sun_path) return "the path is longer than the system allows";
  path.copy(local.sun_path, path.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  std::memcpy(&address.storage, &local, sizeof local);
  return {};
}

// The same for HOST:PORT.
std::string read_host_and_port(std::string_view text, Address& address) {
  if (text.find('/') != std::string_view::npos) return "a path does not belong there";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) return "the port is missing";
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc{} || end != port_text.data() + port_text.size())
    return "the port is not a number from 0 to 65535";
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return "an IPv6 address stands in brackets";
  }
  if (host.empty()) return "the host is missing";

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(std::string(host).c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) return fmt::format("host \"{}\": {}", host, gai_strerror(status));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(found, freeaddrinfo);
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.size = found->ai_addrlen;
  return {};
}

}  // namespace

std::string Endpoint::to_string() const { return std::string(prefix_of(scheme)) + address.to_string(); }

Result<Endpoint, AddressError> parse_endpoint(std::string_view url) {
  const auto bad = [&](std::string_view why) {
    return AddressError{
        fmt::format("\"{}\" is not an address to listen on: {}; write tcp://HOST:PORT, for example "
                    "tcp://127.0.0.1:1883 or tcp://[::1]:1883, or the same with tls://, ws://, wss://, http:// or "
                    "https://, or unix:///PATH",
                    url, why)};
  };
  for (const NamedScheme& named : kSchemes) {
    if (!url.starts_with(named.prefix)) continue;
    Endpoint endpoint;
    endpoint.scheme = named.scheme;
    const std::string_view rest = url.substr(named.prefix.size());
    const std::string why = named.scheme == Scheme::kUnix ? std::string(read_path(rest, endpoint.address))
                                                          : read_host_and_port(rest, endpoint.address);
    if (!why.empty()) return bad(why);
    return endpoint;
  }
  if (url.starts_with("mqtt://")) return bad("it does not begin with tcp://, as mqtt:// is called here");
  if (url.starts_with("mqtts://")) return bad("it does not begin with tls://, as mqtts:// is called here");
  return bad("it does not begin with tcp:// or another of the known schemes");
}

}  // namespace petrel::net
