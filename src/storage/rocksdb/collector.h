// Takes off the disk what nobody needs: queue entries that are acknowledged, what belonged to sessions that have ended,
// bodies that no queue refers to, and those that have expired. A column is rewritten when its files have grown to twice
// what was left the last time; that of the sessions' state also when more sessions have ended than there are.
//
// Nothing counts references to bodies: the collector reads which entries wait in the queues, marks their messages, and
// has RocksDB rewrite the bodies without the others. A message that arrives meanwhile is not touched: only ids that
// were committed before the queues were read can go.
//
// Threads: one, the store's for this, which holds the database's `use` shared.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "storage/rocksdb/database.h"

namespace petrel::storage::rocks {

class Collector {
 public:
  Collector(Database& database, std::uint64_t least_bytes) : database_(database), least_bytes_(least_bytes) {}

  bool due() const { return is_due(Database::kQueue) || is_due(Database::kState) || is_due(Database::kBodies); }
  // Of the columns that are due, or of all.
  [[nodiscard]] Result<void, StoreError> collect_due();
  [[nodiscard]] Result<void, StoreError> collect();
  void stop() { stopping_ = true; }

 private:
  bool is_due(Database::Column column) const;
  bool many_have_ended() const;
  [[nodiscard]] Result<void, StoreError> collect(Database::Column column);
  [[nodiscard]] Result<void, StoreError> collect_state();
  [[nodiscard]] Result<void, StoreError> collect_bodies();
  [[nodiscard]] Result<std::shared_ptr<const LiveBodies>, StoreError> mark() const;

  Database& database_;
  const std::uint64_t least_bytes_;
  std::array<std::uint64_t, Database::kColumns> left_{};  // bytes, the last time
  std::atomic<bool> stopping_{false};
};

}  // namespace petrel::storage::rocks
