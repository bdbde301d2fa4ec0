#include "http/encoding.h"

#include <algorithm>

namespace petrel::http {

namespace {

constexpr int kUnsaid = -1;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_part(std::string_view& list, char separator) {
  const std::size_t end = std::min(list.find(separator), list.size());
  const std::string_view part = trimmed(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return part;
}

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// "0.5" in thousandths (12.4.2); nothing: malformed.
std::optional<int> quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int thousandths = (text[0] - '0') * 1000, place = 100;
  for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    thousandths += (c - '0') * place;
    place /= 10;
  }
  return thousandths > 1000 ? std::nullopt : std::optional(thousandths);
}

}  // namespace

std::string_view name(Encoding encoding) {
  constexpr std::array<std::string_view, 3> kNames{"identity", "gzip", "br"};
  return kNames[static_cast<std::size_t>(encoding)];
}

std::string_view file_ending(Encoding encoding) {
  constexpr std::array<std::string_view, 3> kEndings{"", ".gz", ".br"};
  return kEndings[static_cast<std::size_t>(encoding)];
}

AcceptedEncodings::AcceptedEncodings(const Request& request) {
  std::array<int, 3> said{kUnsaid, kUnsaid, kUnsaid};
  int others = kUnsaid;
  bool any = false;
  for (const auto& [header, value] : request.headers) {
    if (header != "accept-encoding") continue;
    any = true;
    for (std::string_view list = value; !list.empty();) {
      std::string_view element = next_part(list, ',');
      const std::string_view coding = next_part(element, ';');
      int weight = 1000;
      if (!element.empty()) {
        const std::string_view parameter = next_part(element, ';');
        const bool is_weight = parameter.starts_with("q=") || parameter.starts_with("Q=");
        const auto read = is_weight && element.empty() ? quality(parameter.substr(2)) : std::nullopt;
        // What is malformed is not relied on.
        weight = read.value_or(0);
        if (!read && same_word(coding, "identity")) continue;
      }
      if (coding == "*") others = weight;
      for (const Encoding known : {Encoding::kIdentity, Encoding::kGzip, Encoding::kBrotli})
        if (same_word(coding, name(known)) || (known == Encoding::kGzip && same_word(coding, "x-gzip")))
          said[static_cast<std::size_t>(known)] = weight;
    }
  }
  if (!any) return;
  // As it is, a body may be sent unless that is ruled out, but only if nothing better is there.
  if (said[0] == kUnsaid) said[0] = others == 0 ? 0 : 1;
  for (int& one : said)
    if (one == kUnsaid) one = std::max(others, 0);
  quality_ = said;
}

std::optional<Encoding> AcceptedEncodings::choose(bool has_gzip, bool has_brotli) const {
  std::optional<Encoding> best;
  int most = 0;
  const auto look = [&](Encoding encoding, bool has) {
    const int quality = quality_[static_cast<std::size_t>(encoding)];
    if (!has || quality <= most) return;
    best = encoding;
    most = quality;
  };
  look(Encoding::kBrotli, has_brotli);
  look(Encoding::kGzip, has_gzip);
  look(Encoding::kIdentity, true);
  return best;
}

}  // namespace petrel::http
