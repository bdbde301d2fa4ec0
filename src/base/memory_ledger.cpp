#include "base/memory_ledger.h"

#include <algorithm>

namespace petrel {

std::array<MemoryLedger::Place, MemoryLedger::kPlaces> MemoryLedger::places_;
std::atomic<std::size_t> MemoryLedger::claimed_{0};
constinit thread_local MemoryLedger::Place* MemoryLedger::place_ = nullptr;

// The last place is for all who come after it has been reached.
MemoryLedger::Place& MemoryLedger::claim() {
  const std::size_t index = std::min(claimed_.fetch_add(1), kPlaces - 1);
  place_ = &places_[index];
  if (index == kPlaces - 1) {
    // Written once with one value by whoever comes first; the others see it or write it again.
    static const bool marked = places_[kPlaces - 1].shared = true;
    (void)marked;
  }
  return *place_;
}

void MemoryLedger::add_shared(Place& place, std::size_t index, std::uint64_t bytes, int blocks) {
  place.bytes[index].fetch_add(bytes, std::memory_order_relaxed);
  place.blocks[index].fetch_add(static_cast<std::uint64_t>(blocks), std::memory_order_relaxed);
}

MemoryLedger::Sum MemoryLedger::sum(Use use) {
  Sum sum;
  const std::size_t count = std::min(claimed_.load(), kPlaces);
  for (std::size_t i = 0; i < count; ++i) {
    sum.bytes += places_[i].bytes[static_cast<std::size_t>(use)].load(std::memory_order_relaxed);
    sum.blocks += places_[i].blocks[static_cast<std::size_t>(use)].load(std::memory_order_relaxed);
  }
  // A block that passes from thread to thread while its places are read may be seen given back and not yet taken.
  if (static_cast<std::int64_t>(sum.bytes) < 0) sum.bytes = 0;
  if (static_cast<std::int64_t>(sum.blocks) < 0) sum.blocks = 0;
  return sum;
}

std::uint64_t MemoryLedger::total_bytes() {
  std::uint64_t bytes = 0;
  const std::size_t count = std::min(claimed_.load(), kPlaces);
  for (std::size_t i = 0; i < count; ++i)
    for (const auto& of_use : places_[i].bytes) bytes += of_use.load(std::memory_order_relaxed);
  if (static_cast<std::int64_t>(bytes) < 0) bytes = 0;
  return bytes;
}

}  // namespace petrel
