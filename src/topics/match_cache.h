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
  MatchCache(const MatchCache&) = delete;
  MatchCache& operator=(const MatchCache&) = delete;

  // Never null. Valid until the next call of match(); keep a Ref to hold it longer.
  const Ref<const MatchList>& match(std::string_view topic);

  // Looks at one part of the topics in so many, in turn, and forgets those that nobody asked for since the last time it
  // came by.
  void age(std::size_t parts);
  std::size_t count() const;

  std::uint64_t hits() const;
  std::uint64_t misses() const;
  // How many subscriptions were found for topics that were not known.
  std::uint64_t looked_up() const { return looked_up_; }

 private:
  struct Impl;
  std::uint64_t looked_up_ = 0;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petrel::topics
