// A mutex whose waiters look again for some microseconds before they sleep. For what threads of different cores hold
// for a microsecond or two: to sleep and be woken takes them ten times as long, and when two of them take it in turns,
// each time.
//
// Spinning<std::mutex>, Spinning<std::shared_mutex>; threads, lifetime and errors are the wrapped one's.
#pragma once

#include <atomic>
#include <shared_mutex>

namespace petrel {

template <class Mutex>
class Spinning {
 public:
  void lock() {
    if (!spin([this] { return mutex_.try_lock(); })) mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    if (!spin([this] { return mutex_.try_lock_shared(); })) mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  static constexpr int kLooks = 40, kPausesBetween = 8;

  template <class Try>
  static bool spin(Try&& attempt) {
    for (int look = 0; look < kLooks; ++look) {
      if (attempt()) return true;
      for (int pause = 0; pause < kPausesBetween; ++pause) relax();
    }
    return false;
  }
  // Tells the core that this is a loop that waits.
  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
  }

  Mutex mutex_;
};

}  // namespace petrel
