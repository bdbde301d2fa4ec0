// Tells when files have changed: written in place, replaced by another of their name, or swapped with the folder or the
// symbolic link that leads to them (as Kubernetes does with mounted secrets). The folders on the way are watched
// (inotify); when they have been quiet for a moment, files are compared with what they were, and who is named with a
// changed one is called. A half-written file is seen, and seen again when it is whole.
//
// Threads: watch() before start(); callbacks on the watcher's own thread, one at a time; stop() from the owner's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace petrel::server {

class FileWatcher {
 public:
  using Duration = std::chrono::milliseconds;
  static constexpr Duration kQuiet{200};
  // Folders that are never quiet are looked at so often.
  static constexpr Duration kLongest{2000};

  explicit FileWatcher(Duration quiet = kQuiet) : quiet_(quiet) {}
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // Files, or folders whose files are meant.
  void watch(std::vector<std::string> files, std::function<void()> changed);
  bool empty() const { return watched_.empty(); }
  // What the system has not got, if it cannot watch.
  Result<void, std::string> start();
  void stop();

 private:
  struct Watched {
    std::vector<std::string> files;
    std::string state;  // of the files when they were last looked at
    std::function<void()> changed;
  };
  void run();
  enum class News : std::uint8_t { kNone, kChange, kStop };
  News wait(int timeout_ms);
  void drain();
  void follow_folders();
  void look();

  const Duration quiet_;
  std::vector<Watched> watched_;
  std::map<std::string, int> folders_;  // path -> watch descriptor
  int events_fd_ = -1, stop_fd_ = -1;
  std::thread thread_;
};

// The folders whose entries decide what a path leads to: that of the file, and those of symbolic links on the way. Of
// what is not there, the nearest folder that is.
std::set<std::string> folders_on_the_way(const std::string& path);

}  // namespace petrel::server
