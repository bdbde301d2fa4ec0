// A queue: push at the back, pop at the front, index from the front. Costs nothing while empty (no allocation until the
// first push). A short one is a ring in one piece that grows by doubling; a long one is in many, so that no push moves
// all that is there, and gives its memory back as it shrinks.
// Threads: its owner's. References are valid until the next push.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace petrel {

template <class T>
class Ring {
 public:
  Ring() = default;
  Ring(Ring&& other) noexcept
      : items_(std::move(other.items_)),
        many_(std::move(other.many_)),
        mask_(std::exchange(other.mask_, 0)),
        head_(std::exchange(other.head_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Ring& operator=(Ring&& other) noexcept {
    items_ = std::move(other.items_);
    many_ = std::move(other.many_);
    mask_ = std::exchange(other.mask_, 0);
    head_ = std::exchange(other.head_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t index) { return many_ ? (*many_)[index] : items_[(head_ + index) & mask_]; }
  const T& operator[](std::size_t index) const { return many_ ? (*many_)[index] : items_[(head_ + index) & mask_]; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }

  T& push_back(T item) {
    if (many_ == nullptr && (items_ == nullptr || size_ > mask_)) grow();
    ++size_;
    if (many_) return many_->emplace_back(std::move(item));
    T& place = items_[(head_ + size_ - 1) & mask_];
    place = std::move(item);
    return place;
  }
  T pop_front() {
    assert(size_ > 0);
    T item = std::exchange(front(), T{});
    --size_;
    if (many_) {
      many_->pop_front();
    } else {
      head_ = (head_ + 1) & mask_;
    }
    if (size_ == 0) emptied();
    return item;
  }
  void clear() {
    items_.reset();
    many_.reset();
    mask_ = head_ = size_ = 0;
  }

 private:
  static constexpr std::uint32_t kFirstCapacity = 8;
  static constexpr std::uint32_t kKeepCapacity = 128;
  static constexpr std::uint32_t kLongestInOnePiece = 512;

  void grow() {
    if (size_ >= kLongestInOnePiece) return break_up();
    const std::uint32_t capacity = items_ == nullptr ? kFirstCapacity : (mask_ + 1) * 2;
    auto bigger = std::make_unique<T[]>(capacity);
    for (std::uint32_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
    items_ = std::move(bigger);
    mask_ = capacity - 1;
    head_ = 0;
  }
  void break_up() {
    auto many = std::make_unique<std::deque<T>>();
    for (std::uint32_t i = 0; i < size_; ++i) many->push_back(std::move((*this)[i]));
    items_.reset();
    mask_ = head_ = 0;
    many_ = std::move(many);
  }
  void emptied() {
    head_ = 0;
    if (many_ || mask_ >= kKeepCapacity) clear();
  }

  std::unique_ptr<T[]> items_;
  std::unique_ptr<std::deque<T>> many_;  // instead, of a long one
  std::uint32_t mask_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace petrel
