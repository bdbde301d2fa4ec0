#include "server/heap_trimmer.h"

#include <algorithm>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace petrel::server {

void HeapTrimmer::give_back_free_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void HeapTrimmer::look(TimeMs now, std::uint64_t work) {
  if (now < next_look_) return;
  const std::uint64_t done = work - std::exchange(work_, work);
  next_look_ = now + kLookMs;
  if (done > kBusyWork) {
    worked_ = true;
    pause_ = kLookMs;
    return;
  }
  if (!worked_) return;
  give_back_();
  next_look_ = now + pause_;
  pause_ *= 2;
  if (pause_ > kLongestPauseMs) worked_ = false;
}

}  // namespace petrel::server
