// How many handshakes may be under way at once, over all threads: each costs memory and much more work than the client
// spends on asking for it. A transport holds its place until its handshake is over; who gets none is turned away before
// anything is read. Threads: any; the limit outlives its places.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace petrel::net {

class HandshakeLimit {
 public:
  explicit HandshakeLimit(std::uint32_t most) : most_(most) {}  // 0: no limit

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
      if (limit_ != nullptr) std::exchange(limit_, nullptr)->under_way_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class HandshakeLimit;
    explicit Place(HandshakeLimit* limit) : limit_(limit) {}
    HandshakeLimit* limit_ = nullptr;
  };

  // An empty place: the limit is reached.
  Place enter() {
    if (under_way_.fetch_add(1, std::memory_order_relaxed) < most_ || most_ == 0) return Place(this);
    under_way_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  std::uint32_t under_way() const { return under_way_.load(std::memory_order_relaxed); }

 private:
  const std::uint32_t most_;
  std::atomic<std::uint32_t> under_way_{0};
};

}  // namespace petrel::net
