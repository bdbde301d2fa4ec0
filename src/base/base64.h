// Base64 (RFC 4648, 4), with padding.
//
// Threads: any; pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace petrel {

inline constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kBase64[three >> (18 - 6 * j) & 63U];
  }
  return out;
}

// Nothing for what no encoder writes.
inline std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t three = 0;
    std::size_t digits = 4;
    if (i + 4 == text.size()) digits = text[i + 3] != '=' ? 4 : text[i + 2] != '=' ? 3 : 2;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::size_t value = j < digits ? kBase64.find(text[i + j]) : 0;
      if (value == std::string_view::npos) return std::nullopt;
      three = three << 6 | static_cast<std::uint32_t>(value);
    }
    const std::uint32_t beyond = digits == 4 ? 0 : digits == 3 ? 0xffU : 0xffffU;
    if ((three & beyond) != 0) return std::nullopt;
    for (std::size_t j = 0; j + 1 < digits; ++j) out += static_cast<char>(three >> (16 - 8 * j) & 0xffU);
  }
  return out;
}

}  // namespace petrel
