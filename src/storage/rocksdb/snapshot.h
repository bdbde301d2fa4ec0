// The files of a store as they were at one moment, while a broker goes on using them: what backup, export and info
// read. The broker is not asked and need not run.
//
// How: RocksDB never changes a table file, appends to its log and to its manifest, and deletes a file only after the
// manifest says that it is not needed. So table files are linked, logs are copied from the newest to the oldest (an
// older one is complete once there is a newer), and if neither the manifest nor the list of logs has changed meanwhile,
// what was taken is the store as it was when the newest log was read: all that was acknowledged before is in it. If
// they have changed, it is tried again.
//
// Threads: one. The snapshot lies in a directory beside the database, which goes with the object.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/store.h"

namespace petrel::storage::rocks {

class Snapshot {
 public:
  static Result<Snapshot, StoreError> take(const std::string& store_directory);
  Snapshot(Snapshot&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  Snapshot& operator=(Snapshot&&) = delete;
  ~Snapshot();

  // A store's directory: FORMAT and db/.
  const std::string& path() const { return path_; }

 private:
  explicit Snapshot(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Copies a store that nobody uses to a directory that is empty or not there (new_store.h): of a copy that fails nothing
// is left.
Result<void, StoreError> copy_store(const std::string& from, const std::string& to);

// Whether a broker (or another tool) holds the store's lock.
bool is_in_use(const std::string& store_directory);

}  // namespace petrel::storage::rocks
