#include "broker/mount_point.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "topics/topic.h"

namespace petrel::broker {

bool is_valid_mount_point(std::string_view mount_point) {
  return topics::is_valid_name(mount_point) && is_mqtt_utf8(mount_point) && mount_point.ends_with('/') &&
         !mount_point.starts_with('$');
}

std::string mounted_client_id(std::string_view mount_point, std::string_view client_id) {
  std::string mounted(mount_point);
  mounted += '\0';
  return mounted += client_id;
}

std::string_view visible_client_id(std::string_view mount_point, std::string_view client_id) {
  return mount_point.empty() ? client_id : client_id.substr(mount_point.size() + 1);
}

bool is_out_of_mount(std::string_view filter) {
  const auto shared = topics::parse_shared(filter);
  return (shared ? shared->filter : filter).starts_with('$');
}

std::string mounted_filter(std::string_view mount_point, std::string_view filter) {
  const auto shared = topics::parse_shared(filter);
  const std::string_view own = shared ? shared->filter : filter;
  if (!shared) return std::string(mount_point).append(filter);
  // Two mount points of which the same filter comes have different lengths: one lies below the other.
  return fmt::format("$share/{}{}{}/{}{}", shared->share_name, '\0', mount_point.size(), mount_point, own);
}

std::optional<std::string_view> visible_topic(std::string_view mount_point, std::string_view topic) {
  if (!topic.starts_with(mount_point)) return std::nullopt;
  topic.remove_prefix(mount_point.size());
  // "a/#" matches "a" and "a/" as well, of which nothing would be left.
  if (topic.empty() || topic.front() == '$') return std::nullopt;
  return topic;
}

}  // namespace petrel::broker
