// Takes back what attackers leave in the broker: retained messages, and sessions under the identifiers they use.
// Threads: any.
#pragma once

#include <cstdint>

#include "door.h"

namespace petrel::hostile {

// How many there were. Topics that begin with `$` are not seen by `#`, and no attack uses them by intent.
std::uint64_t clear_retained(const Door& door);
// The identifiers "hostile-0" to "hostile-499": how many of them still had a session. They are ended by the question.
std::uint64_t end_sessions(const Door& door);

}  // namespace petrel::hostile
