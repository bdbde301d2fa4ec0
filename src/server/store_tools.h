// "petrel store ...": what an operator does with a store on disk, by name (storage/rocksdb/tools.h says what each
// does).
//
// Threads: one each.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace petrel::server {

struct StoreReport {
  bool sound = false;
  std::vector<std::string> lines;  // for people
};
StoreReport check_store(const std::string& directory);
StoreReport describe_store(const std::string& directory);
StoreReport back_up_store(const std::string& directory, const std::string& backup);
StoreReport restore_store(const std::string& backup, const std::string& directory);
// JSON lines to a file that is open for writing, and from one that is open for reading.
StoreReport export_store(const std::string& directory, std::FILE* to);
StoreReport import_store(const std::string& directory, std::FILE* from);

}  // namespace petrel::server
