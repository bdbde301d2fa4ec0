// When what is committed is made to survive a power failure. A killed process loses nothing in any mode.
#pragma once

#include <cstdint>

namespace petrel::storage {

enum class Sync : std::uint8_t {
  kAlways,    // before it is reported committed: nothing is lost
  kInterval,  // once a second: at most the last second is lost
  kOs,        // when the system does, on Linux within half a minute
};

}  // namespace petrel::storage
