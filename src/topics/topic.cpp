#include "topics/topic.h"

#include <algorithm>

#include "topics/levels.h"

namespace petrel::topics {

namespace {

bool has_plain_length(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTopicBytes && text.find('\0') == std::string_view::npos;
}

bool is_valid_plain_filter(std::string_view filter) {
  if (!has_plain_length(filter)) return false;
  for (std::size_t at = filter.find_first_of("+#"); at != std::string_view::npos;
       at = filter.find_first_of("+#", at + 1)) {
    const bool opens_level = at == 0 || filter[at - 1] == '/';
    const bool last = at + 1 == filter.size();
    if (!opens_level) return false;  // [MQTT-4.7.1-1], [MQTT-4.7.1-2]
    if (!last && (filter[at] == '#' || filter[at + 1] != '/')) return false;
  }
  return true;
}

}  // namespace

bool is_valid_name(std::string_view name) { return has_plain_length(name) && !has_wildcard(name); }

bool is_valid_filter(std::string_view filter) {
  if (filter.size() > kMaxTopicBytes) return false;
  return is_shared(filter) ? parse_shared(filter).has_value() : is_valid_plain_filter(filter);
}

bool has_wildcard(std::string_view filter) { return filter.find_first_of("+#") != std::string_view::npos; }

std::size_t level_count(std::string_view topic) {
  return static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/')) + 1;
}

std::optional<SharedFilter> parse_shared(std::string_view filter) {
  if (!is_shared(filter)) return std::nullopt;
  const std::string_view rest = filter.substr(std::string_view("$share/").size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const SharedFilter shared{rest.substr(0, slash), rest.substr(slash + 1)};
  // [MQTT-4.8.2-1]: at least one character; [MQTT-4.8.2-2]: no wildcard in the name, a topic filter behind it.
  // U+0000 is the broker's own to put there: no client can send it [MQTT-1.5.4-2].
  if (shared.share_name.empty() || has_wildcard(shared.share_name)) return std::nullopt;
  if (!is_valid_plain_filter(shared.filter)) return std::nullopt;
  return shared;
}

bool matches_levels(std::string_view filter, std::string_view name) {
  Levels wanted(filter);
  Levels topic(name);
  for (;;) {
    const std::string_view level = wanted.level();
    if (level == "#") return true;
    if (level != "+" && level != topic.level()) return false;
    wanted.next();
    topic.next();
    if (topic.done()) return wanted.done() || wanted.rest() == "#";  // "a/#" matches "a" (4.7.1.2)
    if (wanted.done()) return false;
  }
}

bool matches(std::string_view filter, std::string_view name) {
  const bool leading_wildcard = filter.starts_with('+') || filter.starts_with('#');
  if (leading_wildcard && name.starts_with('$')) return false;  // [MQTT-4.7.2-1]
  return matches_levels(filter, name);
}

}  // namespace petrel::topics
