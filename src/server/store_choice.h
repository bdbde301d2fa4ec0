// Which store the configuration asks for, and opening it: "memory", "rocksdb:DIRECTORY", or "rocksdb" in the usual
// directory of this user.
//
// Threads: one, before anything starts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "server/config.h"
#include "storage/store.h"

namespace petrel::server {

struct StoreChoice {
  enum class Kind { kMemory, kRocksdb };
  Kind kind = Kind::kMemory;
  std::string directory;
};

struct StoreMistake {
  std::string what;
};

// As it would be written with the directory it means: "memory", "rocksdb:/var/lib/petrel".
std::string store_text(const Config& config);

Result<StoreChoice, StoreMistake> parse_store(const std::string& text);

// $STATE_DIRECTORY (systemd sets it), /var/lib/petrel for root and for those who can write there, else
// $XDG_STATE_HOME/petrel or ~/.local/state/petrel.
std::string usual_directory();

// The log outlives the store.
Result<std::unique_ptr<storage::Store>, storage::StoreError> open_store(const Config& config, Log& log);

}  // namespace petrel::server
