#include "server/file_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

namespace petrel::server {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;

constexpr FileWatcher::Duration kQuiet{20};

class FileWatcherTest : public testing::Test {
 protected:
  FileWatcherTest() {
    std::string made = fs::canonical(testing::TempDir()).string() + "/petrel-XXXXXX";
    if (mkdtemp(made.data()) == nullptr) throw std::runtime_error("no folder");
    folder_ = made;
  }
  ~FileWatcherTest() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  // Reads the file whenever it is called.
  void watch(FileWatcher& watcher, const fs::path& path) {
    watcher.watch({path}, [this, path] {
      std::ostringstream text;
      text << std::ifstream(path).rdbuf();
      const std::lock_guard lock(mutex_);
      seen_ = text.str();
      ++calls_;
      changed_.notify_all();
    });
  }
  bool sees(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return seen_ == text; });
  }

  fs::path folder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string seen_ = "nothing yet";
  int calls_ = 0;
};

TEST_F(FileWatcherTest, TellsOfWhatIsWrittenInPlace) {
  write(folder_ / "file", "one");
  FileWatcher watcher(kQuiet);
  watch(watcher, folder_ / "file");
  ASSERT_TRUE(watcher.start().has_value());
  write(folder_ / "file", "two");
  EXPECT_TRUE(sees("two"));
  write(folder_ / "file", "half");
  EXPECT_TRUE(sees("half"));
  write(folder_ / "file", "whole");
  EXPECT_TRUE(sees("whole"));
}

TEST_F(FileWatcherTest, TellsOfWhatIsRenamedOver) {
  write(folder_ / "file", "one");
  FileWatcher watcher(kQuiet);
  watch(watcher, folder_ / "file");
  ASSERT_TRUE(watcher.start().has_value());
  for (const char* text : {"two", "three"}) {
    write(folder_ / "new", text);
    fs::rename(folder_ / "new", folder_ / "file");
    EXPECT_TRUE(sees(text));
  }
}

// As Kubernetes mounts a secret: file -> ..data/file, ..data -> a folder with a date, which is replaced.
TEST_F(FileWatcherTest, TellsOfASwappedLink) {
  for (const char* text : {"one", "two", "three"}) {
    fs::create_directory(folder_ / text);
    write(folder_ / text / "file", text);
  }
  fs::create_directory(folder_ / "mount");
  fs::create_symlink("../one", folder_ / "mount" / "..data");
  fs::create_symlink("..data/file", folder_ / "mount" / "file");
  FileWatcher watcher(kQuiet);
  watch(watcher, folder_ / "mount" / "file");
  ASSERT_TRUE(watcher.start().has_value());
  for (const char* text : {"two", "three"}) {
    fs::create_symlink(std::string("../") + text, folder_ / "mount" / "..data_tmp");
    fs::rename(folder_ / "mount" / "..data_tmp", folder_ / "mount" / "..data");
    EXPECT_TRUE(sees(text));
  }
}

TEST_F(FileWatcherTest, FollowsAFolderThatIsReplaced) {
  fs::create_directory(folder_ / "files");
  write(folder_ / "files" / "file", "one");
  FileWatcher watcher(kQuiet);
  watch(watcher, folder_ / "files" / "file");
  ASSERT_TRUE(watcher.start().has_value());
  fs::rename(folder_ / "files", folder_ / "old");
  EXPECT_TRUE(sees("")) << "it is gone";
  fs::create_directory(folder_ / "new");
  write(folder_ / "new" / "file", "two");
  fs::rename(folder_ / "new", folder_ / "files");
  EXPECT_TRUE(sees("two"));
  write(folder_ / "files" / "file", "three");
  EXPECT_TRUE(sees("three"));
}

TEST_F(FileWatcherTest, TellsOfTheFilesOfAFolder) {
  FileWatcher watcher(kQuiet);
  watcher.watch({folder_}, [this] {
    const std::lock_guard lock(mutex_);
    seen_ = fs::exists(folder_ / "ca.pem") ? "there" : "gone";
    changed_.notify_all();
  });
  ASSERT_TRUE(watcher.start().has_value());
  write(folder_ / "ca.pem", "one");
  EXPECT_TRUE(sees("there"));
  fs::remove(folder_ / "ca.pem");
  EXPECT_TRUE(sees("gone"));
}

TEST_F(FileWatcherTest, IsNotCalledForOthersFiles) {
  write(folder_ / "file", "one");
  write(folder_ / "other", "one");
  FileWatcher watcher(kQuiet);
  int others = 0;
  watcher.watch({folder_ / "other"}, [&] { ++others; });
  watch(watcher, folder_ / "file");
  ASSERT_TRUE(watcher.start().has_value());
  write(folder_ / "third", "new");
  write(folder_ / "file", "two");
  EXPECT_TRUE(sees("two"));
  watcher.stop();
  EXPECT_EQ(others, 0);
}

TEST_F(FileWatcherTest, KnowsTheFoldersOnTheWay) {
  fs::create_directories(folder_ / "real" / "deep");
  write(folder_ / "real" / "deep" / "file", "");
  fs::create_symlink("real", folder_ / "link");
  EXPECT_THAT(folders_on_the_way(folder_ / "link" / "deep" / "file"), ElementsAre(folder_, folder_ / "real" / "deep"));
  EXPECT_THAT(folders_on_the_way(folder_ / "real" / ".." / "real" / "deep" / "file"),
              ElementsAre(folder_ / "real" / "deep"));
  EXPECT_THAT(folders_on_the_way(folder_ / "missing" / "file"), ElementsAre(folder_));
  fs::create_symlink("round", folder_ / "round");
  EXPECT_THAT(folders_on_the_way(folder_ / "round" / "file"), Contains(folder_)) << "and an end";
}

}  // namespace
}  // namespace petrel::server
