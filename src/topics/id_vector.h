// A vector of things that belong to a subscriber each, found by subscriber: by looking when they are few, through a
// hash table when they are many. T has `SubscriberId id() const`.
//
// Threads: those of its owner.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "topics/subscription_index.h"

namespace petrel::topics {

template <class T>
class IdVector {
 public:
  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  const std::vector<T>& items() const { return items_; }

  T* find(SubscriberId id) {
    const std::size_t at = position(id);
    return at < items_.size() ? &items_[at] : nullptr;
  }

  // Precondition: no item of this subscriber.
  T& add(T item) {
    items_.push_back(std::move(item));
    if (positions_ != nullptr) {
      positions_->emplace(items_.back().id(), static_cast<std::uint32_t>(items_.size() - 1));
    } else if (items_.size() > kFew) {
      positions_ = std::make_unique<Positions>();
      for (std::size_t i = 0; i < items_.size(); ++i)
        positions_->emplace(items_[i].id(), static_cast<std::uint32_t>(i));
    }
    return items_.back();
  }

  bool remove(SubscriberId id) {
    const std::size_t at = position(id);
    if (at >= items_.size()) return false;
    if (at + 1 < items_.size()) {
      items_[at] = std::move(items_.back());
      if (positions_ != nullptr) (*positions_)[items_[at].id()] = static_cast<std::uint32_t>(at);
    }
    items_.pop_back();
    if (positions_ != nullptr) positions_->erase(id);
    shrink();
    return true;
  }

  // Precondition: one item.
  T take_last() {
    T item = std::move(items_.back());
    items_.clear();
    positions_.reset();
    return item;
  }

 private:
  using Positions = boost::unordered_flat_map<SubscriberId, std::uint32_t>;
  static constexpr std::size_t kFew = 16;

  std::size_t position(SubscriberId id) const {
    if (positions_ != nullptr) {
      const auto found = positions_->find(id);
      return found == positions_->end() ? items_.size() : found->second;
    }
    std::size_t at = 0;
    while (at < items_.size() && items_[at].id() != id) ++at;
    return at;
  }

  void shrink() {
    if (positions_ != nullptr && items_.size() <= kFew / 2) positions_.reset();
    if (items_.capacity() > kFew && items_.size() < items_.capacity() / 4) {
      items_.shrink_to_fit();
      if (positions_ != nullptr) positions_->rehash(0);
    }
  }

  std::vector<T> items_;
  std::unique_ptr<Positions> positions_;
};

}  // namespace petrel::topics
