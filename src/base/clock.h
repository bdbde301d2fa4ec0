// The one place where time is read. SteadyClock takes the wall clock at construction and adds monotonic time to it:
// comparable over restarts, never running backwards in between. Threads: now() from any.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.h"

namespace petrel {

class SteadyClock {
 public:
  TimeMs now() const { return now_us() / 1000; }
  std::int64_t now_us() const {
    using std::chrono::duration_cast;
    return wall_at_start_ * 1000 +
           duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  TimeMs wall_at_start_ =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
};

}  // namespace petrel
