// Time is told, not read: protocol code receives `now` and never asks a clock. TimeMs counts milliseconds since the
// Unix epoch; the driver takes the wall clock once at start and adds monotonic time to it, so that it never runs
// backwards while a process lives and means the same after a restart.
#pragma once

#include <cstdint>
#include <limits>

namespace petrel {

using TimeMs = std::int64_t;

inline constexpr TimeMs kNever = std::numeric_limits<TimeMs>::max();

}  // namespace petrel
