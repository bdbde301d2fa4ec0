// The broker's counters as Prometheus reads them (text format 0.0.4): the sums that $SYS is made of, and each
// listener's. Threads: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "broker/sys_topics.h"

namespace petrel::http {

struct ListenerCounts {
  std::string_view name;
  std::uint64_t accepted = 0, refused = 0, connections = 0, handshakes = 0;
  std::uint64_t bytes_received = 0, bytes_sent = 0, messages_received = 0, messages_sent = 0;
  // permessage-deflate: connections that have agreed on it, memory that it holds, bytes before and after.
  std::uint64_t compressing = 0, compression_bytes = 0;
  std::uint64_t inflated_from = 0, inflated_to = 0, deflated_from = 0, deflated_to = 0;
};

struct Timings {
  std::vector<Histogram::Values> turns;  // by thread
  Histogram::Values commits;
};

struct Drops {
  std::uint64_t slow_consumer = 0, queue_full = 0, expired = 0, too_large = 0, refused = 0;
};
Drops drops(const broker::SharedState& shared);

std::string metrics_text(const broker::SysTotals& totals, const Drops& drops, std::span<const ListenerCounts> listeners,
                         const Timings& timings, std::string_view version, TimeMs uptime_ms);

}  // namespace petrel::http
