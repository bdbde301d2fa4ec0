// Counters that tell whether what matches a topic may have changed, without asking the index.
//
// A change of a filter counts up one slot, chosen from the filter's literal beginning; a topic reads the slots of all
// filters that could match it and adds them up. Counters only grow, so an equal sum means that none has moved.
//
//   filter                    slot                      read by the topics
//   +/..., #                  the first                 all
//   a/+..., a/#               hash of "a"               a, a/...
//   a/b/..., with a wildcard  hash of "a/b"             a/b, a/b/...
//   without wildcard          hash of the filter        that topic
//
// Why a cached list is never older than a completed subscribe: bump() is called under the writer lock after the trie
// has changed and before subscribe() returns. A publisher that learned of the subscription by any synchronisation sees
// the bump by happens-before, finds another sum than its cache entry's and asks the index. It reads the sum before it
// takes the reader lock. If that sum counts a bump already, the acquire load orders the publisher's locking after the
// bump, so its critical section comes after the writer's and its list has the change. If it does not, the entry is
// stored with the old sum and is asked for again at its next use. Either way a list is stored under a sum that is not
// newer than the list.
//
// Threads: any, lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "topics/level_hash.h"
#include "topics/levels.h"
#include "topics/subscription_index.h"
#include "topics/topic.h"

namespace petrel::topics {

class VersionTable {
 public:
  explicit VersionTable(std::uint64_t seed)
      : seed_(seed), counters_(std::make_unique<std::atomic<std::uint32_t>[]>(kHashedSlots + 1)) {}

  SubscriptionIndex::VersionSlots slots_of_topic(std::string_view topic) const {
    const std::string_view one = first_level(topic);
    const std::uint32_t first = slot(one, kOneLevel);
    const std::uint32_t second = one.size() == topic.size() ? first : slot(two_levels(topic), kTwoLevels);
    return {{kLeadingWildcard, first, second, slot(topic, kWhole)}};
  }

  std::uint64_t sum(const SubscriptionIndex::VersionSlots& slots) const {
    std::uint64_t total = 0;
    for (const std::uint32_t at : slots.slots) total += counters_[at].load(std::memory_order_acquire);
    return total;
  }

  void bump(std::string_view filter) { counters_[slot_of_filter(filter)].fetch_add(1, std::memory_order_release); }

 private:
  enum Kind : std::uint64_t { kOneLevel = 1, kTwoLevels = 2, kWhole = 3 };
  static constexpr std::uint32_t kLeadingWildcard = 0;
  static constexpr std::uint32_t kHashedSlots = 1u << 16;

  static std::string_view two_levels(std::string_view text) {
    const std::size_t one = first_level(text).size();
    return text.substr(0, one + 1 + first_level(text.substr(one + 1)).size());
  }

  std::uint32_t slot(std::string_view text, Kind kind) const {
    return 1 + static_cast<std::uint32_t>(hash_text(text, seed_ + kind) % kHashedSlots);
  }

  std::uint32_t slot_of_filter(std::string_view filter) const {
    if (!has_wildcard(filter)) return slot(filter, kWhole);
    const std::string_view one = first_level(filter);
    if (has_wildcard(one)) return kLeadingWildcard;
    const std::string_view two = two_levels(filter);
    return has_wildcard(two) ? slot(one, kOneLevel) : slot(two, kTwoLevels);
  }

  const std::uint64_t seed_;
  const std::unique_ptr<std::atomic<std::uint32_t>[]> counters_;
};

}  // namespace petrel::topics
