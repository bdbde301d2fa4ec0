#include "storage/rocksdb/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

namespace petrel::storage::rocks {
namespace {

constexpr std::string_view kPreamble = "petrel store, format ";

StoreError failure(std::string_view what, const std::string& path, int error) {
  std::string text = fmt::format("{} {}: {}", what, path, std::strerror(error));
  if (error == EACCES || error == EPERM)
    text += "; let the user petrel runs as write there, or choose another directory (--store rocksdb:DIRECTORY)";
  if (error == EROFS) text += "; mount it writable, or choose another directory (--store rocksdb:DIRECTORY)";
  if (error == ENOSPC || error == EDQUOT) text += "; free some space";
  return {text};
}

struct FileText {
  std::string text;  // "": there is no such file
};

Result<FileText, StoreError> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return FileText{};
  if (fd < 0) return failure("cannot read", path, errno);
  char text[256];
  const ssize_t size = ::read(fd, text, sizeof text);
  const int error = errno;
  ::close(fd);
  if (size < 0) return failure("cannot read", path, error);
  return FileText{{text, static_cast<std::size_t>(size)}};
}

bool sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced;
}

// Whole or not at all, whatever happens in between.
Result<void, StoreError> write_format(const std::string& directory, std::uint32_t format) {
  const std::string path = directory + "/FORMAT";
  const std::string fresh = path + ".new";
  const std::string text = fmt::format("{}{}\n", kPreamble, format);
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failure("cannot write", fresh, errno);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!written) return failure("cannot write", fresh, error);
  if (::rename(fresh.c_str(), path.c_str()) != 0 || !sync_directory(directory))
    return failure("cannot write", path, errno);
  return {};
}

std::optional<std::uint32_t> parse_format(std::string_view text) {
  if (!text.starts_with(kPreamble) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(kPreamble.size());
  text.remove_suffix(1);
  std::uint32_t format = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), format);
  if (error != std::errc() || end != text.data() + text.size() || format == 0) return std::nullopt;
  return format;
}

}  // namespace

Directory::Directory(Directory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

Directory::~Directory() {
  if (lock_ >= 0) ::close(lock_);
}

Result<Directory, StoreError> Directory::open(const std::string& given, std::uint32_t format,
                                              const std::vector<FormatStep>& steps) {
  std::error_code error;
  // "a/b/" is created as "a/b", and would not count as new.
  const std::string path = given.substr(0, std::max<std::size_t>(1, given.find_last_not_of('/') + 1));
  // Messages are nobody else's business.
  if (std::filesystem::create_directories(path, error))
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  if (error) return failure("cannot create the store's directory", path, error.value());
  const std::string lock_path = path + "/LOCK";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return failure("cannot write in the store's directory", path, errno);
  Directory directory(path, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failure("cannot lock", lock_path, errno);
    return StoreError{
        fmt::format("the store {} is in use by another process; stop that one, or choose another directory", path)};
  }
  if (auto checked = directory.check_format(format, steps); !checked.has_value()) return checked.error();
  return directory;
}

Result<void, StoreError> Directory::check_format(std::uint32_t format, const std::vector<FormatStep>& steps) const {
  const auto file = read_file(path_ + "/FORMAT");
  if (!file.has_value()) return file.error();
  if (file->text.empty()) {
    if (std::filesystem::exists(database_path()) || std::filesystem::exists(path_ + "/CURRENT"))
      return StoreError{
          fmt::format("{} holds a database, but no FORMAT file of petrel; choose another directory, or "
                      "restore the file from a backup",
                      path_)};
    return write_format(path_, format);
  }
  const auto found = parse_format(file->text);
  if (!found)
    return StoreError{
        fmt::format("{}/FORMAT is damaged: it must read \"{}{}\"; restore it from a backup", path_, kPreamble, format)};
  if (*found > format)
    return StoreError{
        fmt::format("the store {} has format {}, written by a newer petrel; this one knows formats up to "
                    "{}. Run the newer petrel, or choose another directory",
                    path_, *found, format)};
  for (std::uint32_t at = *found; at < format; ++at) {
    bool known = false;
    for (const FormatStep& step : steps) {
      if (step.from != at) continue;
      known = true;
      if (auto done = step.run(path_); !done.has_value()) return done.error();
    }
    if (!known) return StoreError{fmt::format("no way is known from format {} of the store {}", at, path_)};
    if (auto noted = write_format(path_, at + 1); !noted.has_value()) return noted.error();
  }
  return {};
}

}  // namespace petrel::storage::rocks
