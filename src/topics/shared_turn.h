// Whose turn it is in a shared subscription, wherever its members stand. Threads: any; `members` does not change
// meanwhile.
#pragma once

#include <cstddef>

#include "topics/subscription_index.h"

namespace petrel::topics {

// `member_of(item)` is the SharedMember of an item of `members`. Null when there is none but `except` (0: nobody)
// and those that are gone.
template <class Members, class MemberOf>
const SharedMember* pick_in_turn(const SharedGroup& group, const Members& members, MemberOf member_of,
                                 SubscriberId except) {
  const std::size_t count = members.size();
  if (count == 0) return nullptr;
  const std::size_t turn = group.next_turn() % count;
  const SharedMember* offline = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const SharedMember* member = member_of(members[(turn + i) % count]);
    if (member->subscriber == except) continue;
    const Presence::State presence = member->presence->get();
    if (presence == Presence::kOnline) return member;
    if (offline == nullptr && presence == Presence::kOffline) offline = member;
  }
  return offline;
}

}  // namespace petrel::topics
