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

namespace petrel::storage::rocks {
namespace {

namespace fs = std::filesystem;

// A broker under full load changes its manifest a few times a second, and taking the files needs a fraction of that.
constexpr int kAttempts = 300;
constexpr std::chrono::milliseconds kBetweenAttempts{10};

StoreError failure(std::string_view what, const fs::path& path, const std::error_code& error) {
  std::string text = fmt::format("cannot {} {}: {}", what, path.string(), error.message());
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted)
    text += "; run this as the user petrel runs as";
  const bool full = error == std::errc::no_space_on_device;
  return {text + (full ? "; free some space" : ""), full};
}

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
      error.clear();
      fs::copy_file(database / name, to / name, error);  // file systems without links
    }
    if (error) return error;
  }
  for (const std::string& name : before->logs)
    if (!fs::copy_file(database / name, to / name, error)) return error;
  if (!fs::copy_file(database / before->manifest(), to / before->manifest(), error)) return error;
  std::ofstream(to / "CURRENT", std::ios::binary) << before->current;
  const auto after = look(database);
  if (!after.has_value()) return after.error();
  return after->same(*before) ? std::error_code() : std::make_error_code(std::errc::no_such_file_or_directory);
}

std::error_code sync_path(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {errno, std::generic_category()};
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return {error, std::generic_category()};
}

}  // namespace

Result<Snapshot, StoreError> Snapshot::take(const std::string& store_directory) {
  const fs::path from(store_directory);
  if (!fs::exists(from / "FORMAT")) return StoreError{fmt::format("{} holds no store of petrel", store_directory)};
  std::string path = (from / "snapshot-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr)
    return failure("make a directory in", from, std::error_code(errno, std::generic_category()));
  Snapshot snapshot(path);
  std::error_code error;
  fs::copy_file(from / "FORMAT", fs::path(path) / "FORMAT", error);
  if (error) return failure("read", from / "FORMAT", error);
  const fs::path to = fs::path(path) / "db";
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fs::remove_all(to, error);
    if (!fs::create_directory(to, error)) return failure("make", to, error);
    error = take_files(from / "db", to);
    if (!error) return snapshot;
    if (!is_gone(error)) return failure("take a snapshot of", from, error);
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
  const fs::path source(from), target(to);
  if (!fs::exists(source / "FORMAT")) return StoreError{fmt::format("{} holds no store of petrel", from)};
  std::error_code error;
  if (fs::exists(target) && !fs::is_empty(target, error))
    return StoreError{fmt::format("{} is not empty: name a directory that is not there yet", to)};
  fs::create_directories(target, error);
  fs::permissions(target, fs::perms::owner_all, error);
  if (error) return failure("make", target, error);
  fs::create_directory(target / "db", error);
  if (error) return failure("make", target / "db", error);
  for (const auto& entry : fs::directory_iterator(source / "db", error)) {
    const fs::path name = entry.path().filename();
    if (name == "LOCK" || !entry.is_regular_file()) continue;
    if (!fs::copy_file(entry.path(), target / "db" / name, error)) return failure("copy", entry.path(), error);
    error = sync_path(target / "db" / name);
    if (error) return failure("write", target / "db" / name, error);
  }
  if (error) return failure("read", source / "db", error);
  error = sync_path(target / "db");
  if (error) return failure("write", target / "db", error);
  fs::copy_file(source / "FORMAT", target / "FORMAT", error);
  if (!error) error = sync_path(target / "FORMAT");
  if (!error) error = sync_path(target);
  if (error) return failure("write", target / "FORMAT", error);
  return {};
}

bool is_in_use(const std::string& store_directory) {
  const int lock = ::open((store_directory + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) return false;
  const bool in_use = ::flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(lock);
  return in_use;
}

}  // namespace petrel::storage::rocks
