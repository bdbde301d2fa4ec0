// A shard's memory of who receives which topic name. A hit is one hash lookup and a comparison of versions; a miss or a
// changed version asks the index. Bounded in topics and in bytes, least recently used first (approximately).
//
// Threads: one shard's. Outlived by the index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "topics/subscription_index.h"

namespace petrel::topics {

class MatchCache {
 public:
  MatchCache(const SubscriptionIndex& index, std::size_t max_topics, std::size_t max_bytes);
  ~MatchCache();

  // Never null. Valid until the next call of match(); keep a Ref to hold it longer.
  const Ref<const MatchList>& match(std::string_view topic);

  std::uint64_t hits() const;
  std::uint64_t misses() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petrel::topics
