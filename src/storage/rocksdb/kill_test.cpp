// kill -9 at any moment loses nothing that was reported committed, in every mode of syncing.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "storage/contract.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

// Runs the victim until it has reported `steps` more steps than `begin`, kills it, and returns the last it reported.
std::uint64_t run_and_kill(const std::string& directory, Sync sync, std::uint64_t begin, std::uint64_t steps) {
  int pipe[2];
  if (::pipe(pipe) != 0) return 0;
  const pid_t victim = ::fork();
  if (victim == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::close(pipe[0]);
    ::close(pipe[1]);
    const std::string mode = std::to_string(static_cast<int>(sync)), first = std::to_string(begin);
    ::execl(PETREL_VICTIM, PETREL_VICTIM, directory.c_str(), mode.c_str(), first.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(pipe[1]);
  std::FILE* reports = ::fdopen(pipe[0], "r");
  std::uint64_t last = 0;
  char line[64];
  while (std::fgets(line, sizeof line, reports) != nullptr) {
    last = std::strtoull(line, nullptr, 10);
    if (last == begin + steps) ::kill(victim, SIGKILL);
  }
  std::fclose(reports);
  ::waitpid(victim, nullptr, 0);
  return last;
}

class Kill : public testing::TestWithParam<Sync> {};

TEST_P(Kill, LosesNothingThatWasCommitted) {
  const TestDirectory directory;
  std::mt19937 random(5);
  std::uint64_t last = 0;
  for (int life = 0; life < 8; ++life) {
    const std::uint64_t reported = run_and_kill(directory.path(), GetParam(), last + 1, random() % 200);
    ASSERT_GT(reported, last);
    RocksStoreOptions options;
    options.directory = directory.path();
    const auto store = RocksStore::open(options);
    ASSERT_TRUE(store.has_value()) << store.error().what;
    const QueuePage page = ContractLane(**store, 0).read(1);
    // Each step replaces the message before it: the last reported, or one that was on its way.
    ASSERT_EQ(page.entries.size(), 1U);
    last = page.entries[0].id >> kLaneBits;
    EXPECT_GE(last, reported);
    EXPECT_LE(last, reported + 1);
    EXPECT_EQ((*store)->last_message_id(), page.entries[0].id);
  }
}

INSTANTIATE_TEST_SUITE_P(Rocks, Kill, testing::Values(Sync::kAlways, Sync::kInterval, Sync::kOs));

}  // namespace
}  // namespace petrel::storage
