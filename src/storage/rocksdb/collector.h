// Takes bodies off the disk that no queue refers to, and those that have expired. Nothing counts references: when the
// bodies' files have grown to twice what was left the last time, the collector reads which entries wait in the queues,
// marks their messages, and has RocksDB rewrite the bodies without the others. A message that arrives meanwhile is not
// touched: only ids that were committed before the queues were read can go.
//
// Threads: one, the store's for this, which holds the database's `use` shared.
#pragma once

#include <atomic>
#include <cstdint>

#include "storage/rocksdb/database.h"

namespace petrel::storage::rocks {

class Collector {
 public:
  Collector(Database& database, std::uint64_t least_bytes) : database_(database), least_bytes_(least_bytes) {}

  bool due() const;
  [[nodiscard]] Result<void, StoreError> collect();
  void stop() { stopping_ = true; }

 private:
  [[nodiscard]] Result<std::shared_ptr<const LiveBodies>, StoreError> mark() const;

  Database& database_;
  const std::uint64_t least_bytes_;
  std::uint64_t bodies_left_ = 0, queue_left_ = 0;
  std::atomic<bool> stopping_{false};
};

}  // namespace petrel::storage::rocks
