#include "net/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace petrel::net {

namespace {

using Status = ParsedProxyHeader::Status;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kWord = "PROXY";
constexpr std::size_t kFixedBytes = 16;
constexpr std::size_t kUnixAddressBytes = 108;

// Section 2.2: types of what follows the addresses.
constexpr unsigned kTypeCrc32c = 0x03, kTypeUniqueId = 0x05, kTypeSsl = 0x20;
constexpr unsigned kSubtypeSslVersion = 0x21, kSubtypeSslCn = 0x22, kSubtypeSslCipher = 0x23;
constexpr std::size_t kMaxUniqueIdBytes = 128;
// Section 2.2.6: bits of pp2_tlv_ssl.client.
constexpr unsigned kClientSsl = 0x01, kClientCertConn = 0x02, kClientCertSess = 0x04;

std::uint16_t u16_at(BytesView bytes, std::size_t at) { return get_u16(bytes.data() + at); }
std::uint32_t u32_at(BytesView bytes, std::size_t at) { return get_u32(bytes.data() + at); }

ParsedProxyHeader refused(std::string_view why) {
  ParsedProxyHeader result;
  result.status = Status::kRefused;
  result.why = why;
  return result;
}

ParsedProxyHeader need_more(BytesView bytes) {
  ParsedProxyHeader result;
  result.consumed = bytes.size();
  return result;
}

// --- version 1

// A number without signs, spaces and leading zeros.
std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && (text.size() == 1 || text.front() != '0') ? std::optional(port) : std::nullopt;
}

std::string_view next_word(std::string_view& line) {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

// `line` without its end.
ParsedProxyHeader parse_line(std::string_view line, std::size_t consumed) {
  ParsedProxyHeader result;
  result.status = Status::kDone;
  result.consumed = consumed;
  result.header.version = 1;
  std::string_view rest = line;
  if (next_word(rest) != kWord) return refused("not \"PROXY\" and a space");
  const std::string_view family = next_word(rest);
  // Whatever follows UNKNOWN is to be ignored.
  if (family == "UNKNOWN") return result;
  if (family != "TCP4" && family != "TCP6") return refused("version 1 knows TCP4, TCP6 and UNKNOWN");
  if (std::count(line.begin(), line.end(), ' ') != 5) return refused("not two addresses and two ports");
  const std::string_view source_text = next_word(rest);
  const std::string_view destination_text = next_word(rest);
  const auto source_port = read_port(next_word(rest));
  const auto destination_port = read_port(next_word(rest));
  const auto source = Address::parse_ip(source_text, source_port.value_or(0));
  const auto destination = Address::parse_ip(destination_text);
  const int wanted = family == "TCP4" ? AF_INET : AF_INET6;
  if (!source || !destination || source->storage.ss_family != wanted || destination->storage.ss_family != wanted)
    return refused("an address that is none of its family");
  if (!source_port || !destination_port) return refused("a port that is none");
  result.header.source = *source;
  return result;
}

ParsedProxyHeader parse_version_1(BytesView bytes) {
  const BytesView within = bytes.substr(0, kMaxProxyLineBytes);
  const std::size_t end = within.find('\n');
  if (end == BytesView::npos)
    return within.size() == kMaxProxyLineBytes ? refused("version 1 without a line end within 107 bytes")
                                               : need_more(bytes);
  if (end == 0 || within[end - 1] != '\r') return refused("a line that ends without CR");
  return parse_line(within.substr(0, end - 1), end + 1);
}

// --- version 2

// CRC-32C (Castagnoli), reflected, as RFC 4960 has it in its appendix B.
constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}();

// Of the whole header, with zeros where its own four bytes stand.
std::uint32_t checksum(BytesView header, std::size_t own_at) {
  std::uint32_t crc = 0xffffffff;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const unsigned byte = i >= own_at && i < own_at + 4 ? 0 : byte_at(header, i);
    crc = (crc >> 8) ^ kCrcTable[(crc ^ byte) & 0xff];
  }
  return ~crc;
}

struct Tlv {
  unsigned type = 0;
  BytesView value;
};
// Cuts the next off; nothing if what is left is none.
std::optional<Tlv> next_tlv(BytesView& rest) {
  if (rest.size() < 3) return std::nullopt;
  const std::size_t size = u16_at(rest, 1);
  if (rest.size() - 3 < size) return std::nullopt;
  const Tlv tlv{byte_at(rest, 0), rest.substr(3, size)};
  rest.remove_prefix(3 + size);
  return tlv;
}

// What is wrong, or nothing.
std::string_view read_ssl(BytesView value, ProxyHeader& header) {
  if (value.size() < 5) return "PP2_TYPE_SSL is too short";
  const unsigned client = byte_at(value, 0);
  const bool verified = u32_at(value, 1) == 0 && (client & (kClientCertConn | kClientCertSess)) != 0;
  BytesView rest = value.substr(5);
  while (!rest.empty()) {
    const auto tlv = next_tlv(rest);
    if (!tlv) return "PP2_TYPE_SSL holds a part that is longer than it";
    if ((client & kClientSsl) == 0) continue;
    if (tlv->type == kSubtypeSslVersion) header.tls_version = tlv->value;
    if (tlv->type == kSubtypeSslCipher) header.cipher = tlv->value;
    if (tlv->type != kSubtypeSslCn || !verified) continue;
    if (!header.common_name.empty()) return "two common names";
    if (!is_mqtt_utf8(tlv->value)) return "a common name that is no text";
    header.common_name = tlv->value;
  }
  return {};
}

std::string_view read_tlvs(BytesView whole, BytesView rest, ProxyHeader& header) {
  bool has_ssl = false;
  while (!rest.empty()) {
    const auto tlv = next_tlv(rest);
    if (!tlv) return "a TLV that is longer than the header";
    if (tlv->type == kTypeCrc32c) {
      if (tlv->value.size() != 4) return "PP2_TYPE_CRC32C is not four bytes";
      const auto at = static_cast<std::size_t>(tlv->value.data() - whole.data());
      if (checksum(whole, at) != u32_at(tlv->value, 0)) return "the checksum (PP2_TYPE_CRC32C) does not hold";
    }
    if (tlv->type == kTypeUniqueId && tlv->value.size() > kMaxUniqueIdBytes) return "PP2_TYPE_UNIQUE_ID is too long";
    if (tlv->type != kTypeSsl) continue;
    if (std::exchange(has_ssl, true)) return "PP2_TYPE_SSL twice";
    if (const std::string_view why = read_ssl(tlv->value, header); !why.empty()) return why;
  }
  return {};
}

struct Family {
  std::size_t address_bytes = 0;  // of both ends together
  bool known = false;
  bool has_source = false;
};
Family family_of(unsigned byte) {
  constexpr std::array<std::size_t, 4> kBytes = {0, 12, 36, 2 * kUnixAddressBytes};
  const unsigned family = byte >> 4;
  const unsigned transport = byte & 0xf;
  // Values above are to be rejected.
  if (family > 3 || transport > 2) return {};
  return {kBytes[family], true, family != 0 && transport != 0};
}

Address source_of(unsigned byte, BytesView block) {
  switch (byte >> 4) {
    case 1:
      return Address::of_ip(block.substr(0, 4), static_cast<std::uint16_t>(u16_at(block, 8)));
    case 2:
      return Address::of_ip(block.substr(0, 16), static_cast<std::uint16_t>(u16_at(block, 32)));
    default:
      // A name that ends with its first zero; an abstract one begins with it.
      return Address::of_unix(block.substr(0, kUnixAddressBytes));
  }
}

ParsedProxyHeader parse_version_2(BytesView bytes) {
  // Told from the first byte that is wrong: more is not waited for.
  if (bytes.size() > 12 && (byte_at(bytes, 12) >> 4) != 2) return refused("version 2 with another version");
  if (bytes.size() > 12 && (byte_at(bytes, 12) & 0xf) > 1) return refused("neither LOCAL nor PROXY");
  if (bytes.size() < kFixedBytes) return need_more(bytes);
  const bool is_local = (byte_at(bytes, 12) & 0xf) == 0;
  const unsigned family_byte = byte_at(bytes, 13);
  const std::size_t size = kFixedBytes + u16_at(bytes, 14);
  if (size > kMaxProxyHeaderBytes) return refused("the header is larger than 8192 bytes");
  const Family family = family_of(family_byte);
  if (!is_local && !family.known) return refused("an address family or transport that is not known");
  if (!is_local && size < kFixedBytes + family.address_bytes)
    return refused("the header is too short for its addresses");
  if (bytes.size() < size) return need_more(bytes);

  ParsedProxyHeader result;
  result.status = Status::kDone;
  result.consumed = size;
  result.header.is_local = is_local;
  // What a LOCAL header carries is to be skipped (section 2.2).
  if (is_local) return result;
  const BytesView whole = bytes.substr(0, size);
  const BytesView block = whole.substr(kFixedBytes);
  if (family.has_source) result.header.source = source_of(family_byte, block);
  const std::string_view why = read_tlvs(whole, block.substr(family.address_bytes), result.header);
  return why.empty() ? result : refused(why);
}

}  // namespace

ParsedProxyHeader parse_proxy_header(BytesView bytes) {
  if (bytes.empty()) return {};
  const auto begins = [&](std::string_view word) {
    const std::size_t both = std::min(word.size(), bytes.size());
    return bytes.substr(0, both) == word.substr(0, both);
  };
  if (begins(kSignature)) return bytes.size() < kSignature.size() ? need_more(bytes) : parse_version_2(bytes);
  if (begins(kWord)) return parse_version_1(bytes);
  return refused("the connection does not begin with one");
}

}  // namespace petrel::net
