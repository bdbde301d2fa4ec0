// How many of something may be under way or open at once, over all threads: handshakes, which cost memory and much more
// work than the client spends on asking for them; the connections of one listener. Who uses it holds a place; who gets
// none is turned away before anything is read. Threads: any; the limit outlives its places.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace petrel::net {

class PlaceLimit {
 public:
  explicit PlaceLimit(std::uint32_t most) : most_(most) {}  // 0: no limit

  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(limit_, other.limit_);
      return *this;
    }
    ~Place() { release(); }
    explicit operator bool() const { return limit_ != nullptr; }
    void release() {
      if (limit_ != nullptr) std::exchange(limit_, nullptr)->taken_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class PlaceLimit;
    explicit Place(PlaceLimit* limit) : limit_(limit) {}
    PlaceLimit* limit_ = nullptr;
  };

  // An empty place: the limit is reached.
  Place enter() {
    if (taken_.fetch_add(1, std::memory_order_relaxed) < most_ || most_ == 0) return Place(this);
    taken_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const std::uint32_t most_;
  std::atomic<std::uint32_t> taken_{0};
};

}  // namespace petrel::net
