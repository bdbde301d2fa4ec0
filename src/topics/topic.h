// Topic names and topic filters (MQTT 5.0, 4.7 and 4.8): syntax, levels, matching of one filter against one name.
// Well-formed UTF-8 is the codec's business (wire/); these functions expect it.
// Threads: pure, any. Views point into the argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace petrel::topics {

inline constexpr std::size_t kMaxTopicBytes = 65535;

// A name to publish to: not empty, no wildcards, no U+0000 [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-3.3.2-2].
bool is_valid_name(std::string_view name);
// Wildcards alone in their level, '#' last [MQTT-4.7.1-1], [MQTT-4.7.1-2]. Accepts any valid filter, with `$share/` in
// front only if the shared form is right as well.
bool is_valid_filter(std::string_view filter);
bool has_wildcard(std::string_view filter);
std::size_t level_count(std::string_view topic);

// `$share/{ShareName}/{filter}` (4.8.2).
struct SharedFilter {
  std::string_view share_name;
  std::string_view filter;
};
inline bool is_shared(std::string_view filter) { return filter.starts_with("$share/"); }
// Nothing when the filter is not of the shared form or breaks [MQTT-4.8.2-1], [MQTT-4.8.2-2].
std::optional<SharedFilter> parse_shared(std::string_view filter);

// Whether a filter (not shared) matches a name; wildcards in the first level do not match `$` names [MQTT-4.7.2-1].
bool matches(std::string_view filter, std::string_view name);

}  // namespace petrel::topics
