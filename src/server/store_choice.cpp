#include "server/store_choice.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "server/config_table.h"
#include "storage/memory/memory_store.h"
#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::server {
namespace {

constexpr std::string_view kRocksdb = "rocksdb";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string usual_directory() {
  if (std::string state = environment("STATE_DIRECTORY"); !state.empty()) return state.substr(0, state.find(':'));
  constexpr const char* kSystem = "/var/lib/petrel";
  if (::geteuid() == 0 || ::access(kSystem, W_OK | X_OK) == 0) return kSystem;
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) return state + "/petrel";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.local/state/petrel";
  return "petrel-data";
}

Result<StoreChoice, StoreMistake> parse_store(const std::string& text) {
  StoreChoice choice;
  if (text == "memory") return choice;
  choice.kind = StoreChoice::Kind::kRocksdb;
  if (text == kRocksdb) {
    choice.directory = usual_directory();
    return choice;
  }
  if (text.starts_with("rocksdb:") && text.size() > kRocksdb.size() + 1) {
    choice.directory = text.substr(kRocksdb.size() + 1);
    return choice;
  }
  return StoreMistake{
      fmt::format("there is no store {}; write \"memory\", \"rocksdb\" or \"rocksdb:DIRECTORY\"", toml_string(text))};
}

std::string store_text(const Config& config) {
  const auto choice = parse_store(config.store);
  if (!choice.has_value() || choice->kind == StoreChoice::Kind::kMemory) return config.store;
  return fmt::format("{}:{}", kRocksdb, choice->directory);
}

Result<std::unique_ptr<storage::Store>, storage::StoreError> open_store(const Config& config, Log& log) {
  const auto choice = parse_store(config.store);
  if (!choice.has_value()) return storage::StoreError{choice.error().what};
  if (choice->kind == StoreChoice::Kind::kMemory)
    return std::unique_ptr<storage::Store>(std::make_unique<storage::MemoryStore>(storage::MemoryStoreOptions{}));
  storage::RocksStoreOptions options;
  options.directory = choice->directory;
  options.sync = config.sync;
  options.log = &log;
  auto opened = storage::RocksStore::open(std::move(options));
  if (!opened.has_value()) return opened.error();
  return std::unique_ptr<storage::Store>(std::move(*opened));
}

}  // namespace petrel::server
