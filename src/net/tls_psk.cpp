#include "net/tls_psk.h"

#include <fmt/format.h>

#include <optional>

namespace petrel::net {

namespace {

// What OpenSSL takes at most, and TLS clients send.
constexpr std::size_t kMaxIdentityBytes = 128;
constexpr std::size_t kMaxKeyBytes = 256;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace

Result<PskTable, std::string> PskTable::parse(std::string_view text) {
  PskTable table;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const auto bad = [&](std::string_view why) {
      return fmt::format("line {}: {}; write IDENTITY:HEXKEY", number, why);
    };
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("there is no colon");
    const std::string_view identity = line.substr(0, colon);
    if (identity.empty() || identity.size() > kMaxIdentityBytes || identity.find('\0') != std::string_view::npos)
      return bad("the identity must have 1 to 128 bytes");
    auto key = from_hex(line.substr(colon + 1));
    if (!key) return bad("the key is not an even number of hexadecimal digits");
    if (key->size() > kMaxKeyBytes) return bad("the key has more than 256 bytes");
    if (!table.keys_.emplace(identity, std::move(*key)).second)
      return bad(fmt::format("identity \"{}\" comes twice", identity));
  }
  return table;
}

const std::string* PskTable::find(std::string_view identity) const {
  const auto found = keys_.find(std::string(identity));
  return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace petrel::net
