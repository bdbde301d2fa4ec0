// What an operator can set about the broker's behaviour, with its defaults. The configuration file is server/'s.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"

namespace petrel::broker {

inline constexpr std::uint32_t kSessionNeverExpires = 0xffffffff;

enum class QueuePolicy : std::uint8_t { kDropNewest, kDropOldest, kReject };

// From which listeners $SYS may be subscribed to.
enum class SysAccess : std::uint8_t { kLoopback, kAll, kNone };

// The broker's own topics (sys_topics.h).
struct SysSettings {
  bool enabled = true;
  TimeMs interval_ms = 10'000;
  bool events = false;  // $SYS/<id>/new/clients and the like
  SysAccess access = SysAccess::kLoopback;
  std::string id = "petrel";
  std::string version{};  // such as "0.1.0"
};

// In all limits of counts and sums, 0 is unlimited.
struct Settings {
  std::size_t max_connections = 0;  // clients connected
  std::size_t max_sessions = 1'000'000;
  std::uint32_t max_connect_bytes = 1U << 20;
  std::uint32_t max_packet_bytes = 16U << 20;
  std::size_t max_user_properties = 256;                 // of one packet
  std::size_t max_user_property_bytes = 65'536;          // of one packet, encoded
  std::uint16_t max_inflight_messages = 1024;            // toward a client, however large its Receive Maximum
  std::uint16_t receive_maximum = 1024;                  // announced to clients
  std::uint16_t topic_alias_maximum = 64;                // announced to clients
  std::uint16_t topic_alias_maximum_out = 64;            // used toward clients that allow as many
  std::size_t max_queued_messages = 100'000;             // per session
  std::size_t max_queued_bytes = 64U << 20;              // per session, of what lies in memory
  std::size_t max_backlog_bytes = std::size_t{1} << 30;  // per session, of what waits in the store
  std::size_t max_backlog_messages_total = 0;            // of all sessions
  std::size_t max_backlog_bytes_total = 0;
  QueuePolicy queue_policy = QueuePolicy::kDropNewest;
  bool queue_qos0 = false;         // for stored sessions whose clients are away
  TimeMs subscription_ttl_ms = 0;  // after the client has left; 0: as long as the session
  TimeMs message_ttl_qos0_ms = 0;  // in the queue of a client that has left; 0: no end
  TimeMs message_ttl_qos1_ms = 0;
  TimeMs message_ttl_qos2_ms = 0;
  std::size_t max_output_bytes =
      1U << 20;  // per connection: unsent bytes, beside one large message, beyond which QoS 0 is dropped
  TimeMs connect_timeout_ms = 10'000;
  TimeMs write_timeout_ms = 30'000;    // a peer that takes no byte for so long is disconnected
  std::uint16_t keep_alive_max_s = 0;  // 0: as the client wishes
  std::uint32_t session_expiry_max_s = kSessionNeverExpires;
  std::uint32_t session_expiry_default_s = 7 * 24 * 3600;  // of 3.x clients with Clean Session 0
  std::size_t max_subscriptions_per_client = 100'000;
  std::size_t max_subscriptions = 10'000'000;
  std::size_t max_topic_levels = 200;
  std::size_t max_topic_bytes = 65535;
  std::size_t max_filter_levels = 200;  // of the filter in a shared subscription
  std::size_t max_filter_bytes = 65535;
  std::size_t max_retained_messages = 0;
  std::size_t max_retained_bytes = std::size_t{1} << 30;
  std::size_t max_memory_bytes = 0;           // what base/memory_ledger.h counts
  std::size_t match_cache_topics = 100'000;   // per shard
  std::size_t match_cache_bytes = 64U << 20;  // per shard
  SysSettings sys{};
};

// What a listener says otherwise than Settings for those who come through it, be it more or less. Unset: as Settings
// say.
struct ListenerLimits {
  std::optional<std::uint32_t> max_connect_bytes{}, max_packet_bytes{};
  std::optional<std::uint16_t> max_inflight_messages{}, receive_maximum{};
  std::optional<std::uint16_t> topic_alias_maximum{}, topic_alias_maximum_out{};
  std::optional<TimeMs> connect_timeout_ms{};
  std::optional<std::uint16_t> keep_alive_max_s{};
};
inline constexpr ListenerLimits kNoListenerLimits{};

}  // namespace petrel::broker
