#include "net/local_pages.h"

#include <algorithm>

#include "net/address.h"

namespace petrel::net {

namespace {

constexpr std::string_view kAfterScheme = "://", kLocalhost = "localhost";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// What stands behind the scheme; nothing without one.
std::string_view authority_of(std::string_view origin) {
  const std::size_t scheme = origin.find(kAfterScheme);
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + kAfterScheme.size());
}

// localhost, and the names below it, which browsers look up nowhere (RFC 6761, 6.3).
bool is_localhost(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() <= kLocalhost.size()) return same_word(host, kLocalhost);
  return host[host.size() - kLocalhost.size() - 1] == '.' &&
         same_word(host.substr(host.size() - kLocalhost.size()), kLocalhost);
}

}  // namespace

std::string_view host_of(std::string_view authority) {
  if (!authority.starts_with('[')) return authority.substr(0, authority.rfind(':'));  // paho writes http://::1:8080
  const std::size_t end = authority.find(']');
  return end == std::string_view::npos ? std::string_view() : authority.substr(1, end - 1);
}

bool is_origin_of_this_machine(std::string_view origin) {
  const std::string_view host = host_of(authority_of(origin));
  if (same_word(host, kLocalhost)) return true;
  const auto address = Address::parse_ip(host);
  return address && address->is_loopback();
}

LocalPages::LocalPages(std::vector<std::string> names, std::vector<std::string> origins)
    : admits_all_(std::find(origins.begin(), origins.end(), "*") != origins.end()),
      names_(std::move(names)),
      origins_(std::move(origins)) {}

bool LocalPages::admits_host(std::string_view host) const {
  host = host_of(host);
  if (admits_all_ || is_localhost(host) || Address::parse_ip(host)) return true;
  if (host.empty()) return false;
  return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) { return same_word(name, host); }) ||
         std::any_of(origins_.begin(), origins_.end(),
                     [&](const std::string& origin) { return same_word(host_of(authority_of(origin)), host); });
}

bool LocalPages::admits_origin(std::string_view origin) const {
  return admits_all_ || is_origin_of_this_machine(origin) ||
         std::any_of(origins_.begin(), origins_.end(), [&](const std::string& one) { return same_word(one, origin); });
}

}  // namespace petrel::net
