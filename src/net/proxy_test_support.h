// Headers of the PROXY protocol, version 2, for tests. Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/address.h"

namespace petrel::net {

inline std::string proxy_u16(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

inline std::string proxy_v2(unsigned char command, unsigned char family, const std::string& following) {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header += static_cast<char>(command);
  header += static_cast<char>(family);
  return header + proxy_u16(following.size()) + following;
}

inline std::string proxy_ip4(const char* source, std::uint16_t port) {
  return Address::parse_ip(source)->ip_bytes() + Address::parse_ip("198.51.100.1")->ip_bytes() + proxy_u16(port) +
         proxy_u16(1883);
}

inline std::string proxy_ip6(const char* source, std::uint16_t port) {
  return Address::parse_ip(source)->ip_bytes() + Address::parse_ip("2001:db8::1")->ip_bytes() + proxy_u16(port) +
         proxy_u16(1883);
}

inline std::string proxy_unix(std::string path) {
  path.resize(108);
  return path + std::string(108, '\0');
}

inline std::string proxy_tlv(unsigned char type, const std::string& value) {
  return std::string(1, static_cast<char>(type)) + proxy_u16(value.size()) + value;
}

inline std::string proxy_ssl(unsigned char client, std::uint32_t verify, const std::string& parts) {
  return std::string(1, static_cast<char>(client)) + proxy_u16(verify >> 16) + proxy_u16(verify & 0xffff) + parts;
}

// Bit by bit, as the definition says.
inline std::uint32_t proxy_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
  }
  return ~crc;
}

}  // namespace petrel::net
