// The subscriptions of one session: where each stands in the index. A row; from kFew on with a table of the places in
// it, so that a client with very many subscriptions ends one as quickly as others.
//
// Threads: its shard's.
#pragma once

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "topics/subscription_index.h"

namespace petrel::broker {

struct SessionSubscription {
  topics::SubscriptionIndex::Node* node = nullptr;
  Ref<const topics::SharedMember> member;  // of a shared subscription
};

class SessionSubscriptions {
 public:
  using Node = topics::SubscriptionIndex::Node;

  std::size_t size() const { return row_.size(); }
  auto begin() const { return row_.begin(); }
  auto end() const { return row_.end(); }

  // Null if the session has none there. Valid until the next add() or remove().
  SessionSubscription* find(const Node* node) {
    const std::size_t place = place_of(node);
    return place == row_.size() ? nullptr : &row_[place];
  }
  bool contains(const Node* node) const { return place_of(node) != row_.size(); }

  // The session has none there yet.
  void add(SessionSubscription subscription) {
    if (places_ == nullptr && row_.size() >= kFew) {
      places_ = std::make_unique<Places>();
      for (std::size_t i = 0; i < row_.size(); ++i) set_place(row_[i].node, i);
    }
    if (places_ != nullptr) set_place(subscription.node, row_.size());
    row_.push_back(std::move(subscription));
  }

  // One that find() has told.
  void remove(SessionSubscription* subscription) {
    if (places_ != nullptr) {
      places_->erase(subscription->node);
      if (subscription != &row_.back())
        set_place(row_.back().node, static_cast<std::size_t>(subscription - row_.data()));
    }
    if (subscription != &row_.back()) *subscription = std::move(row_.back());
    row_.pop_back();
  }

  // None are left here.
  std::vector<SessionSubscription> take_all() {
    places_.reset();
    return std::exchange(row_, {});
  }

 private:
  static constexpr std::size_t kFew = 64;
  using Places = boost::unordered_flat_map<const Node*, std::uint32_t>;

  std::size_t place_of(const Node* node) const {
    if (places_ != nullptr) {
      const auto it = places_->find(node);
      return it == places_->end() ? row_.size() : it->second;
    }
    const auto it = std::find_if(row_.begin(), row_.end(), [&](const auto& known) { return known.node == node; });
    return static_cast<std::size_t>(it - row_.begin());
  }
  void set_place(const Node* node, std::size_t place) {
    places_->insert_or_assign(node, static_cast<std::uint32_t>(place));
  }

  std::vector<SessionSubscription> row_;
  std::unique_ptr<Places> places_;
};

}  // namespace petrel::broker
