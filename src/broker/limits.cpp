#include "broker/limits.h"

#include <fmt/format.h>

#include <array>

namespace petrel::broker {

namespace {

constexpr std::string_view kBefore = "limits.", kBehind = " is reached";

// In the order of the enumeration.
constexpr std::array<std::string_view, kLimits> kReached = {
    "limits.max_connections is reached",
    "limits.max_sessions is reached",
    "limits.max_connect_bytes is reached",
    "limits.connect_timeout_s is reached",
    "limits.write_timeout_s is reached",
    "limits.max_packet_bytes is reached",
    "limits.max_user_properties is reached",
    "limits.max_user_property_bytes is reached",
    "limits.receive_maximum is reached",
    "limits.topic_alias_maximum is reached",
    "limits.max_topic_bytes is reached",
    "limits.max_topic_levels is reached",
    "limits.max_filter_bytes is reached",
    "limits.max_filter_levels is reached",
    "limits.max_subscriptions_per_client is reached",
    "limits.max_subscriptions is reached",
    "limits.max_queued_messages is reached",
    "limits.max_queued_bytes is reached",
    "limits.max_backlog_bytes is reached",
    "limits.max_backlog_messages_total is reached",
    "limits.max_backlog_bytes_total is reached",
    "limits.max_output_bytes is reached",
    "limits.max_retained_messages is reached",
    "limits.max_retained_bytes is reached",
    "limits.max_memory_bytes is reached",
};

bool is_set(Limit limit, const ListenerLimits& limits) {
  switch (limit) {
    case Limit::kConnectBytes:
      return limits.max_connect_bytes.has_value();
    case Limit::kConnectTimeout:
      return limits.connect_timeout_ms.has_value();
    case Limit::kPacketBytes:
      return limits.max_packet_bytes.has_value();
    case Limit::kReceiveMaximum:
      return limits.receive_maximum.has_value();
    case Limit::kTopicAliasMaximum:
      return limits.topic_alias_maximum.has_value();
    default:
      return false;
  }
}

}  // namespace

std::string_view reached(Limit limit) { return kReached[static_cast<std::size_t>(limit)]; }

std::string_view name(Limit limit) {
  const std::string_view text = reached(limit);
  return text.substr(kBefore.size(), text.size() - kBefore.size() - kBehind.size());
}

std::string key_of(Limit limit, const ListenerLimits& of_listener) {
  return fmt::format("{}.{}", is_set(limit, of_listener) ? "listener" : "limits", name(limit));
}

}  // namespace petrel::broker
