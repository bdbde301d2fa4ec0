// The subscribers of one filter. One alone lives inside the set (16 bytes); more of them, and shared groups, live in a
// block of their own.
//
// Threads: under the lock of the index.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "topics/id_vector.h"
#include "topics/level_hash.h"
#include "topics/subscription_index.h"

namespace petrel::topics {

class GroupNode;

// A subscriber and what it asked for, in 16 bytes: the options sit in the low bits of the pointer to the identifiers.
class PackedSubscription {
 public:
  PackedSubscription() = default;
  PackedSubscription(SubscriberId id, const SubscriptionRequest& request)
      : id_(id),
        word_(reinterpret_cast<std::uintptr_t>(Ref<const EncodedIdentifiers>(request.identifiers).detach()) |
              (request.qos & kQosMask) | (request.no_local ? kNoLocal : 0) |
              (request.retain_as_published ? kRetainAsPublished : 0)) {}
  PackedSubscription(PackedSubscription&& other) noexcept
      : id_(std::exchange(other.id_, 0)), word_(std::exchange(other.word_, 0)) {}
  PackedSubscription& operator=(PackedSubscription other) noexcept {
    std::swap(id_, other.id_);
    std::swap(word_, other.word_);
    return *this;
  }
  ~PackedSubscription() {
    if (id_ != 0 && identifiers() != nullptr) identifiers()->release();
  }

  SubscriberId id() const { return id_; }
  std::uint8_t qos() const { return word_ & kQosMask; }
  bool no_local() const { return (word_ & kNoLocal) != 0; }
  bool retain_as_published() const { return (word_ & kRetainAsPublished) != 0; }
  const EncodedIdentifiers* identifiers() const {
    return reinterpret_cast<const EncodedIdentifiers*>(word_ & ~std::uintptr_t{15});
  }

 private:
  friend class SubscriberSet;  // keeps its block in the word of a subscription without subscriber

  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= 16, "four bits of a pointer to a new object are free");
  static constexpr std::uintptr_t kQosMask = 3;
  static constexpr std::uintptr_t kNoLocal = 4;
  static constexpr std::uintptr_t kRetainAsPublished = 8;

  SubscriberId id_ = 0;
  std::uintptr_t word_ = 0;
};

class SubscriberSet {
 public:
  struct ShareNameHash {
    using is_avalanching = void;
    std::uint64_t seed = 0;
    std::size_t operator()(std::string_view name) const { return hash_text(name, seed); }
  };
  // The names are views of the groups' own.
  using Groups = boost::unordered_flat_map<std::string_view, GroupNode*, ShareNameHash>;

  SubscriberSet() = default;
  ~SubscriberSet() { set_block(nullptr); }
  SubscriberSet(const SubscriberSet&) = delete;
  SubscriberSet& operator=(const SubscriberSet&) = delete;

  bool empty() const { return one_.id_ == 0 && one_.word_ == 0; }
  std::span<const PackedSubscription> subscriptions() const;

  // True if the subscriber was there; its options are replaced.
  bool put(PackedSubscription subscription);
  bool remove(SubscriberId id);

  const Groups* groups() const { return block() == nullptr ? nullptr : block()->groups.get(); }
  GroupNode* group(std::string_view share_name) const;
  // Precondition: no group of this name.
  void add_group(std::string_view share_name, GroupNode* group, std::uint64_t seed);
  void remove_group(std::string_view share_name);

 private:
  struct Block {
    IdVector<PackedSubscription> subscriptions;
    std::unique_ptr<Groups> groups;
  };

  Block* block() const { return one_.id_ == 0 ? reinterpret_cast<Block*>(one_.word_) : nullptr; }
  void set_block(Block* block);
  Block& make_block();
  void collapse();

  PackedSubscription one_;
};

}  // namespace petrel::topics
