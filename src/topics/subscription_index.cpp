#include "topics/subscription_index.h"

#include <algorithm>
#include <cassert>
#include <mutex>
#include <shared_mutex>

#include "base/spinning.h"
#include "topics/filter_node.h"
#include "topics/level_hash.h"
#include "topics/levels.h"
#include "topics/match_builder.h"
#include "topics/topic.h"
#include "topics/version_table.h"

namespace petrel::topics {

struct SubscriptionIndex::Impl {
  Impl() : root(Node::create(nullptr, "")) {}
  ~Impl();

  Node* find(std::string_view filter) const;
  Node* find_or_create(std::string_view filter);
  void prune(Node* node);
  std::string text_of(const Node* node) const;

  GroupNode* group(std::string_view name) const;
  Subscribed join(const SharedFilter& shared, std::string_view name, SubscriberId id, Ref<const Presence> presence,
                  const SubscriptionRequest& request);
  bool leave(GroupNode* group, SubscriberId id);
  bool remove(Node* node, SubscriberId id);

  void collect(std::string_view topic, MatchBuilder& builder) const;

  const std::uint64_t seed = random_seed();
  VersionTable versions{random_seed()};
  mutable Spinning<std::shared_mutex> mutex;
  Node* const root;
  std::atomic<std::size_t> subscriptions{0};
  std::atomic<std::size_t> shared_subscriptions{0};
};

SubscriptionIndex::Impl::~Impl() {
  std::vector<Node*> nodes{root};
  while (!nodes.empty()) {
    Node* node = nodes.back();
    nodes.pop_back();
    node->children().append_to(nodes);
    if (const SubscriberSet::Groups* groups = node->subscribers.groups()) {
      for (const auto& [name, group] : *groups) Node::destroy(group);
    }
    Node::destroy(node);
  }
}

SubscriptionIndex::Node* SubscriptionIndex::Impl::find(std::string_view filter) const {
  const Node* at = root;
  for (Levels levels(filter); !levels.done(); levels.next()) {
    Node* child = at->child(levels.level(), seed);
    if (child == nullptr || child->text() == levels.rest()) return child;
    if (child->is_tail()) return nullptr;
    at = child;
  }
  return nullptr;
}

SubscriptionIndex::Node* SubscriptionIndex::Impl::find_or_create(std::string_view filter) {
  Node* at = root;
  Levels levels(filter);
  for (;;) {
    Node* child = at->child(levels.level(), seed);
    if (child == nullptr) {
      child = Node::create(at, levels.rest());
      at->attach(child, seed);
      return child;
    }
    if (child->text() == levels.rest()) return child;
    Node* next = child->is_tail() ? at->cut(child, levels.rest(), seed) : child;
    for (const Node* passed = next; passed != at; passed = passed->parent()) levels.next();
    if (levels.done()) return next;
    at = next;
  }
}

void SubscriptionIndex::Impl::prune(Node* node) {
  while (node != root && node->is_unused()) {
    Node* parent = node->parent();
    parent->detach(node, seed);
    Node::destroy(node);
    node = parent;
  }
}

std::string SubscriptionIndex::Impl::text_of(const Node* node) const {
  if (node->is_group()) return static_cast<const GroupNode*>(node)->group->name();
  std::vector<std::string_view> parts;
  for (; node != root; node = node->parent()) parts.push_back(node->text());
  std::string text;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part != parts.rbegin()) text += '/';
    text += *part;
  }
  return text;
}

GroupNode* SubscriptionIndex::Impl::group(std::string_view name) const {
  const std::optional<SharedFilter> shared = parse_shared(name);
  const Node* node = shared ? find(shared->filter) : nullptr;
  return node == nullptr ? nullptr : node->subscribers.group(shared->share_name);
}

SubscriptionIndex::Subscribed SubscriptionIndex::Impl::join(const SharedFilter& shared, std::string_view name,
                                                            SubscriberId id, Ref<const Presence> presence,
                                                            const SubscriptionRequest& request) {
  Node* node = find_or_create(shared.filter);
  GroupNode* group = node->subscribers.group(shared.share_name);
  if (group == nullptr) {
    group = new GroupNode(node, name);
    const std::string_view kept_name = parse_shared(group->group->name())->share_name;
    node->subscribers.add_group(kept_name, group, seed);
  }
  if (presence.get() == nullptr) presence = make_ref<Presence>(Presence::kOnline);
  auto member = make_ref<SharedMember>(id, request, std::move(presence));
  GroupNode::Member* present = group->members.find(id);
  const bool existed = present != nullptr;
  if (existed) {
    present->ref = member;
  } else {
    group->members.add({member});
    ++shared_subscriptions;
  }
  versions.bump(shared.filter);
  return {group, existed, member};
}

bool SubscriptionIndex::Impl::leave(GroupNode* group, SubscriberId id) {
  if (!group->members.remove(id)) return false;
  --shared_subscriptions;
  Node* node = group->parent();
  const std::string filter = text_of(node);
  if (group->members.empty()) {
    node->subscribers.remove_group(parse_shared(group->group->name())->share_name);
    Node::destroy(group);
    prune(node);
  }
  versions.bump(filter);
  return true;
}

bool SubscriptionIndex::Impl::remove(Node* node, SubscriberId id) {
  if (node->is_group()) return leave(static_cast<GroupNode*>(node), id);
  if (!node->subscribers.remove(id)) return false;
  --subscriptions;
  const std::string filter = text_of(node);
  prune(node);
  versions.bump(filter);
  return true;
}

// Every node of the trie is visited at most once, and a tail compares its own text only: the walk is bounded by the
// filters that exist, whatever the topic.
void SubscriptionIndex::Impl::collect(std::string_view topic, MatchBuilder& builder) const {
  struct Step {
    const Node* node;
    std::size_t begin;  // of the level that its children must match; behind the end when the topic is used up
  };
  boost::container::small_vector<Step, 32> steps{{root, 0}};
  while (!steps.empty()) {
    const Step step = steps.back();
    steps.pop_back();
    const bool ended = step.begin > topic.size();
    const bool hidden = step.begin == 0 && topic.starts_with('$');  // [MQTT-4.7.2-1]
    if (ended) builder.add(*step.node);
    if (step.node->has_hash() && !hidden) builder.add(*step.node->child("#", seed));
    if (ended) continue;
    const std::string_view rest = topic.substr(step.begin);
    const std::string_view level = first_level(rest);
    const auto visit = [&](const Node* child) {
      if (!child->is_tail()) {
        steps.push_back({child, step.begin + level.size() + 1});
      } else if (matches_levels(child->text(), rest)) {
        builder.add(*child);
      }
    };
    if (step.node->has_plus() && !hidden) visit(step.node->child("+", seed));
    if (const Node* child = step.node->child(level, seed)) visit(child);
  }
}

SubscriptionIndex::SubscriptionIndex() : impl_(std::make_unique<Impl>()) {}
SubscriptionIndex::~SubscriptionIndex() = default;

SubscriptionIndex::Subscribed SubscriptionIndex::subscribe(std::string_view filter, SubscriberId subscriber,
                                                           const SubscriptionRequest& request,
                                                           Ref<const Presence> presence) {
  const std::optional<SharedFilter> shared = parse_shared(filter);
  const std::unique_lock lock(impl_->mutex);
  if (shared) return impl_->join(*shared, filter, subscriber, std::move(presence), request);
  Node* node = impl_->find_or_create(filter);
  const bool existed = node->subscribers.put(PackedSubscription(subscriber, request));
  if (!existed) ++impl_->subscriptions;
  impl_->versions.bump(filter);
  return {node, existed, nullptr};
}

bool SubscriptionIndex::unsubscribe(std::string_view filter, SubscriberId subscriber) {
  const std::unique_lock lock(impl_->mutex);
  Node* node = is_shared(filter) ? impl_->group(filter) : impl_->find(filter);
  return node != nullptr && impl_->remove(node, subscriber);
}

bool SubscriptionIndex::unsubscribe(Node* node, SubscriberId subscriber) {
  const std::unique_lock lock(impl_->mutex);
  return impl_->remove(node, subscriber);
}

void SubscriptionIndex::unsubscribe(std::span<Node* const> nodes, SubscriberId subscriber) {
  const std::unique_lock lock(impl_->mutex);
  for (Node* node : nodes) impl_->remove(node, subscriber);
}

std::string SubscriptionIndex::filter(const Node* node) const {
  const std::shared_lock lock(impl_->mutex);
  return impl_->text_of(node);
}

const SubscriptionIndex::Node* SubscriptionIndex::find(std::string_view filter) const {
  const std::shared_lock lock(impl_->mutex);
  return is_shared(filter) ? static_cast<const Node*>(impl_->group(filter)) : impl_->find(filter);
}

bool SubscriptionIndex::has_first_level(std::string_view level) const {
  const std::shared_lock lock(impl_->mutex);
  return impl_->root->child(level, impl_->seed) != nullptr;
}

Ref<const MatchList> SubscriptionIndex::match(std::string_view topic) const {
  MatchBuilder builder;
  const std::shared_lock lock(impl_->mutex);
  impl_->collect(topic, builder);
  return builder.build();
}

Ref<const SharedGroup> SubscriptionIndex::shared_group(std::string_view name) const {
  const std::shared_lock lock(impl_->mutex);
  const GroupNode* group = impl_->group(name);
  return group == nullptr ? nullptr : group->group;
}

SharedTurn SubscriptionIndex::take_turn(std::string_view group_name, SubscriberId except) const {
  const std::shared_lock lock(impl_->mutex);
  const GroupNode* group = impl_->group(group_name);
  return group == nullptr ? SharedTurn() : group->take_turn(except);
}

SubscriptionIndex::VersionSlots SubscriptionIndex::version_slots(std::string_view topic) const {
  return impl_->versions.slots_of_topic(topic);
}

std::uint64_t SubscriptionIndex::version(const VersionSlots& slots) const { return impl_->versions.sum(slots); }

std::size_t SubscriptionIndex::subscription_count() const { return impl_->subscriptions.load(); }
std::size_t SubscriptionIndex::shared_subscription_count() const { return impl_->shared_subscriptions.load(); }

}  // namespace petrel::topics
