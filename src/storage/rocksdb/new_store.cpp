#include "storage/rocksdb/new_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace petrel::storage::rocks {

namespace fs = std::filesystem;

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

StoreError file_error(std::string_view what, const fs::path& path, const std::error_code& error) {
  std::string text = fmt::format("cannot {} {}: {}", what, path.string(), error.message());
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted)
    text += "; run this as the user petrel runs as";
  if (error == std::errc::read_only_file_system) text += "; mount it writable, or name a directory elsewhere";
  const bool full = error == std::errc::no_space_on_device || error == std::errc::file_too_large;
  return {text + (full ? "; free some space" : ""), full};
}

namespace {

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)), error_(errno) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  int error() const { return fd_ >= 0 ? 0 : error_; }

 private:
  int fd_, error_;
};

// An error number.
int copy_bytes(int from, int to) {
  struct stat about {};
  if (::fstat(from, &about) != 0) return errno;
  std::vector<char> room(kCopyBytes);
  for (auto left = static_cast<std::size_t>(about.st_size); left != 0;) {
    const ssize_t read = ::read(from, room.data(), std::min(left, room.size()));
    if (read < 0) return errno;
    if (read == 0) return 0;
    for (ssize_t at = 0; at < read;) {
      const ssize_t written = ::write(to, room.data() + at, static_cast<std::size_t>(read - at));
      if (written < 0) return errno;
      at += written;
    }
    left -= static_cast<std::size_t>(read);
  }
  return 0;
}

}  // namespace

std::error_code copy_bytes(const fs::path& from, const fs::path& to) {
  const Descriptor source(from, O_RDONLY);
  if (source.error() != 0) return {source.error(), std::generic_category()};
  const Descriptor target(to, O_WRONLY | O_CREAT | O_EXCL);
  if (target.error() != 0) return {target.error(), std::generic_category()};
  return {copy_bytes(source.fd(), target.fd()), std::generic_category()};
}

std::error_code sync_path(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {errno, std::generic_category()};
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return {error, std::generic_category()};
}

Result<void, StoreError> require_store(const std::string& directory) {
  std::error_code error;
  if (fs::exists(fs::path(directory) / "FORMAT", error)) return {};
  if (error) return file_error("look into", directory, error);
  return StoreError{fmt::format("{} holds no store of petrel", directory)};
}

Result<NewStore, StoreError> NewStore::begin(const std::string& directory) {
  // "a/b/" is created as "a/b", and would not count as new.
  const fs::path path = directory.substr(0, std::max<std::size_t>(1, directory.find_last_not_of('/') + 1));
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  if (error) return file_error("make", path, error);
  NewStore store(path, made);
  if (!made && !fs::is_empty(path, error)) {
    store.path_.clear();
    if (error) return file_error("look into", path, error);
    return StoreError{fmt::format("{} is not empty: name a directory that is not there yet", directory)};
  }
  // Messages are nobody else's business.
  fs::permissions(path, fs::perms::owner_all, error);
  if (error) return file_error("make", path, error);
  return store;
}

NewStore::NewStore(NewStore&& other) noexcept : path_(std::exchange(other.path_, {})), made_(other.made_) {}

NewStore::~NewStore() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_ / "db", ignored);
  for (const char* name : {"FORMAT", "FORMAT.new", "FORMAT.unfinished", "LOCK"}) fs::remove(path_ / name, ignored);
  if (made_) fs::remove(path_, ignored);
}

Result<void, StoreError> NewStore::finish() {
  std::error_code error = sync_path(unfinished_format());
  if (!error) error = sync_path(path_);
  if (!error) fs::rename(unfinished_format(), path_ / "FORMAT", error);
  if (!error) error = sync_path(path_);
  if (error) return file_error("write", path_ / "FORMAT", error);
  path_.clear();
  return {};
}

}  // namespace petrel::storage::rocks
