#include "storage/rocksdb/snapshot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "storage/rocksdb/new_store.h"

namespace petrel::storage::rocks {
namespace {

namespace fs = std::filesystem;

// A broker under full load changes its manifest a few times a second, and taking the files needs a fraction of that.
constexpr int kAttempts = 300;
constexpr std::chrono::milliseconds kBetweenAttempts{10};

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What must stay the same while files are taken.
struct State {
  std::string current;
  std::uintmax_t manifest_bytes = 0;
  std::vector<std::string> logs;    // newest first
  std::vector<std::string> tables;  // changes in it do not matter
  bool same(const State& other) const {
    return current == other.current && manifest_bytes == other.manifest_bytes && logs == other.logs;
  }
  std::string manifest() const { return current.substr(0, current.find('\n')); }
};

Result<State, std::error_code> look(const fs::path& database) {
  State state;
  std::error_code error;
  state.current = read_text(database / "CURRENT");
  if (state.current.empty()) return std::make_error_code(std::errc::no_such_file_or_directory);
  state.manifest_bytes = fs::file_size(database / state.manifest(), error);
  if (error) return error;
  for (fs::directory_iterator at(database, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".log")) state.logs.push_back(name);
    if (name.ends_with(".sst")) state.tables.push_back(name);
  }
  if (error) return error;
  // The names are numbers with leading zeros.
  std::sort(state.logs.begin(), state.logs.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a > b;
  });
  return state;
}

bool is_gone(const std::error_code& error) { return error == std::errc::no_such_file_or_directory; }

// One attempt: 0 when all was taken, ENOENT when something changed.
std::error_code take_files(const fs::path& database, const fs::path& to) {
  const auto before = look(database);
  if (!before.has_value()) return before.error();
  std::error_code error;
  for (const std::string& name : before->tables) {
    fs::create_hard_link(database / name, to / name, error);
    if (error && !is_gone(error)) {
      error = copy_bytes(database / name, to / name);  // file systems without links
    }
    if (error) return error;
  }
  for (const std::string& name : before->logs)
    if (error = copy_bytes(database / name, to / name); error) return error;
  error = copy_bytes(database / before->manifest(), to / before->manifest());
  if (error) return error;
  std::ofstream current(to / "CURRENT", std::ios::binary);
  if (!(current << before->current << std::flush)) return std::make_error_code(std::errc::no_space_on_device);
  const auto after = look(database);
  if (!after.has_value()) return after.error();
  return after->same(*before) ? std::error_code() : std::make_error_code(std::errc::no_such_file_or_directory);
}

}  // namespace

Result<Snapshot, StoreError> Snapshot::take(const std::string& store_directory) {
  const fs::path from(store_directory);
  if (auto there = require_store(store_directory); !there.has_value()) return there.error();
  std::string path = (from / "snapshot-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr)
    return file_error("make a directory in", from, std::error_code(errno, std::generic_category()));
  Snapshot snapshot(path);
  std::error_code error;
  error = copy_bytes(from / "FORMAT", fs::path(path) / "FORMAT");
  if (error) return file_error("read", from / "FORMAT", error);
  const fs::path to = fs::path(path) / "db";
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fs::remove_all(to, error);
    if (!fs::create_directory(to, error)) return file_error("make", to, error);
    error = take_files(from / "db", to);
    if (!error) return snapshot;
    if (!is_gone(error)) return file_error("take a snapshot of", from, error);
    // Nobody changes them.
    if (!is_in_use(store_directory))
      return StoreError{fmt::format(
          "the store {} is damaged: it has no file CURRENT, or lacks one that this names; restore it from a backup",
          from.string())};
    std::this_thread::sleep_for(kBetweenAttempts);
  }
  return StoreError{fmt::format(
      "the files of {} change too fast, or some are missing; try again when there is less load", store_directory)};
}

Snapshot::~Snapshot() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<void, StoreError> copy_store(const std::string& from, const std::string& to) {
  if (auto there = require_store(from); !there.has_value()) return there;
  auto made = NewStore::begin(to);
  if (!made.has_value()) return made.error();
  const fs::path source(from), target = made->path();
  std::error_code error;
  fs::create_directory(target / "db", error);
  if (error) return file_error("make", target / "db", error);
  fs::directory_iterator at(source / "db", error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    const fs::path name = at->path().filename();
    if (name == "LOCK" || !at->is_regular_file(error)) continue;
    if (error = copy_bytes(at->path(), target / "db" / name); error)
      return file_error(fmt::format("copy {} to", at->path().string()), target / "db", error);
    if (const std::error_code unsynced = sync_path(target / "db" / name))
      return file_error("write", target / "db" / name, unsynced);
  }
  if (error) return file_error("read", source / "db", error);
  error = sync_path(target / "db");
  if (error) return file_error("write", target / "db", error);
  error = copy_bytes(source / "FORMAT", made->unfinished_format());
  if (error) return file_error("write", made->unfinished_format(), error);
  return made->finish();
}

bool is_in_use(const std::string& store_directory) {
  const int lock = ::open((store_directory + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) return false;
  const bool in_use = ::flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(lock);
  return in_use;
}

}  // namespace petrel::storage::rocks
