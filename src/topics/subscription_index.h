// The subscription index of a process: which subscribers does a topic name have? A trie by topic level behind a
// reader-writer lock, shared by all shards. The hot path does not come here: each shard asks through its MatchCache
// (match_cache.h), which stays valid until a subscription that could match the topic changes.
//
// Threads: all members may be called from any thread. The index outlives its caches and the Refs it gave out stay valid
// on their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ref.h"

namespace petrel::topics {

// Names a session in the whole process: owner shard, slot in that shard's session table, generation of the slot.
// Never 0 for a real session.
using SubscriberId = std::uint64_t;
inline constexpr SubscriberId make_subscriber_id(std::uint32_t shard, std::uint32_t slot, std::uint32_t generation) {
  return (std::uint64_t{shard} << 56) | (std::uint64_t{generation & 0xffffffu} << 32) | slot;
}
inline constexpr std::uint32_t shard_of(SubscriberId id) { return static_cast<std::uint32_t>(id >> 56); }
inline constexpr std::uint32_t generation_of(SubscriberId id) {
  return static_cast<std::uint32_t>(id >> 32) & 0xffffffu;
}
inline constexpr std::uint32_t slot_of(SubscriberId id) { return static_cast<std::uint32_t>(id); }

// Subscription identifiers of one delivery, already encoded as PUBLISH properties (0x0B, variable byte integer, ...).
// Made once per subscription and shared by every match.
class EncodedIdentifiers final : public RefCounted<EncodedIdentifiers> {
 public:
  explicit EncodedIdentifiers(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// What a subscription asks for. `qos` 0 to 2.
struct SubscriptionRequest {
  std::uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  Ref<const EncodedIdentifiers> identifiers{};  // null without identifier
};

// Whether a match entry holds for every publisher. One session with overlapping subscriptions of which some are No
// Local yields two entries: what it gets from others and what it gets from itself.
enum class Audience : std::uint8_t { kEveryone, kOthersOnly, kSelfOnly };

// One receiver of a topic: overlapping subscriptions of a session are merged (highest QoS, all identifiers, retain as
// published if any asks for it), so that it gets one copy.
struct MatchEntry {
  SubscriberId subscriber = 0;
  Ref<const EncodedIdentifiers> identifiers;
  std::uint8_t qos = 0;
  Audience audience = Audience::kEveryone;
  bool retain_as_published = false;
};

// Whether the client of a session is there, for the turns of all its shared subscriptions. Written by the shard that
// owns the session, read by publishers.
class Presence final : public RefCounted<Presence> {
 public:
  // kGone: the session has ended, and its members are about to leave; no turn is theirs any more.
  enum State : std::uint8_t { kOnline, kOffline, kGone };
  explicit Presence(State state) : state_(state) {}
  void set(State state) const { state_.store(state, std::memory_order_relaxed); }
  State get() const { return state_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<State> state_;
};

// A member of a shared subscription.
class SharedMember final : public RefCounted<SharedMember> {
 public:
  SharedMember(SubscriberId id, SubscriptionRequest r, Ref<const Presence> p)
      : subscriber(id), request(std::move(r)), presence(std::move(p)) {}
  const SubscriberId subscriber;
  const SubscriptionRequest request;
  const Ref<const Presence> presence;
};

// A shared subscription: share name and filter. The turn goes round the members that are online, or round those that
// are offline when none is.
class SharedGroup final : public RefCounted<SharedGroup> {
 public:
  explicit SharedGroup(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }  // "$share/NAME/FILTER"
  std::uint32_t next_turn() const { return turn_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::string name_;
  mutable std::atomic<std::uint32_t> turn_{0};
};

struct SharedMatch {
  Ref<const SharedGroup> group;
  std::vector<Ref<const SharedMember>> members;
};

// Whose turn it is; null when all are gone.
const SharedMember* pick(const SharedMatch& match);

struct SharedTurn {
  Ref<const SharedGroup> group;
  Ref<const SharedMember> member;
  std::size_t members = 0;  // of the group
};

// All receivers of one topic name. Immutable. `entries` are sorted by shard.
class MatchList final : public RefCounted<MatchList> {
 public:
  std::vector<MatchEntry> entries;
  std::vector<SharedMatch> shared;
  std::size_t subscriptions = 0;  // that were found, those of one session counted singly: how much work it was
  bool empty() const { return entries.empty() && shared.empty(); }
  // Entries of one shard: [begin, end) in `entries`.
  std::pair<const MatchEntry*, const MatchEntry*> of_shard(std::uint32_t shard) const;
};

class SubscriptionIndex {
 public:
  SubscriptionIndex();
  ~SubscriptionIndex();
  SubscriptionIndex(const SubscriptionIndex&) = delete;
  SubscriptionIndex& operator=(const SubscriptionIndex&) = delete;

  // Stable handle of a filter in the index while the subscription that returned it exists; filter() rebuilds the
  // string, so sessions need not keep a copy.
  class Node;
  struct Subscribed {
    Node* node = nullptr;
    bool existed = false;              // the subscriber had this filter already; its options were replaced
    Ref<const SharedMember> member{};  // for a shared filter
  };
  // Precondition: is_valid_filter(filter). A shared filter ("$share/...") joins the group; `presence` is its session's,
  // null: always online.
  Subscribed subscribe(std::string_view filter, SubscriberId subscriber, const SubscriptionRequest& request,
                       Ref<const Presence> presence = nullptr);
  // False if there was no such subscription.
  bool unsubscribe(std::string_view filter, SubscriberId subscriber);
  bool unsubscribe(Node* node, SubscriberId subscriber);
  // Of several at once, for which others wait once.
  void unsubscribe(std::span<Node* const> nodes, SubscriberId subscriber);
  std::string filter(const Node* node) const;
  // The handle of a filter (shared or not) if anybody subscribes to it; to be compared with one's own.
  const Node* find(std::string_view filter) const;

  // Whether any filter, shared or not, has this literal first level.
  bool has_first_level(std::string_view level) const;

  // Fresh lookup, under the reader lock. Costs a walk of the trie; publishers use MatchCache.
  Ref<const MatchList> match(std::string_view topic) const;

  // A group by its name "$share/NAME/FILTER"; null when it has no member.
  Ref<const SharedGroup> shared_group(std::string_view name) const;
  // Whose turn it is among the present members of a group but `except` (0: nobody), for a message that its first
  // receiver gives back; nobody's, and `member` null, when there is no other. Copies no members: there may be many, and
  // many messages to hand on.
  SharedTurn take_turn(std::string_view group_name, SubscriberId except) const;

  // Version of everything that can match `topic`; equal versions before and after mean an unchanged match. Changes of
  // subscriptions elsewhere in the topic tree do not change it (but for rare hash collisions).
  struct VersionSlots {
    std::uint32_t slots[4];  // wildcard in front, first level, first two levels, the whole topic
  };
  VersionSlots version_slots(std::string_view topic) const;
  std::uint64_t version(const VersionSlots& slots) const;  // lock-free

  std::size_t subscription_count() const;
  std::size_t shared_subscription_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petrel::topics
