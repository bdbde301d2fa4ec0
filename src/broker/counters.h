// What a shard has done since it started. Written by the shard's thread, readable from any.
#pragma once

#include "base/counters.h"

namespace petrel::broker {

struct Counters {
  Counter connections_opened, connections_closed, connections_refused;
  Counter publish_received, publish_sent;
  Counter dropped_slow_consumer;  // QoS 0 beyond max_output_bytes
  Counter dropped_queue_full;     // QoS 1 and 2 beyond max_queued_*
  Counter dropped_expired;        // message expiry interval passed
  Counter dropped_too_large;      // above the receiver's Maximum Packet Size
  Counter sessions_created, sessions_ended;
  Counter mails_posted, mails_received;
};

}  // namespace petrel::broker
