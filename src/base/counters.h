// A number that one thread writes and any may read. Costs what a plain addition costs.
#pragma once

#include <atomic>
#include <cstdint>

namespace petrel {

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace petrel
