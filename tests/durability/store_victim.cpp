// A process that the kill test ends: opens the store in DIRECTORY and commits steps one after the other; each step
// enqueues a message and acknowledges the one before it. Prints a step's number once it is committed, and goes on until
// it is killed.
//
//   storage_rocksdb_victim DIRECTORY SYNC FIRST_STEP
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::storage {
namespace {

class VictimLane final : public LaneEvents {
 public:
  explicit VictimLane(Store& store)
      : lane_(store.open_lane(0, [this] {
          const std::lock_guard lock(mutex_);
          woken_ = true;
          wake_.notify_one();
        })) {}
  void commit(std::vector<Change> changes) {
    lane_->commit({++submitted_, std::move(changes)});
    for (lane_->poll(*this); committed_ != submitted_; lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }
  }
  void on_committed(BatchNumber number) override { committed_ = number; }
  void on_trouble(const StoreError&) override { std::exit(2); }
  void on_trouble_over() override {}
  void on_queue_page(QueuePage) override {}

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  BatchNumber submitted_ = 0, committed_ = 0;
  std::unique_ptr<Lane> lane_;
};

int run(const std::string& directory, Sync sync, std::uint64_t step) {
  RocksStoreOptions options;
  options.directory = directory;
  options.sync = sync;
  options.spacing = {};
  const auto store = RocksStore::open(options);
  if (!store.has_value()) return std::fprintf(stderr, "%s\n", store.error().what.c_str()), 1;
  VictimLane lane(**store);
  lane.commit({PutSession{{1, "victim", 60, false, 0}}});
  for (;; ++step) {
    const std::string payload(200, 'x');
    wire::Message::Parts parts;
    parts.topic = "a/b";
    parts.payload = payload;
    std::vector<Change> changes{
        Enqueue{1, {make_message_id(step, 0), wire::Message::create(parts), "", wire::Qos::k1, false, ""}}};
    if (step > 1) changes.emplace_back(Acknowledge{1, make_message_id(step - 1, 0)});
    lane.commit(std::move(changes));
    std::printf("%lu\n", static_cast<unsigned long>(step));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace petrel::storage

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  return petrel::storage::run(argv[1], static_cast<petrel::storage::Sync>(std::atoi(argv[2])),
                              std::strtoull(argv[3], nullptr, 10));
}
