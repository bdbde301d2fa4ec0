#include "topics/filter_node.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/memory_ledger.h"
#include "topics/level_hash.h"
#include "topics/levels.h"
#include "topics/shared_turn.h"

namespace petrel::topics {

namespace {

// The text follows the last member, in what would be padding of the node first.
constexpr std::size_t kTextOffset = 35;

}  // namespace

const char* SubscriptionIndex::Node::text_begin() const {
  static_assert(sizeof(Node) == 40);
  return reinterpret_cast<const char*>(this) + kTextOffset;
}

void SubscriptionIndex::Node::set_text(std::string_view text) {
  std::memmove(reinterpret_cast<char*>(this) + kTextOffset, text.data(), text.size());
  text_bytes_ = static_cast<std::uint16_t>(text.size());
  is_tail_ = this->text().find('/') != std::string_view::npos;  // not in the argument, which may have been overwritten
}

SubscriptionIndex::Node* SubscriptionIndex::Node::create(Node* parent, std::string_view text) {
  void* memory = ::operator new(std::max(sizeof(Node), kTextOffset + text.size()));
  // The text may become shorter (cut()), the block does not.
  MemoryLedger::take(MemoryLedger::Use::kTables, malloc_usable_size(memory));
  Node* node = new (memory) Node(parent, false);
  node->set_text(text);
  return node;
}

void SubscriptionIndex::Node::destroy(Node* node) {
  if (node->is_group()) {
    delete static_cast<GroupNode*>(node);
    return;
  }
  MemoryLedger::give(MemoryLedger::Use::kTables, malloc_usable_size(node));
  node->~Node();
  ::operator delete(node);
}

SubscriptionIndex::Node* SubscriptionIndex::Node::child(std::string_view level, std::uint64_t seed) const {
  return children_.empty() ? nullptr : children_.find(level, hash_text(level, seed));
}

void SubscriptionIndex::Node::attach(Node* child, std::uint64_t seed) {
  const std::string_view level = first_level(child->text());
  children_.insert(child, hash_text(level, seed), seed);
  child->parent_ = this;
  if (level == "+") has_plus_ = true;
  if (level == "#") has_hash_ = true;
}

void SubscriptionIndex::Node::detach(Node* child, std::uint64_t seed) {
  const std::string_view level = first_level(child->text());
  children_.remove(child, hash_text(level, seed));
  if (level == "+") has_plus_ = false;
  if (level == "#") has_hash_ = false;
}

SubscriptionIndex::Node* SubscriptionIndex::Node::cut(Node* tail, std::string_view path, std::uint64_t seed) {
  Node* lowest = this;
  Levels mine(tail->text());
  Levels wanted(path);
  while (!wanted.done() && mine.level() == wanted.level() && mine.rest().size() > mine.level().size()) {
    Node* inner = create(lowest, mine.level());
    if (lowest == this) {
      children_.replace(tail, inner, hash_text(mine.level(), seed));
    } else {
      lowest->attach(inner, seed);
    }
    lowest = inner;
    mine.next();
    wanted.next();
  }
  if (lowest == this) return this;
  tail->set_text(mine.rest());
  lowest->attach(tail, seed);
  return lowest;
}

SharedMatch GroupNode::match() const {
  SharedMatch match{group, {}};
  match.members.reserve(members.size());
  for (const Member& member : members.items()) match.members.push_back(member.ref);
  return match;
}

SharedTurn GroupNode::take_turn(SubscriberId except) const {
  const auto member_of = [](const Member& member) { return member.ref.get(); };
  const SharedMember* member = pick_in_turn(*group, members.items(), member_of, except);
  return {group, Ref<const SharedMember>(member), members.size()};
}

}  // namespace petrel::topics
