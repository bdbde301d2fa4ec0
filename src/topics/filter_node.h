// The nodes of the subscription trie, and the table in which a node keeps its children.
//
// An inner node stands for one level. A node without children may stand for several levels at once (a tail,
// "d17/temp"): it is cut when another filter needs its first levels. A node never moves, so its address names its
// filter for as long as it has subscribers.
//
// Threads: under the lock of the index. Nodes are owned by the trie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_ledger.h"
#include "topics/subscriber_set.h"
#include "topics/subscription_index.h"

namespace petrel::topics {

// Children by their first level: one directly, some in one hash bucket, many by extendible hashing, so that growing
// never touches more than one bucket of 512. One pointer wide; `hash` is hash_text of the first level.
class ChildTable {
 public:
  using Node = SubscriptionIndex::Node;

  ChildTable() = default;
  ~ChildTable();
  ChildTable(const ChildTable&) = delete;
  ChildTable& operator=(const ChildTable&) = delete;

  bool empty() const { return word_ == 0; }
  Node* find(std::string_view level, std::uint64_t hash) const;
  // Precondition: no child with this first level.
  void insert(Node* child, std::uint64_t hash, std::uint64_t seed);
  // Precondition: `child` is in the table.
  void remove(const Node* child, std::uint64_t hash);
  void replace(const Node* child, Node* successor, std::uint64_t hash);
  void append_to(std::vector<Node*>& nodes) const;

 private:
  struct Bucket;
  struct Directory;

  Node* single() const;
  Bucket* bucket() const;
  Directory* directory() const;
  void set(Bucket* bucket);
  Bucket* bucket_of(std::uint64_t hash) const;
  void replace_bucket(Bucket* old, Bucket* bucket, std::uint64_t hash);
  void make_room(std::uint64_t hash, std::uint64_t seed);
  void split(Bucket* full, std::uint64_t hash, std::uint64_t seed);
  void merge(std::uint64_t hash);

  std::uintptr_t word_ = 0;  // null, Node*, Bucket* + 1 or Directory* + 2
};

class SubscriptionIndex::Node {
 public:
  static Node* create(Node* parent, std::string_view text);
  static void destroy(Node* node);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::string_view text() const { return {text_begin(), text_bytes_}; }
  bool is_tail() const { return is_tail_; }
  bool is_group() const { return is_group_; }
  bool has_plus() const { return has_plus_; }
  bool has_hash() const { return has_hash_; }
  bool is_unused() const { return subscribers.empty() && children_.empty(); }
  Node* parent() const { return parent_; }
  const ChildTable& children() const { return children_; }

  Node* child(std::string_view level, std::uint64_t seed) const;
  void attach(Node* child, std::uint64_t seed);
  void detach(Node* child, std::uint64_t seed);
  // Puts nodes of their own between this node and its child `tail` for the first levels that the tail shares with
  // `path`, and leaves at least the last level to the tail. Returns the lowest new node, or this if none is shared.
  Node* cut(Node* tail, std::string_view path, std::uint64_t seed);

  SubscriberSet subscribers;

 protected:
  explicit Node(Node* parent, bool is_group) : parent_(parent), is_group_(is_group) {}
  ~Node() = default;

 private:
  const char* text_begin() const;
  void set_text(std::string_view text);

  Node* parent_;
  ChildTable children_;
  std::uint16_t text_bytes_ = 0;
  bool is_tail_ : 1 = false;
  bool is_group_ : 1;
  bool has_plus_ : 1 = false;
  bool has_hash_ : 1 = false;
};

// A shared subscription at its filter's node (the parent), so that it has a handle of its own.
class GroupNode final : public SubscriptionIndex::Node {
 public:
  struct Member {
    Ref<SharedMember> ref;
    SubscriberId id() const { return ref->subscriber; }
  };

  GroupNode(Node* filter_node, std::string_view name)
      : Node(filter_node, true), group(make_ref<SharedGroup>(std::string(name))) {
    share_.set(sizeof(GroupNode) + name.size());
  }

  SharedMatch match() const;
  SharedTurn take_turn(SubscriberId except) const;

  const Ref<const SharedGroup> group;
  IdVector<Member> members;

 private:
  LedgerShare<MemoryLedger::Use::kTables> share_;
};

}  // namespace petrel::topics
