// The store's directory: DIR/FORMAT says which format the data has, DIR/LOCK keeps a second process out, DIR/db/ is
// RocksDB's. A directory of a newer format is refused; one of an older format is brought up step by step.
//
// Threads: one. The lock lives as long as the object.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/store.h"

namespace petrel::storage::rocks {

inline constexpr std::uint32_t kFormat = 1;

// Rewrites data of format `from` as format `from` + 1. It may be repeated: the format is noted only after it.
struct FormatStep {
  std::uint32_t from;
  std::function<Result<void, StoreError>(const std::string& directory)> run;
};

class Directory {
 public:
  // Creates what is missing, takes the lock, checks the format and upgrades it.
  static Result<Directory, StoreError> open(const std::string& path, std::uint32_t format = kFormat,
                                            const std::vector<FormatStep>& steps = {});
  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/db"; }

 private:
  Directory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Result<void, StoreError> check_format(std::uint32_t format, const std::vector<FormatStep>& steps) const;

  std::string path_;
  int lock_ = -1;
};

}  // namespace petrel::storage::rocks
