// What an operator can set about the broker's behaviour, with its defaults. The configuration file is server/'s.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace petrel::broker {

inline constexpr std::uint32_t kSessionNeverExpires = 0xffffffff;

enum class QueuePolicy : std::uint8_t { kDropNewest, kDropOldest };

struct Settings {
  std::uint32_t max_packet_bytes = 16U << 20;
  std::uint16_t max_inflight_messages = 1024;  // toward a client, however large its Receive Maximum
  std::uint16_t receive_maximum = 1024;        // announced to clients
  std::uint16_t topic_alias_maximum = 64;      // announced to clients
  std::uint16_t topic_alias_maximum_out = 64;  // used toward clients that allow as many
  std::size_t max_queued_messages = 100'000;   // per session
  std::size_t max_queued_bytes = 64U << 20;    // per session, of what lies in memory
  QueuePolicy queue_policy = QueuePolicy::kDropNewest;
  std::size_t max_output_bytes = 1U << 20;  // per connection: unsent bytes beyond which QoS 0 is dropped
  TimeMs connect_timeout_ms = 10'000;
  TimeMs write_timeout_ms = 30'000;    // a peer that takes no byte for so long is disconnected
  std::uint16_t keep_alive_max_s = 0;  // 0: as the client wishes
  std::uint32_t session_expiry_max_s = kSessionNeverExpires;
  std::uint32_t session_expiry_default_s = 7 * 24 * 3600;  // of 3.x clients with Clean Session 0
  std::size_t max_subscriptions_per_client = 100'000;      // 0: unlimited
  std::size_t max_topic_levels = 200;
  std::size_t max_topic_bytes = 65535;
  std::size_t max_retained_messages = 0;      // 0: unlimited
  std::size_t match_cache_topics = 100'000;   // per shard
  std::size_t match_cache_bytes = 64U << 20;  // per shard
};

}  // namespace petrel::broker
