// A directory in which a store is being made, by an import or a copy. Until it is finished it has no FORMAT, so that a
// broker refuses it, whatever ends the work; and when the work fails, what was made goes with the object.
//
// Threads: one.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "base/result.h"
#include "storage/store.h"

namespace petrel::storage::rocks {

// "cannot WHAT PATH: why", and what to do about it.
StoreError file_error(std::string_view what, const std::filesystem::path& path, const std::error_code& error);
// As much as the file has at the beginning, into a new one. (That of the standard library takes a full disk for a
// broken one.)
std::error_code copy_bytes(const std::filesystem::path& from, const std::filesystem::path& to);
// Waits until a file or directory is on the disk.
std::error_code sync_path(const std::filesystem::path& path);
// Whether a store is there, and may be looked at.
Result<void, StoreError> require_store(const std::string& directory);

class NewStore {
 public:
  // The directory must be empty or not there.
  static Result<NewStore, StoreError> begin(const std::string& directory);
  NewStore(NewStore&& other) noexcept;
  NewStore& operator=(NewStore&&) = delete;
  ~NewStore();

  const std::filesystem::path& path() const { return path_; }
  // Where FORMAT is until the end.
  std::filesystem::path unfinished_format() const { return path_ / "FORMAT.unfinished"; }
  // All else is on the disk: from now on it is a store, and stays.
  Result<void, StoreError> finish();

 private:
  NewStore(std::filesystem::path path, bool made) : path_(std::move(path)), made_(made) {}
  std::filesystem::path path_;  // empty: nothing is to be removed
  bool made_;                   // the directory itself, too
};

}  // namespace petrel::storage::rocks
