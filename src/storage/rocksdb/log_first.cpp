#include "storage/rocksdb/log_first.h"

#include <rocksdb/file_system.h>

#include <filesystem>
#include <utility>

namespace petrel::storage::rocks {
namespace {

using SyncLog = std::function<rocksdb::IOStatus()>;

// What is appended between two syncs belongs to one change of the files, and was decided before its first byte.
class Manifest final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Manifest(std::unique_ptr<rocksdb::FSWritableFile>&& file, const SyncLog& sync_log)
      : FSWritableFileOwnerWrapper(std::move(file)), sync_log_(sync_log) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (auto synced = log_first(); !synced.ok()) return synced;
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& verification, rocksdb::IODebugContext* debug) override {
    if (auto synced = log_first(); !synced.ok()) return synced;
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    log_is_synced_ = false;
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    log_is_synced_ = false;
    return FSWritableFileOwnerWrapper::Fsync(options, debug);
  }

 private:
  rocksdb::IOStatus log_first() {
    if (log_is_synced_) return rocksdb::IOStatus::OK();
    auto synced = sync_log_();
    log_is_synced_ = synced.ok();
    return synced;
  }

  const SyncLog& sync_log_;
  bool log_is_synced_ = false;
};

class LogFirstFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  LogFirstFileSystem(const std::shared_ptr<rocksdb::FileSystem>& base, SyncLog sync_log)
      : FileSystemWrapper(base), sync_log_(std::move(sync_log)) {}
  const char* Name() const override { return "petrel.LogFirstFileSystem"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    auto made = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (made.ok() && std::filesystem::path(name).filename().native().starts_with("MANIFEST-"))
      *file = std::make_unique<Manifest>(std::move(*file), sync_log_);
    return made;
  }

 private:
  const SyncLog sync_log_;
};

// Threads and time are the base's.
class LogFirstEnv final : public rocksdb::EnvWrapper {
 public:
  LogFirstEnv(rocksdb::Env& base, SyncLog sync_log) : EnvWrapper(&base) {
    file_system_ = std::make_shared<LogFirstFileSystem>(base.GetFileSystem(), std::move(sync_log));
    system_clock_ = base.GetSystemClock();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> log_first_env(rocksdb::Env& base, std::function<rocksdb::IOStatus()> sync_log) {
  return std::make_unique<LogFirstEnv>(base, std::move(sync_log));
}

}  // namespace petrel::storage::rocks
