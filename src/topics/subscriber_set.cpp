#include "topics/subscriber_set.h"

namespace petrel::topics {

static_assert(sizeof(SubscriberSet) == 16);

std::span<const PackedSubscription> SubscriberSet::subscriptions() const {
  if (one_.id_ != 0) return {&one_, 1};
  return block() == nullptr ? std::span<const PackedSubscription>() : block()->subscriptions.items();
}

bool SubscriberSet::put(PackedSubscription subscription) {
  if (empty() || one_.id_ == subscription.id()) {
    const bool existed = !empty();
    one_ = std::move(subscription);
    return existed;
  }
  IdVector<PackedSubscription>& many = make_block().subscriptions;
  if (PackedSubscription* present = many.find(subscription.id())) {
    *present = std::move(subscription);
    return true;
  }
  many.add(std::move(subscription));
  return false;
}

bool SubscriberSet::remove(SubscriberId id) {
  if (one_.id_ != 0) {
    if (one_.id_ != id) return false;
    one_ = PackedSubscription();
    return true;
  }
  if (block() == nullptr || !block()->subscriptions.remove(id)) return false;
  collapse();
  return true;
}

GroupNode* SubscriberSet::group(std::string_view share_name) const {
  const Groups* present = groups();
  if (present == nullptr) return nullptr;
  const auto found = present->find(share_name);
  return found == present->end() ? nullptr : found->second;
}

void SubscriberSet::add_group(std::string_view share_name, GroupNode* group, std::uint64_t seed) {
  Block& block = make_block();
  if (block.groups == nullptr) block.groups = std::make_unique<Groups>(0, ShareNameHash{seed});
  block.groups->emplace(share_name, group);
}

void SubscriberSet::remove_group(std::string_view share_name) {
  block()->groups->erase(share_name);
  if (block()->groups->empty()) block()->groups.reset();
  collapse();
}

void SubscriberSet::set_block(Block* block) {
  if (one_.id_ == 0) {
    delete this->block();
    one_.word_ = reinterpret_cast<std::uintptr_t>(block);
  }
}

SubscriberSet::Block& SubscriberSet::make_block() {
  if (block() == nullptr) {
    PackedSubscription one = std::move(one_);
    set_block(new Block);
    if (one.id() != 0) block()->subscriptions.add(std::move(one));
  }
  return *block();
}

void SubscriberSet::collapse() {
  if (block()->groups != nullptr || block()->subscriptions.size() > 1) return;
  PackedSubscription last;
  if (!block()->subscriptions.empty()) last = block()->subscriptions.take_last();
  set_block(nullptr);
  one_ = std::move(last);
}

}  // namespace petrel::topics
