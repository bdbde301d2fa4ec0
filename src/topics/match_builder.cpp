#include "topics/match_builder.h"

#include <algorithm>

namespace petrel::topics {

namespace {

// Overlapping subscriptions of one session become one copy with the highest QoS [MQTT-3.3.4-2] and all identifiers
// [MQTT-3.3.4-3], [MQTT-3.3.4-4].
struct Merged {
  bool any = false;
  std::uint8_t qos = 0;
  bool retain_as_published = false;
  Ref<const EncodedIdentifiers> identifiers;
  std::string more_identifiers;  // those of all, from the second on: a session may have tens of thousands that match

  void add(const PackedSubscription& subscription) {
    any = true;
    qos = std::max(qos, subscription.qos());
    retain_as_published = retain_as_published || subscription.retain_as_published();
    const EncodedIdentifiers* more = subscription.identifiers();
    if (more == nullptr) return;
    if (!identifiers) {
      identifiers = Ref<const EncodedIdentifiers>(more);
      return;
    }
    if (more_identifiers.empty()) more_identifiers = identifiers->bytes();
    more_identifiers += more->bytes();
  }

  MatchEntry entry(SubscriberId subscriber, Audience audience) {
    if (!more_identifiers.empty()) {
      more_identifiers.shrink_to_fit();  // caches keep it
      identifiers = make_ref<EncodedIdentifiers>(std::move(more_identifiers));
    }
    return {subscriber, identifiers, qos, audience, retain_as_published};
  }
};

}  // namespace

void MatchBuilder::add(const SubscriptionIndex::Node& node) {
  for (const PackedSubscription& subscription : node.subscribers.subscriptions()) {
    found_.push_back({subscription.id(), &subscription});
  }
  if (const SubscriberSet::Groups* groups = node.subscribers.groups()) {
    for (const auto& [name, group] : *groups) groups_.push_back(group);
  }
}

Ref<const MatchList> MatchBuilder::build() {
  auto list = make_ref<MatchList>();
  const auto by_subscriber = [](const Found& a, const Found& b) { return a.subscriber < b.subscriber; };
  if (!std::is_sorted(found_.begin(), found_.end(), by_subscriber)) {
    std::stable_sort(found_.begin(), found_.end(), by_subscriber);
  }
  const auto same = [](const Found& a, const Found& b) { return a.subscriber == b.subscriber; };
  std::size_t repeated = 0;
  for (std::size_t i = 1; i < found_.size(); ++i) repeated += same(found_[i - 1], found_[i]) ? 1 : 0;
  list->entries.reserve(found_.size() - repeated);
  for (const Found *run = found_.data(), *end = run + found_.size(); run != end;) {
    const Found* next = run + 1;
    while (next != end && same(*run, *next)) ++next;
    append_entries(*list, run, next);
    run = next;
  }
  list->shared.reserve(groups_.size());
  list->subscriptions = found_.size() + groups_.size();
  for (const GroupNode* group : groups_) {
    list->shared.push_back(group->match());
    list->subscriptions += list->shared.back().members.size();
  }
  return list;
}

void MatchBuilder::append_entries(MatchList& list, const Found* begin, const Found* end) const {
  Merged from_others;
  for (const Found* found = begin; found != end; ++found) from_others.add(*found->subscription);
  const auto no_local = [](const Found& found) { return found.subscription->no_local(); };
  if (std::none_of(begin, end, no_local)) {
    list.entries.push_back(from_others.entry(begin->subscriber, Audience::kEveryone));
    return;
  }
  list.entries.push_back(from_others.entry(begin->subscriber, Audience::kOthersOnly));
  Merged from_itself;  // No Local subscriptions do not take part [MQTT-3.8.3-3]
  for (const Found* found = begin; found != end; ++found)
    if (!no_local(*found)) from_itself.add(*found->subscription);
  if (from_itself.any) list.entries.push_back(from_itself.entry(begin->subscriber, Audience::kSelfOnly));
}

}  // namespace petrel::topics
