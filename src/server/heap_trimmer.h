// Gives memory back to the system that the allocator keeps after much was freed: when a busy time is over, and again
// after growing pauses while nothing happens, for sessions end and caches age later. Never while there is much to do.
//
// Threads: one user.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace petrel::server {

class HeapTrimmer {
 public:
  explicit HeapTrimmer(void (*give_back)() = &give_back_free_memory) : give_back_(give_back) {}

  // `work` counts what was done so far, in packets. To be called now and then, and at next_look().
  void look(TimeMs now, std::uint64_t work);
  TimeMs next_look() const { return next_look_; }

  static void give_back_free_memory();

  static constexpr TimeMs kLookMs = 5000;
  static constexpr TimeMs kLongestPauseMs = 320'000;
  // More packets between two looks than this are a busy time.
  static constexpr std::uint64_t kBusyWork = 10'000;

 private:
  void (*const give_back_)();
  TimeMs next_look_ = 0;
  TimeMs pause_ = kLookMs;
  std::uint64_t work_ = 0;
  bool worked_ = false;  // much, since memory was last given back as often as makes sense
};

}  // namespace petrel::server
