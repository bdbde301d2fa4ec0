// How many bytes this process holds in messages, queues, output, incomplete input, and in what clients may make long
// in tables (wills, filters, topic aliases): what limits.max_memory_bytes bounds. Each thread counts in a place of its
// own, as an allocator does, so that counting costs a plain addition and no two cores write to one cache line; whoever
// wants a sum adds the places up. A block may be given back by another thread than the one that took it: only the sum
// means anything.
//
// Threads: any. Places are never taken back, so sums stay right when threads end.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace petrel {

class MemoryLedger {
 public:
  enum class Use : std::uint8_t { kMessages, kQueues, kOutput, kInput, kTables };
  static constexpr std::size_t kUses = 5;

  static void take(Use use, std::size_t bytes) { add(use, bytes, 1); }
  static void give(Use use, std::size_t bytes) { add(use, std::size_t{0} - bytes, -1); }

  struct Sum {
    std::uint64_t bytes = 0, blocks = 0;
  };
  static Sum sum(Use use);
  static std::uint64_t total_bytes();

 private:
  struct alignas(64) Place {
    std::array<std::atomic<std::uint64_t>, kUses> bytes{}, blocks{};
    bool shared = false;  // by all threads that found no place of their own
  };
  static constexpr std::size_t kPlaces = 256;

  static void add(Use use, std::uint64_t bytes, int blocks) {
    Place& place = place_ == nullptr ? claim() : *place_;
    const auto index = static_cast<std::size_t>(use);
    if (place.shared) return add_shared(place, index, bytes, blocks);
    bump(place.bytes[index], bytes);
    bump(place.blocks[index], static_cast<std::uint64_t>(blocks));
  }
  static void bump(std::atomic<std::uint64_t>& number, std::uint64_t by) {
    number.store(number.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  static Place& claim();
  static void add_shared(Place& place, std::size_t index, std::uint64_t bytes, int blocks);

  static std::array<Place, kPlaces> places_;
  static std::atomic<std::size_t> claimed_;
  static constinit thread_local Place* place_;
};

// The bytes that one object answers for. Moves with it, and gives them back when it goes.
template <MemoryLedger::Use kUse>
class LedgerShare {
 public:
  LedgerShare() = default;
  ~LedgerShare() { set(0); }
  LedgerShare(LedgerShare&& other) noexcept : bytes_(std::exchange(other.bytes_, 0)) {}
  LedgerShare& operator=(LedgerShare&& other) noexcept {
    if (this != &other) {
      set(0);
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }

  void set(std::size_t bytes) {
    if (bytes_ != 0) MemoryLedger::give(kUse, bytes_);
    if (bytes != 0) MemoryLedger::take(kUse, bytes);
    bytes_ = bytes;
  }

 private:
  std::size_t bytes_ = 0;
};

}  // namespace petrel
