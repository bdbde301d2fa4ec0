#include "net/address_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace petrel::net {

namespace {

// Whether two addresses of one family agree in their first `bits`.
bool same_prefix(std::string_view a, std::string_view b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (a.substr(0, whole) != b.substr(0, whole)) return false;
  if (bits % 8 == 0) return true;
  const unsigned differing = static_cast<unsigned char>(a[whole]) ^ static_cast<unsigned char>(b[whole]);
  return differing >> (8 - bits % 8) == 0;
}

}  // namespace

Result<AddressRanges, AddressError> AddressRanges::parse(const std::vector<std::string>& texts) {
  AddressRanges ranges;
  for (const std::string& text : texts) {
    if (ranges.add(text)) continue;
    return AddressError{fmt::format(
        "\"{}\" is not a range of addresses; write for example 10.0.0.0/8, 192.0.2.7, 2001:db8::/32 or unix", text)};
  }
  return ranges;
}

bool AddressRanges::add(std::string_view text) {
  if (text == "unix") return unix_ = true;
  const std::size_t slash = text.find('/');
  const auto address = Address::parse_ip(text.substr(0, slash));
  if (!address) return false;
  // As it is written: the prefix counts the bits of that form.
  Range range;
  range.bytes = address->ip_bytes();
  const bool mapped = address->storage.ss_family == AF_INET6 && range.bytes.size() == 4;
  range.bits = static_cast<unsigned>(range.bytes.size() * 8);
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size()) return false;
    if (mapped) {
      if (bits < 96) return false;
      bits -= 96;
    }
    if (bits > range.bits) return false;
    range.bits = bits;
  }
  ranges_.push_back(std::move(range));
  return true;
}

bool AddressRanges::contains(const Address& address) const {
  if (address.is_unix()) return unix_;
  const std::string bytes = address.ip_bytes();
  return !bytes.empty() && std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.bytes.size() == bytes.size() && same_prefix(range.bytes, bytes, range.bits);
  });
}

}  // namespace petrel::net
