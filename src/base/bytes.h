// Views of bytes. MQTT strings, binary data and whole packets are all handled as std::string_view: petrel never
// copies what it only looks at. A view is valid as long as the buffer it points into, and every function that
// returns one says whose buffer that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace petrel {

using BytesView = std::string_view;

inline std::uint8_t byte_at(BytesView bytes, std::size_t index) { return static_cast<std::uint8_t>(bytes[index]); }

// MQTT integers are big-endian (MQTT 5.0, 1.5.2 and 1.5.3).
inline char* put_u8(char* out, std::uint8_t value) {
  *out = static_cast<char>(value);
  return out + 1;
}
inline char* put_u16(char* out, std::uint16_t value) {
  out[0] = static_cast<char>(value >> 8);
  out[1] = static_cast<char>(value & 0xff);
  return out + 2;
}
inline char* put_u32(char* out, std::uint32_t value) {
  return put_u16(put_u16(out, static_cast<std::uint16_t>(value >> 16)), static_cast<std::uint16_t>(value & 0xffff));
}
inline char* put_bytes(char* out, BytesView bytes) { return out + bytes.copy(out, bytes.size()); }

inline std::uint16_t get_u16(const char* in) {
  return static_cast<std::uint16_t>((static_cast<std::uint8_t>(in[0]) << 8) | static_cast<std::uint8_t>(in[1]));
}
inline std::uint32_t get_u32(const char* in) {
  return (static_cast<std::uint32_t>(get_u16(in)) << 16) | get_u16(in + 2);
}

}  // namespace petrel
