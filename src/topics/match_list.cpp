#include <algorithm>

#include "topics/shared_turn.h"

namespace petrel::topics {

const SharedMember* pick(const SharedMatch& match) {
  return pick_in_turn(
      *match.group, match.members, [](const auto& member) { return member.get(); }, 0);
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
