// RocksDB as this store uses it: one database with five columns, opened with options that bound memory and processor
// time, its errors in words. Everything that knows RocksDB's options is in database.cpp.
//
//   default   empty (RocksDB insists on it)        queue      queue key -> how to receive
//   state     sessions and what is small           bodies     message id -> message
//   retained  topic -> message
//
// Queue entries that are acknowledged, and whatever belongs to a session that is gone, are left out whenever RocksDB
// writes a file, but for their keys (filters.h); bodies are when a collector has found out which are still wanted
// (collector.h).
//
// Threads: open() and close() by the writer while it holds `use` exclusively; all else while holding it shared.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "storage/rocksdb/session_table.h"
#include "storage/store.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Env;
class IOStatus;
class Iterator;
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace petrel::storage::rocks {

// A set of message ids that may hold some it was not given: one bit for each, in a table of fixed size.
class LiveSet {
 public:
  LiveSet() : bits_(kWords) {}
  void insert(MessageId id) { bits_[word(id)] |= bit(id); }
  bool may_hold(MessageId id) const { return (bits_[word(id)] & bit(id)) != 0; }

 private:
  static constexpr std::size_t kWords = std::size_t{1} << 20;  // 8 MiB
  static std::uint64_t hash(MessageId id) { return id * 0x9e3779b97f4a7c15U >> 38; }
  static std::size_t word(MessageId id) { return hash(id) / 64; }
  static std::uint64_t bit(MessageId id) { return std::uint64_t{1} << hash(id) % 64; }
  std::vector<std::uint64_t> bits_;
};

// Which bodies a compaction may leave out: those up to the tips that are not in the set, and those that have expired.
struct LiveBodies {
  LaneTips tips;
  TimeMs expired_before = 0;
  LiveSet set;
};

enum class IfMissing { kCreate, kFail };

// What a database stands on; what is not given is the real one.
struct DatabaseSystem {
  rocksdb::Env* env = nullptr;
  std::function<int(const std::string& path)> sync_file;  // returns an error number
};

class Database {
 public:
  enum Column : std::size_t { kDefault, kState, kQueue, kBodies, kRetained, kColumns };

  // The table outlives the database.
  Database(std::string path, SessionTable& table, DatabaseSystem system = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Data whose beginning is missing is left as it is, whatever `if_missing` says.
  [[nodiscard]] Result<void, StoreError> open(IfMissing if_missing = IfMissing::kCreate);
  void close();
  bool is_open() const { return db_ != nullptr; }

  [[nodiscard]] Result<void, StoreError> write(rocksdb::WriteBatch& batch, bool sync);
  // What was written before is on the disk afterwards. RocksDB is not asked, whose SyncWAL() must not be called when a
  // write has failed: the files of its log are synced from outside.
  [[nodiscard]] Result<void, StoreError> sync();
  // Whether a small file can be written where the database is.
  [[nodiscard]] Result<void, StoreError> probe();
  void flush();
  // Rewrites a whole column; filters see every record.
  [[nodiscard]] Result<void, StoreError> compact(Column column);
  void interrupt_compaction();
  std::uint64_t file_bytes(Column column) const;
  std::uint64_t file_bytes() const;
  // All checksums of all files.
  [[nodiscard]] Result<void, StoreError> verify();

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* column(Column column) const { return columns_[column]; }
  std::unique_ptr<rocksdb::Iterator> iterate(Column column, bool keep_in_cache = false) const;
  StoreError error(const rocksdb::Status& status) const;

  void set_live_bodies(std::shared_ptr<const LiveBodies> live);
  std::shared_ptr<const LiveBodies> live_bodies() const;
  SessionTable& table() { return table_; }

  std::shared_mutex use;

 private:
  rocksdb::IOStatus sync_log() const;

  const std::string path_;
  SessionTable& table_;
  const std::function<int(const std::string& path)> sync_file_;
  const std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> columns_;
  mutable std::mutex live_mutex_;
  std::shared_ptr<const LiveBodies> live_bodies_;
  std::atomic<bool> interrupted_{false};
};

}  // namespace petrel::storage::rocks
