// Whether the store takes changes, as the shards have been told by their lanes. Threads: any; it guards itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "storage/store.h"

namespace petrel::broker {

class StoreHealth {
 public:
  explicit StoreHealth(std::uint32_t shards) : troubles_(shards) {}

  // What a shard has been told; nothing: the trouble is over.
  void set(std::uint32_t shard, std::optional<storage::StoreError> trouble) {
    const std::lock_guard lock(mutex_);
    troubles_[shard] = std::move(trouble);
  }
  // Of any shard; nothing: the store takes changes.
  std::optional<storage::StoreError> trouble() const {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(troubles_.begin(), troubles_.end(), [](const auto& one) { return one.has_value(); });
    return found == troubles_.end() ? std::nullopt : *found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::optional<storage::StoreError>> troubles_;  // by shard
};

}  // namespace petrel::broker
