// What a shard has done since it started. Written by the shard's thread, readable from any. They lie in SharedState, so
// that sums over all shards can be made anywhere ($SYS).
#pragma once

#include <array>

#include "base/counters.h"
#include "broker/limits.h"
#include "wire/packet.h"

namespace petrel::broker {

// By packet type.
class PacketCounters {
 public:
  void add(wire::PacketType type) { counts_[static_cast<std::size_t>(type)].add(); }
  std::uint64_t of(wire::PacketType type) const { return counts_[static_cast<std::size_t>(type)].value(); }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const Counter& count : counts_) sum += count.value();
    return sum;
  }

 private:
  std::array<Counter, 16> counts_;
};

// What went through one listener to and from one shard.
struct alignas(64) ListenerTraffic {
  Counter bytes_received, bytes_sent;        // of MQTT, whatever layers lie below
  Counter messages_received, messages_sent;  // PUBLISH packets
};

struct alignas(64) Counters {
  Counter network_connections;  // with or without a CONNECT
  Counter connections_opened, connections_closed, connections_refused;
  PacketCounters packets_received, packets_sent;
  Counter bytes_received, bytes_sent;                  // of packets, as on the wire
  Counter payload_bytes_received, payload_bytes_sent;  // of PUBLISH
  Counter dropped_slow_consumer;                       // QoS 0 beyond max_output_bytes
  Counter dropped_queue_full;                          // QoS 1 and 2 beyond max_queued_*
  Counter dropped_expired;                             // message expiry interval passed
  Counter dropped_outstayed;                           // waited longer than limits.message_ttl_qos*_s
  Counter subscriptions_outstayed;                     // ended by limits.subscription_ttl_s
  Counter backlog_messages, backlog_bytes;             // at present, in the store; a sum over shards, modulo 2^64
  Counter dropped_too_large;                           // above the receiver's Maximum Packet Size
  Counter publish_refused;                             // from clients, for whatever reason, and not delivered
  Counter sessions_created, sessions_ended, sessions_expired;
  Counter mails_posted, mails_received;
  Counter looked_up;                    // subscriptions, for topics whose receivers were not remembered
  std::array<Counter, kLimits> limits;  // how often each was reached

  std::uint64_t dropped() const {
    return dropped_slow_consumer.value() + dropped_queue_full.value() + dropped_expired.value() +
           dropped_outstayed.value() + dropped_too_large.value() + publish_refused.value();
  }
  void reached(Limit limit) { limits[static_cast<std::size_t>(limit)].add(); }
  std::uint64_t times_reached(Limit limit) const { return limits[static_cast<std::size_t>(limit)].value(); }
};

}  // namespace petrel::broker
