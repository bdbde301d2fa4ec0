// The durable store in one directory, on RocksDB. Lanes hand their batches to one writer thread, which makes one write
// of all that wait (group_writer.h); a reader thread reads pages of queues; a third sees to it that the log reaches the
// disk; a fourth removes what nobody needs.
//
// What is lost, and when: nothing when the process is killed, whatever `sync` says: a batch is with the system before
// it is reported committed. When the machine loses power: nothing with kAlways; with kInterval at most the last
// sync_interval_ms; with kOs what the system has not written, on Linux about half a minute.
//
// When a write fails, its group waits, and all that comes behind it; the lanes are told of the trouble, and the store
// tries again every retry_ms. A lane that ends meanwhile waits for one more attempt, for which RocksDB is opened anew;
// what is not stored then is dropped. Queues are read all the while; but if RocksDB could not be opened anew, reads
// wait until it is.
//
// Batches that hold entries of sessions which acknowledge promptly wait a little: for as long as writing those entries
// would take, and kMostPatience at most. What is acknowledged meanwhile need not be written (elision.h).
//
// Threads: see store.h. Lifetime: the store outlives its lanes; a lane's end waits for its batches. The log and the Env
// outlive the store.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/log.h"
#include "storage/rocksdb/directory.h"
#include "storage/rocksdb/queue_scan.h"
#include "storage/rocksdb/sync.h"
#include "storage/store.h"

namespace rocksdb {
class Env;
}

namespace petrel::storage {

struct RocksStoreOptions {
  std::string directory;
  Sync sync = Sync::kInterval;
  TimeMs sync_interval_ms = 1000;
  TimeMs retry_ms = 1000;
  // A group begins this long after the last one began: a lone batch goes at once, a stream in groups. So long at least
  // a batch waits for acknowledgements that are likely to come.
  std::chrono::microseconds spacing{300};
  std::uint64_t count_at_start = 1'000'000;  // entries of queues that are counted; of the rest a low estimate
  TimeMs collect_interval_ms = 10'000;       // how often to look whether files have grown
  std::uint64_t collect_bytes = std::uint64_t{64} << 20;  // files smaller than this are left alone
  Log* log = nullptr;
  // For tests of what a disk may do; otherwise the system's.
  rocksdb::Env* env = nullptr;
  std::function<int(const std::string& path)> sync_file;
};

class RocksStore final : public Store {
 public:
  static Result<std::unique_ptr<RocksStore>, StoreError> open(RocksStoreOptions options);
  ~RocksStore() override;
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  Histogram::Values commit_times() const override { return commit_times_.values(); }
  std::string_view name() const override { return "rocksdb"; }
  Result<void, StoreError> recover(Recovery& recovery) override;
  MessageId last_message_id() const override;
  SessionId last_session_id() const override;
  std::unique_ptr<Lane> open_lane(std::uint32_t lane, std::function<void()> wake) override;

  struct Counts {
    std::uint64_t groups = 0;  // of batches
    std::uint64_t batches = 0;
    std::uint64_t most_batches = 0;  // in a group
    std::uint64_t commit_us = 0;     // time the groups took; with Sync::kAlways the disk's is in it
    std::uint64_t most_commit_us = 0;
    std::uint64_t syncs = 0;  // of the log, beside those of commits
    std::uint64_t sync_us = 0;
    std::uint64_t most_sync_us = 0;
    std::uint64_t writes = 0;       // groups that had something to write
    std::uint64_t entries = 0;      // queue entries written
    std::uint64_t elided = 0;       // queue entries acknowledged before they were written, and so never written
    std::uint64_t bodies = 0;       // messages written
    std::uint64_t log_bytes = 0;    // given to RocksDB to write
    std::uint64_t rescans = 0;      // reads to find how far a long queue is acknowledged
    std::uint64_t failures = 0;     // attempts to write that failed
    std::uint64_t unreadable = 0;   // queue entries that were damaged, or their message
    std::uint64_t collections = 0;  // of what nobody needs
  };
  Counts counts() const;
  std::vector<StoreMetric> metrics() const override;

  // For tests and tools: what is in memory to files; what nobody needs off the disk, now.
  void flush();
  [[nodiscard]] Result<void, StoreError> collect();
  std::uint64_t file_bytes() const;  // but not of the log

 private:
  struct LaneCore;
  class RocksLane;
  struct Item {
    LaneCore* lane;  // null: it has been told
    std::variant<Batch, rocks::PageRequest> what;
    std::chrono::steady_clock::time_point came{};
  };
  struct Parts;  // what needs RocksDB's headers

  explicit RocksStore(RocksStoreOptions options, rocks::Directory directory);
  Result<void, StoreError> start();
  void submit(Item item);
  void write_loop();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  void take_waiting();  // with the writer's mutex held
  void report_settled();
  std::size_t find_due();  // so many of the oldest are to be written; sets next_due_
  void write_group(std::size_t count);
  void commit_group(std::vector<Item>& group);
  Result<void, StoreError> commit(const std::vector<Item>& group);
  Result<void, StoreError> repair();
  void open_for_reads();
  enum class Outcome { kCommitted, kAbandoned };
  void finish(const std::vector<Item*>& items, Outcome outcome);
  static std::vector<Item*> pointers(std::vector<Item>& items);
  void abandon(std::vector<Item>& group, const std::vector<LaneCore*>& ending);
  void wait_to_retry();
  void announce(std::optional<StoreError> trouble);
  void end_lane(LaneCore& lane);
  std::optional<Item> next_read();
  bool put_back(Item& read);
  void read_loop();
  void sync_loop();
  void collect_loop();
  bool pause(TimeMs time_ms);  // false: the store is closing
  template <class Change>
  void count(Change change);

  const RocksStoreOptions options_;
  rocks::Directory directory_;
  std::unique_ptr<Parts> parts_;

  std::mutex writer_mutex_;
  std::condition_variable writer_wake_;
  std::vector<Item> waiting_;
  std::vector<LaneCore*> ending_;
  bool lane_ended_ = false;
  bool closing_ = false;

  std::mutex reader_mutex_;
  std::condition_variable reader_wake_;
  std::deque<Item> reads_;
  bool readable_ = true;  // the database is open, or is being opened
  bool reads_end_ = false;

  std::mutex pause_mutex_;
  std::condition_variable pause_wake_;
  bool pauses_end_ = false;

  std::atomic<bool> failing_{false};  // the last attempt to write failed
  std::atomic<bool> unsynced_{false};
  mutable std::mutex counts_mutex_;
  Counts counts_;
  Histogram commit_times_;  // guarded for writing

  std::mutex lanes_mutex_;
  std::vector<LaneCore*> lanes_;
  std::optional<StoreError> trouble_;  // what the lanes were told

  // The writer's.
  std::deque<Item> taken_;  // elision_ has a state for each
  std::chrono::steady_clock::time_point group_began_, looked_, next_due_;
  std::chrono::steady_clock::duration patience_{};
  std::size_t last_changes_ = 0;  // in the last group
  std::size_t new_changes_ = 0;   // taken when it looked the last time
  bool hurry_ = false;            // somebody waits for an end

  MessageId last_message_ = 0;
  SessionId last_session_ = 0;
  std::vector<std::thread> threads_;  // the writer is the first
};

}  // namespace petrel::storage
