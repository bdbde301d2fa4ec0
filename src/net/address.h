// Addresses of listeners and peers: "tcp://HOST:PORT", numeric or a name, IPv6 in brackets. Threads: pure, any (a name
// is looked up by the system, which may take time: only at start).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace petrel::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  bool is_loopback() const;
  std::uint16_t port() const;
  std::string to_string() const;  // "192.0.2.7:1883", "[::1]:1883"
};

// Why an address cannot be used, in words that tell what to write instead.
struct AddressError {
  std::string what;
};

Result<Address, AddressError> parse_address(std::string_view url);

}  // namespace petrel::net
