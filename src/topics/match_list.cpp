#include <algorithm>

#include "topics/subscription_index.h"

namespace petrel::topics {

const SharedMember* pick(const SharedMatch& match, SubscriberId except) {
  const std::size_t count = match.members.size();
  if (count == 0) return nullptr;
  const std::size_t turn = match.group->next_turn() % count;
  const SharedMember* offline = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const SharedMember* member = match.members[(turn + i) % count].get();
    if (member->subscriber == except) continue;
    if (member->online.load(std::memory_order_relaxed)) return member;
    if (offline == nullptr) offline = member;
  }
  return offline;
}

std::pair<const MatchEntry*, const MatchEntry*> MatchList::of_shard(std::uint32_t shard) const {
  const auto first_of = [this](std::uint32_t wanted) {
    return entries.data() +
           (std::partition_point(entries.begin(), entries.end(),
                                 [wanted](const MatchEntry& e) { return shard_of(e.subscriber) < wanted; }) -
            entries.begin());
  };
  return {first_of(shard), first_of(shard + 1)};
}

}  // namespace petrel::topics
