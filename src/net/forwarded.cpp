#include "net/forwarded.h"

#include <charconv>
#include <optional>
#include <string>
#include <vector>

namespace petrel::net {

namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the next element off a list. Quotation marks protect no separator: there is none in an address, and a mark that
// the client has left open must not swallow what the proxies have appended.
std::string_view next_element(std::string_view& list, char separator) {
  const std::size_t end = list.find(separator);
  const std::string_view element = trimmed(list.substr(0, end));
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  return element;
}

// "192.0.2.7", "192.0.2.7:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711".
std::optional<Address> read_node(std::string_view text) {
  if (const auto plain = Address::parse_ip(text)) return plain;
  std::string_view host = text;
  std::string_view port_text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = text.substr(1, end - 1);
    port_text = text.substr(end + 1);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    host = text.substr(0, colon);
    port_text = text.substr(colon);
  }
  if (port_text.empty()) return Address::parse_ip(host);
  if (!port_text.starts_with(':')) return std::nullopt;
  port_text.remove_prefix(1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  // RFC 7239 lets a port be hidden ("_name"): then it is not told.
  if (error != std::errc{} || end != port_text.data() + port_text.size()) port = 0;
  return Address::parse_ip(host, port);
}

bool is_for(std::string_view name) {
  return name.size() == 3 && (name[0] | 0x20) == 'f' && (name[1] | 0x20) == 'o' && (name[2] | 0x20) == 'r';
}

// The value of "for" in an element of Forwarded; empty: there is none.
std::string_view for_of(std::string_view element) {
  while (!element.empty()) {
    const std::string_view pair = next_element(element, ';');
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !is_for(trimmed(pair.substr(0, equals)))) continue;
    std::string_view value = trimmed(pair.substr(equals + 1));
    if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

}  // namespace

std::string_view name_of(ForwardedHeader header) {
  return header == ForwardedHeader::kForwarded ? "forwarded" : "x-forwarded-for";
}

Address forwarded_client(const Address& peer, ForwardedHeader header, std::span<const std::string_view> values,
                         const AddressRanges& trusted) {
  if (values.empty() || !trusted.contains(peer)) return peer;
  std::vector<std::string_view> nodes;
  for (std::string_view list : values) {
    while (!list.empty()) {
      const std::string_view element = next_element(list, ',');
      if (!element.empty()) nodes.push_back(header == ForwardedHeader::kForwarded ? for_of(element) : element);
    }
  }
  Address client = peer;
  for (auto node = nodes.rbegin(); node != nodes.rend() && trusted.contains(client); ++node) {
    const auto address = read_node(*node);
    // "unknown", a hidden name, nonsense: from here on nothing is known.
    if (!address) break;
    client = *address;
  }
  return client;
}

}  // namespace petrel::net
