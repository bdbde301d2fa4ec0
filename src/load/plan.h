// What a load test is to do, and what it found. One plan is one run against one broker.
//
// Threads: plain data.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "load/histogram.h"
#include "wire/packet.h"

namespace petrel::load {

enum class Pattern : std::uint8_t {
  kOneToOne,  // publisher i to subscriber i
  kAll,       // every publisher to every subscriber: fan-in and fan-out
  kShared,    // every message to one of the subscribers
  kConnect,   // nothing but connections
};

struct Plan {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  Pattern pattern = Pattern::kOneToOne;
  std::uint32_t publishers = 1, subscribers = 1;  // kConnect: so many subscribers connect
  wire::Qos qos = wire::Qos::k0;
  std::uint32_t payload_bytes = 64;
  std::uint32_t window = 100;  // unacknowledged messages of a publisher; connections under way
  std::uint32_t ahead = 0;     // messages a publisher may be ahead of its receivers; 0: chosen
  double rate = 0;             // messages a second of all publishers; 0: as fast as possible
  std::uint64_t messages = 0;  // of each publisher; 0: for the time below
  std::chrono::duration<double> duration{5}, warm_up{0.5}, timeout{15};
  bool persistent = false;  // the subscribers' sessions outlive their connections
  bool offline = false;     // they are away while messages are published, and fetch them afterwards
  wire::ProtocolVersion version = wire::ProtocolVersion::kV311;
  pid_t broker_pid = 0;   // whose processor time is told; 0: none
  bool progress = false;  // a line a second on standard error

  std::uint64_t receivers() const { return pattern == Pattern::kAll ? subscribers : 1; }
};

struct Outcome {
  std::uint64_t published = 0, refused = 0;  // refused: acknowledged with an error
  std::uint64_t expected = 0, received = 0;  // received: once each
  std::uint64_t lost = 0, duplicate = 0, out_of_order = 0, damaged = 0;
  // Between the end of the warm-up and the end of the time for publishing; without a time, of the whole.
  std::uint64_t measured_messages = 0;
  double measured_s = 0;
  Histogram latency;  // of the measured ones, from when they were due; kConnect: from connect() to CONNACK
  double queued_per_s = 0, drained_per_s = 0, drain_s = 0;  // offline
  std::optional<double> broker_cpu_s;
  double own_cpu_s = 0;
  bool timed_out = false;
  bool interrupted = false;  // then nobody knows what would have come: nothing is called lost

  double per_second() const { return measured_s > 0 ? static_cast<double>(measured_messages) / measured_s : 0; }
  // A duplicate of QoS 1 is allowed, but without a lost connection nobody has reason to send one.
  bool correct() const {
    return lost + duplicate + out_of_order + damaged + refused == 0 && !timed_out && !interrupted;
  }
};

}  // namespace petrel::load
