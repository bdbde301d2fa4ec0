// The two kinds of timers in a shard's wheel, told apart without a virtual call.
#pragma once

#include <cstdint>

#include "base/timing_wheel.h"

namespace petrel::broker {

struct ShardTimer : TimerNode {
  enum class Kind : std::uint8_t { kConnection, kAbsence };
  explicit ShardTimer(Kind k) : kind(k) {}
  const Kind kind;
};

}  // namespace petrel::broker
