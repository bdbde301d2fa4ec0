// A queue in one contiguous, growing ring: push at the back, pop at the front, index from the front. Costs nothing
// while empty (no allocation until the first push) and gives its memory back when it empties after having grown large.
// Threads: its owner's. References are valid until the next push.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace petrel {

template <class T>
class Ring {
 public:
  Ring() = default;
  Ring(Ring&& other) noexcept
      : items_(std::move(other.items_)),
        mask_(std::exchange(other.mask_, 0)),
        head_(std::exchange(other.head_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Ring& operator=(Ring&& other) noexcept {
    items_ = std::move(other.items_);
    mask_ = std::exchange(other.mask_, 0);
    head_ = std::exchange(other.head_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t index) { return items_[(head_ + index) & mask_]; }
  const T& operator[](std::size_t index) const { return items_[(head_ + index) & mask_]; }
  T& front() { return items_[head_]; }
  T& back() { return (*this)[size_ - 1]; }

  T& push_back(T item) {
    if (items_ == nullptr || size_ > mask_) grow();
    T& place = items_[(head_ + size_) & mask_];
    place = std::move(item);
    ++size_;
    return place;
  }
  T pop_front() {
    assert(size_ > 0);
    T item = std::move(items_[head_]);
    items_[head_] = T{};
    head_ = (head_ + 1) & mask_;
    if (--size_ == 0) emptied();
    return item;
  }
  void clear() {
    items_.reset();
    mask_ = head_ = size_ = 0;
  }

 private:
  static constexpr std::uint32_t kFirstCapacity = 8;
  static constexpr std::uint32_t kKeepCapacity = 128;

  void grow() {
    const std::uint32_t capacity = items_ == nullptr ? kFirstCapacity : (mask_ + 1) * 2;
    auto bigger = std::make_unique<T[]>(capacity);
    for (std::uint32_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
    items_ = std::move(bigger);
    mask_ = capacity - 1;
    head_ = 0;
  }
  void emptied() {
    head_ = 0;
    if (mask_ >= kKeepCapacity) clear();
  }

  std::unique_ptr<T[]> items_;
  std::uint32_t mask_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace petrel
