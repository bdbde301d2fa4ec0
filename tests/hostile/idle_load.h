// What the attackers take of the machine itself: as many threads as they have, busy with system calls and with bytes
// that go round through the loopback interface, but not with the broker. The latency of well-behaved clients beside
// this is what an attack is to be compared with.
//
// Threads: run() starts its own and returns when they have ended.
#pragma once

#include <cstddef>

#include "crowd.h"

namespace petrel::hostile {

void run_idle_load(std::size_t threads, Clock::time_point until);

}  // namespace petrel::hostile
