// A disk that fails when a test says so: the n-th change fails, all do for a while ("full"), or the power goes, and
// what was not synced is lost. Under RocksDB, as its Env.
//
// Threads: any. Outlives the store that uses it; power_loss() while no store does.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace petrel::storage {

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  enum class Fault { kNone, kError, kNoSpace, kPowerOff };

  FaultFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "petrel.FaultFileSystem"; }

  // Every change fails so, until told otherwise.
  void fail_all(Fault fault) { fault_ = fault; }
  // The n-th change from now (1: the next) fails, once.
  void fail_at(long n, Fault fault) {
    once_ = fault;
    countdown_ = n;
  }
  // `then` happens, once, on the thread that begins the next file whose name ends so, before anything is in it.
  void at_next_file(std::string ending, std::function<void()> then) {
    const std::lock_guard lock(mutex_);
    awaited_ending_ = std::move(ending);
    at_next_file_ = std::move(then);
  }
  long syncs() const { return syncs_; }

  // Files go back to what was synced.
  void power_loss() {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, sizes] : files_) {
      std::error_code ignored;
      if (std::filesystem::exists(name)) std::filesystem::resize_file(name, sizes.synced, ignored);
    }
    files_.clear();
    fault_ = Fault::kNone;
  }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (auto failed = change(); !failed.ok()) return failed;
    auto renamed = FileSystemWrapper::RenameFile(from, to, options, debug);
    const std::lock_guard lock(mutex_);
    if (auto node = files_.extract(from); renamed.ok() && !node.empty()) {
      files_.erase(to);
      node.key() = to;
      files_.insert(std::move(node));
    }
    return renamed;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (fault_ == Fault::kPowerOff) return rocksdb::IOStatus::IOError("the power is off");
    const std::lock_guard lock(mutex_);
    files_.erase(name);
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }

  // As RocksStoreOptions::sync_file.
  int sync_file(const std::string& name) {
    if (!change().ok()) return EIO;
    synced(name);
    ++syncs_;
    return 0;
  }

  // Ok, or how this change fails.
  rocksdb::IOStatus change() {
    Fault fault = fault_;
    if (fault == Fault::kNone && countdown_ > 0 && --countdown_ == 0) fault = once_;
    if (fault == Fault::kNone) return rocksdb::IOStatus::OK();
    if (fault == Fault::kNoSpace) return rocksdb::IOStatus::NoSpace("No space left on device");
    return rocksdb::IOStatus::IOError(fault == Fault::kPowerOff ? "the power is off" : "Input/output error");
  }
  void appended(const std::string& name, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    files_[name].written += bytes;
  }
  void synced(const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (const auto found = files_.find(name); found != files_.end()) found->second.synced = found->second.written;
  }

 private:
  struct Sizes {
    std::uint64_t written = 0, synced = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Sizes> files_;
  std::string awaited_ending_;
  std::function<void()> at_next_file_;
  std::atomic<Fault> fault_{Fault::kNone}, once_{Fault::kNone};
  std::atomic<long> countdown_{0}, syncs_{0};
};

class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultFile(FaultFileSystem& system, std::string name, std::unique_ptr<rocksdb::FSWritableFile>&& file)
      : FSWritableFileOwnerWrapper(std::move(file)), system_(system), name_(std::move(name)) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (auto failed = system_.change(); !failed.ok()) return failed;
    system_.appended(name_, data.size());
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    (void)options;
    (void)debug;
    if (auto failed = system_.change(); !failed.ok()) return failed;
    system_.synced(name_);  // for this process the system's memory is as good as a disk
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  FaultFileSystem& system_;
  const std::string name_;
};

// Directories are not synced: here power_loss() takes no file away, and a test has no time for the disk.
class FaultDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  using FSDirectoryWrapper::FSDirectoryWrapper;
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions&, rocksdb::IODebugContext*,
                                        const rocksdb::DirFsyncOptions&) override {
    return rocksdb::IOStatus::OK();
  }
};

inline rocksdb::IOStatus FaultFileSystem::NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                                       std::unique_ptr<rocksdb::FSDirectory>* directory,
                                                       rocksdb::IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> plain;
  auto made = FileSystemWrapper::NewDirectory(name, options, &plain, debug);
  if (made.ok()) *directory = std::make_unique<FaultDirectory>(std::move(plain));
  return made;
}

inline rocksdb::IOStatus FaultFileSystem::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                                          rocksdb::IODebugContext* debug) {
  if (auto failed = change(); !failed.ok()) return failed;
  std::unique_ptr<rocksdb::FSWritableFile> plain;
  auto made = FileSystemWrapper::NewWritableFile(name, options, &plain, debug);
  if (!made.ok()) return made;
  std::function<void()> then;
  {
    const std::lock_guard lock(mutex_);
    files_[name] = {};
    if (name.ends_with(awaited_ending_)) then.swap(at_next_file_);
  }
  if (then) then();
  *file = std::make_unique<FaultFile>(*this, name, std::move(plain));
  return made;
}

// RocksDB rests a second after a failed flush; a test need not.
class FaultEnv final : public rocksdb::EnvWrapper {
 public:
  explicit FaultEnv(const std::shared_ptr<FaultFileSystem>& system) : FaultEnv(rocksdb::NewCompositeEnv(system)) {}
  void SleepForMicroseconds(int) override {}

 private:
  explicit FaultEnv(std::unique_ptr<rocksdb::Env> env) : EnvWrapper(env.get()), env_(std::move(env)) {}
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace petrel::storage
