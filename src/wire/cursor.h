// Reading and writing the basic types of MQTT (5.0, 1.5). Internal to wire/.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/utf8.h"
#include "wire/packet.h"

namespace petrel::wire {

inline constexpr std::uint32_t kMaxVariableByteInteger = 268'435'455;
// With its fixed header no packet is larger (2.1.4).
inline constexpr std::uint32_t kMaxPacketBytes = kMaxVariableByteInteger + 5;

inline Error malformed(std::string_view what) { return {ReasonCode::kMalformedPacket, what}; }
inline Error protocol_error(std::string_view what) { return {ReasonCode::kProtocolError, what}; }

// Reads from the front of what remains; every read compares with what remains and, once one has failed, all later ones
// fail too: a decoder may read a group of fields and ask ok() once.
class Cursor {
 public:
  explicit Cursor(BytesView bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }
  BytesView rest() const { return bytes_; }
  const char* position() const { return bytes_.data(); }

  std::uint8_t u8() {
    if (!has(1)) return 0;
    const std::uint8_t value = byte_at(bytes_, 0);
    bytes_.remove_prefix(1);
    return value;
  }
  std::uint16_t u16() {
    if (!has(2)) return 0;
    const std::uint16_t value = get_u16(bytes_.data());
    bytes_.remove_prefix(2);
    return value;
  }
  std::uint32_t u32() {
    if (!has(4)) return 0;
    const std::uint32_t value = get_u32(bytes_.data());
    bytes_.remove_prefix(4);
    return value;
  }
  // At most four bytes, in the shortest form [MQTT-1.5.5-1].
  std::uint32_t variable_byte_integer() {
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      if (!has(1)) return 0;
      const std::uint8_t byte = u8();
      value |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        if (byte == 0 && shift != 0) ok_ = false;
        return value;
      }
    }
    ok_ = false;
    return 0;
  }
  BytesView binary() { return take(u16()); }
  // UTF-8 string; malformed text fails the cursor.
  std::string_view string() {
    const std::string_view text = binary();
    if (ok_ && !is_mqtt_utf8(text)) ok_ = false;
    return text;
  }
  BytesView take(std::size_t size) {
    if (!has(size)) return {};
    const BytesView value = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return value;
  }

 private:
  bool has(std::size_t size) {
    if (ok_ && bytes_.size() >= size) return true;
    ok_ = false;
    return false;
  }
  BytesView bytes_;
  bool ok_ = true;
};

inline std::size_t variable_byte_integer_size(std::size_t value) {
  return value < 128 ? 1 : (value < 16'384 ? 2 : (value < 2'097'152 ? 3 : 4));
}
inline char* put_variable_byte_integer(char* out, std::size_t value) {
  for (; value >= 128; value >>= 7) out = put_u8(out, static_cast<std::uint8_t>((value & 0x7f) | 0x80));
  return put_u8(out, static_cast<std::uint8_t>(value));
}
inline std::size_t string_size(std::string_view text) { return 2 + text.size(); }
inline char* put_string(char* out, std::string_view text) {
  return put_bytes(put_u16(out, static_cast<std::uint16_t>(text.size())), text);
}

}  // namespace petrel::wire
