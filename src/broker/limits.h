// The limits an operator can set, by name: each has a counter (Counters::limits) that tells how often it was reached,
// and a sentence for logs and reason strings that names its configuration key.
//
// Threads: pure, any. The texts live as long as the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "broker/settings.h"

namespace petrel::broker {

enum class Limit : std::uint8_t {
  kConnections,
  kSessions,
  kConnectBytes,
  kConnectTimeout,
  kWriteTimeout,
  kPacketBytes,
  kUserProperties,
  kUserPropertyBytes,
  kReceiveMaximum,
  kTopicAliasMaximum,
  kTopicBytes,
  kTopicLevels,
  kFilterBytes,
  kFilterLevels,
  kSubscriptionsPerClient,
  kSubscriptions,
  kQueuedMessages,
  kQueuedBytes,
  kBacklogBytes,
  kBacklogMessagesTotal,
  kBacklogBytesTotal,
  kOutputBytes,
  kRetainedMessages,
  kRetainedBytes,
  kMemoryBytes,
};
inline constexpr std::size_t kLimits = static_cast<std::size_t>(Limit::kMemoryBytes) + 1;

std::string_view name(Limit limit);     // "max_connections": the key in the section "limits"
std::string_view reached(Limit limit);  // "limits.max_connections is reached"
// The key that says how much is too much: "limits.receive_maximum", or where the listener has a value of its own
// "listener.receive_maximum".
std::string key_of(Limit limit, const ListenerLimits& of_listener);

}  // namespace petrel::broker
