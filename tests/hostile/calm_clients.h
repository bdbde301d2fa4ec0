// Well-behaved clients: pairs of a publisher and a subscriber, one message of each QoS at a steady pace. Every payload
// and the order of each QoS are checked, and the time from a message's sending to its arrival is taken.
//
// Threads: run() on one, stop() from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "crowd.h"

namespace petrel::hostile {

struct CalmReport {
  std::uint64_t messages = 0;
  std::uint32_t p50_us = 0, p99_us = 0, max_us = 0;
  std::uint64_t beyond_limit = 0;  // messages that took longer
  // How much later than asked for these clients themselves were woken: the machine's share of the latency.
  std::uint32_t late_p99_us = 0;
};

class CalmClients {
 public:
  CalmClients(const Door& door, std::uint64_t seed);
  ~CalmClients();

  // Until stop(); then waits for what is under way. Throws Failure for whatever was lost, altered, or out of order.
  CalmReport run(std::uint32_t limit_us);
  void stop() { stopped_.store(true); }

 private:
  class Pair;

  bool turn(Clock::time_point wake);
  CalmReport report(std::uint32_t limit_us);

  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<std::uint32_t> latencies_us_;
  std::vector<std::uint32_t> late_us_;
  std::atomic<bool> stopped_{false};
};

}  // namespace petrel::hostile
