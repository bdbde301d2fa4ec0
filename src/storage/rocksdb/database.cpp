#include "storage/rocksdb/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "storage/rocksdb/filters.h"
#include "storage/rocksdb/log_first.h"

namespace petrel::storage::rocks {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kCacheBytes = 32 * kMiB;
constexpr std::size_t kMemtableBytes = 16 * kMiB;  // of queue and bodies; state and retained have a quarter
constexpr std::size_t kAllMemtableBytes = 64 * kMiB;
constexpr std::size_t kLogBytes = 64 * kMiB;  // replayed after a crash: some tenths of a second
constexpr std::size_t kBlockBytes = std::size_t{16} << 10;
constexpr std::size_t kArenaBytes = std::size_t{64} << 10;
constexpr std::size_t kProbeBytes = std::size_t{64} << 10;
constexpr const char* kColumnNames[] = {"default", "state", "queue", "bodies", "retained"};

// A session's entries come in the order of their keys: RocksDB remembers where the last of each session went.
class SessionPrefix final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "petrel.session"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), 1 + static_cast<std::size_t>(key[0])};
  }
  // The bare prefix is out: in logs of earlier versions it begins a range deletion, which RocksDB keeps in another
  // list, and it would take one list's place for the other's.
  bool InDomain(const rocksdb::Slice& key) const override {
    return !key.empty() && 1 + static_cast<std::size_t>(key[0]) < key.size();
  }
};

// Of a full disk RocksDB recovers by a thread of its own, which goes on with the log whose write has failed; it is told
// not to. The store opens it again.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* recover) override {
    *recover = false;
  }
};

// RocksDB's own log would be a file beside the data. When the disk is full a write to it fails, and Debian's build,
// which has assertions, ends the process at the next. What goes wrong comes back as errors, and those are logged.
class NoLog final : public rocksdb::Logger {
 public:
  NoLog() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::DBOptions database_options(rocksdb::Env& env, IfMissing if_missing) {
  rocksdb::DBOptions options;
  options.env = &env;
  options.create_if_missing = if_missing == IfMissing::kCreate;
  options.create_missing_column_families = true;
  options.max_total_wal_size = kLogBytes;
  options.db_write_buffer_size = kAllMemtableBytes;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.info_log = std::make_shared<NoLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.bytes_per_sync = kMiB;
  // One thread writes.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  // After a power failure the log ends where it was last whole; what comes behind it was promised to nobody.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.avoid_flush_during_recovery = true;
  // A failed write is taken up again by the store itself, which must know.
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<NoRecovery>());
  options.manifest_preallocation_size = kArenaBytes;
  return options;
}

rocksdb::ColumnFamilyOptions column_options(Database::Column column, Database& database,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = kBlockBytes;
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kLZ4Compression;
  const bool large = column == Database::kQueue || column == Database::kBodies;
  options.write_buffer_size = large ? kMemtableBytes : kMemtableBytes / 4;
  options.max_write_buffer_number = 3;
  options.arena_block_size = kArenaBytes;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 32 * kMiB;
  options.max_bytes_for_level_base = 128 * kMiB;
  if (column == Database::kState) options.compaction_filter_factory = state_filter(database);
  if (column == Database::kQueue) {
    options.compaction_filter_factory = queue_filter(database);
    options.memtable_insert_with_hint_prefix_extractor = std::make_shared<SessionPrefix>();
  }
  if (column == Database::kBodies) options.compaction_filter_factory = body_filter(database);
  return options;
}

int sync_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::fdatasync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

StoreError plain(std::string text) { return {std::move(text)}; }

// Data of a database, but not the file that says which of it counts.
bool has_lost_its_head(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path / "CURRENT", error) || error) return false;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    if (at->path().extension() == ".sst" || at->path().extension() == ".log") return true;
  return false;
}

}  // namespace

Database::Database(std::string path, SessionTable& table, DatabaseSystem system)
    : path_(std::move(path)),
      table_(table),
      sync_file_(system.sync_file ? std::move(system.sync_file) : sync_file),
      env_(log_first_env(system.env != nullptr ? *system.env : *rocksdb::Env::Default(),
                         [this] { return sync_log(); })) {}

Database::~Database() { close(); }

StoreError Database::error(const rocksdb::Status& status) const {
  const std::string text = status.ToString();
  if (status.IsNoSpace() || text.find("No space left") != std::string::npos ||
      text.find("Disk quota exceeded") != std::string::npos || text.find("File too large") != std::string::npos)
    return {fmt::format("the disk of {} is full: free some space ({})", path_, text), true};
  if (status.IsCorruption())
    return plain(
        fmt::format("the store {} is damaged: run \"petrel store check\" on its directory, and restore it from "
                    "a backup or begin with an empty one ({})",
                    path_, text));
  if (text.find("Permission denied") != std::string::npos)
    return plain(fmt::format("{} is not writable for the user petrel runs as ({})", path_, text));
  if (text.find("Read-only file system") != std::string::npos)
    return plain(fmt::format("{} is on a read-only file system: mount it writable ({})", path_, text));
  if (text.find("While lock file") != std::string::npos)
    return plain(fmt::format("the store {} is in use by another process: stop that one ({})", path_, text));
  return plain(fmt::format("the store {}: {}", path_, text));
}

Result<void, StoreError> Database::open(IfMissing if_missing) {
  close();
  // RocksDB would begin a new database, and take these files for nobody's and remove them.
  if (has_lost_its_head(path_))
    return plain(
        fmt::format("the store {} is damaged: it has data, but no file CURRENT; restore it from a backup, or begin "
                    "with an empty one",
                    path_));
  std::error_code ignored;
  if (if_missing == IfMissing::kFail && !std::filesystem::exists(path_ + "/CURRENT", ignored))
    return plain(fmt::format("{} holds no database: nothing was stored yet, or it was removed", path_));
  {
    // RocksDB may rewrite files as soon as it is open: nothing is to be left out by what the table knew before.
    const std::lock_guard lock(table_.mutex);
    table_.loaded = false;
  }
  interrupted_ = false;
  const auto cache = rocksdb::NewLRUCache(kCacheBytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (std::size_t i = 0; i < kColumns; ++i)
    descriptors.emplace_back(kColumnNames[i], column_options(static_cast<Column>(i), *this, cache));
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(database_options(*env_, if_missing), path_, descriptors, &columns_, &opened);
  if (!status.ok()) {
    columns_.clear();
    return error(status);
  }
  db_.reset(opened);
  // What was read from the log counts as written from now on, and new records continue it: it must not lose its end in
  // a power failure, or those would be lost with it.
  auto synced = sync();
  if (!synced.has_value()) close();
  return synced;
}

void Database::close() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : columns_) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  columns_.clear();
  db_->Close().PermitUncheckedError();
  db_.reset();
}

Result<void, StoreError> Database::write(rocksdb::WriteBatch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  if (const rocksdb::Status status = db_->Write(options, &batch); !status.ok()) return error(status);
  return {};
}

Result<void, StoreError> Database::sync() {
  if (const rocksdb::IOStatus synced = sync_log(); !synced.ok()) return error(synced);
  return {};
}

rocksdb::IOStatus Database::sync_log() const {
  std::error_code failed;
  for (std::filesystem::directory_iterator at(path_, failed), end; !failed && at != end; at.increment(failed)) {
    if (at->path().extension() != ".log") continue;
    const int error = sync_file_(at->path().string());
    // A log that is gone was not needed any more.
    if (error != 0 && error != ENOENT) return rocksdb::IOStatus::IOError(at->path().string(), std::strerror(error));
  }
  const int error = failed ? failed.value() : sync_file_(path_);
  if (error != 0) return rocksdb::IOStatus::IOError(path_, std::strerror(error));
  return rocksdb::IOStatus::OK();
}

Result<void, StoreError> Database::probe() {
  const std::string name = path_ + "/PROBE";
  const std::string bytes(kProbeBytes, '\0');
  const rocksdb::Status status = rocksdb::WriteStringToFile(env_.get(), bytes, name, true);
  env_->DeleteFile(name).PermitUncheckedError();
  if (!status.ok()) return error(status);
  return {};
}

void Database::flush() {
  rocksdb::FlushOptions options;
  db_->Flush(options, columns_).PermitUncheckedError();
}

Result<void, StoreError> Database::compact(Column column) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.canceled = &interrupted_;
  if (const rocksdb::Status status = db_->CompactRange(options, columns_[column], nullptr, nullptr); !status.ok())
    return error(status);
  return {};
}

void Database::interrupt_compaction() { interrupted_ = true; }

std::uint64_t Database::file_bytes(Column column) const {
  std::uint64_t bytes = 0;
  db_->GetIntProperty(columns_[column], rocksdb::DB::Properties::kLiveSstFilesSize, &bytes);
  return bytes;
}

std::uint64_t Database::file_bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < kColumns; ++i) bytes += file_bytes(static_cast<Column>(i));
  return bytes;
}

Result<void, StoreError> Database::verify() {
  if (const rocksdb::Status status = db_->VerifyChecksum(); !status.ok()) return error(status);
  return {};
}

std::unique_ptr<rocksdb::Iterator> Database::iterate(Column column, bool keep_in_cache) const {
  rocksdb::ReadOptions options;
  options.fill_cache = keep_in_cache;
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options, columns_[column]));
}

void Database::set_live_bodies(std::shared_ptr<const LiveBodies> live) {
  const std::lock_guard lock(live_mutex_);
  live_bodies_ = std::move(live);
}

std::shared_ptr<const LiveBodies> Database::live_bodies() const {
  const std::lock_guard lock(live_mutex_);
  return live_bodies_;
}

}  // namespace petrel::storage::rocks
