#include "server/file_watcher.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/thread_name.h"

namespace petrel::server {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr int kMaxLinks = 40;  // as the kernel has it

// What tells one state of a file from another.
std::string state_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return fmt::format("{}: {}\n", path, errno);
  std::string state =
      fmt::format("{}: {} {} {} {}.{} {}.{}\n", path, status.st_dev, status.st_ino, status.st_size,
                  status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  if (!S_ISDIR(status.st_mode)) return state;
  std::error_code error;
  std::vector<std::string> entries;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    if (it->is_regular_file(error)) entries.push_back(it->path());
  std::sort(entries.begin(), entries.end());
  for (const std::string& entry : entries) state += state_of(entry);
  return state;
}

std::string state_of(const std::vector<std::string>& files) {
  std::string state;
  for (const std::string& file : files) state += state_of(file);
  return state;
}

void add_folders(const fs::path& path, std::set<std::string>& folders, int links_left) {
  fs::path done = "/";
  for (auto part = path.begin(); part != path.end(); ++part) {
    if (*part == "/" || *part == "." || part->empty()) continue;
    if (*part == "..") {
      done = done.parent_path();
      continue;
    }
    const fs::path next = done / *part;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(next, error);
    if (!fs::exists(status)) break;
    if (fs::is_symlink(status)) {
      folders.insert(done);
      const fs::path target = fs::read_symlink(next, error);
      if (error || links_left == 0) return;
      fs::path rest = target.is_absolute() ? target : done / target;
      while (++part != path.end()) rest /= *part;
      return add_folders(rest, folders, links_left - 1);
    }
    if (!fs::is_directory(status)) break;
    done = next;
  }
  // Of a file its folder, of a folder itself, of what is missing the last that is there.
  folders.insert(done);
}

}  // namespace

std::set<std::string> folders_on_the_way(const std::string& path) {
  std::set<std::string> folders;
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (!error) add_folders(absolute, folders, kMaxLinks);
  return folders;
}

FileWatcher::~FileWatcher() { stop(); }

void FileWatcher::watch(std::vector<std::string> files, std::function<void()> changed) {
  std::string state = state_of(files);
  watched_.push_back({std::move(files), std::move(state), std::move(changed)});
}

Result<void, std::string> FileWatcher::start() {
  events_fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (events_fd_ < 0 || stop_fd_ < 0) {
    const std::string why = std::strerror(errno);
    stop();
    return why;
  }
  follow_folders();
  thread_ = std::thread([this] { run(); });
  return {};
}

void FileWatcher::stop() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    if (write(stop_fd_, &one, sizeof one) < 0) return;  // cannot be full
    thread_.join();
  }
  for (int* const fd : {&events_fd_, &stop_fd_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  folders_.clear();
}

void FileWatcher::run() {
  name_thread("files");
  using Clock = std::chrono::steady_clock;
  // What has changed between reading and watching.
  look();
  for (News news = wait(-1); news != News::kStop; news = wait(-1)) {
    const auto until = Clock::now() + kLongest;
    while (news == News::kChange && Clock::now() < until) {
      drain();
      news = wait(static_cast<int>(quiet_.count()));
    }
    if (news == News::kStop) return;
    follow_folders();
    look();
  }
}

FileWatcher::News FileWatcher::wait(int timeout_ms) {
  std::array<pollfd, 2> both = {pollfd{events_fd_, POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
  while (poll(both.data(), both.size(), timeout_ms) < 0 && errno == EINTR) {
  }
  if (both[1].revents != 0) return News::kStop;
  return both[0].revents != 0 ? News::kChange : News::kNone;
}

// What exactly has happened is of no interest.
void FileWatcher::drain() {
  std::array<char, 4096> events;
  while (read(events_fd_, events.data(), events.size()) > 0) {
  }
}

// The way to the files may have become another one.
void FileWatcher::follow_folders() {
  std::set<std::string> wanted;
  for (const Watched& watched : watched_)
    for (const std::string& file : watched.files) wanted.merge(folders_on_the_way(file));
  std::map<std::string, int> followed;
  // A folder of the same name may be another one, then it gets a watch of its own; the same one keeps its.
  for (const std::string& folder : wanted)
    if (const int number = inotify_add_watch(events_fd_, folder.c_str(), kEvents); number >= 0)
      followed.emplace(folder, number);
  std::set<int> kept;
  for (const auto& [folder, number] : followed) kept.insert(number);
  for (const auto& [folder, number] : folders_)
    if (!kept.contains(number)) inotify_rm_watch(events_fd_, number);
  folders_ = std::move(followed);
}

void FileWatcher::look() {
  for (Watched& watched : watched_) {
    std::string state = state_of(watched.files);
    if (state == watched.state) continue;
    watched.state = std::move(state);
    watched.changed();
  }
}

}  // namespace petrel::server
