// A shard's lane of the store: hands batches and reads over, and collects what came of them. Internal to
// rocksdb_store.cpp.
//
// Threads: the lane is its shard's; the core is shared with the store's threads, which touch it only while something of
// the lane is pending.
#pragma once

#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::storage {

struct RocksStore::LaneCore {
  struct Done {
    BatchNumber number;
    std::optional<StoreError> error;
  };
  std::mutex mutex;
  std::vector<Done> done;
  std::vector<QueuePage> pages;
  std::size_t pending = 0;  // batches and reads under way
  std::condition_variable idle;
  std::atomic<bool> ready{false};
  std::function<void()> wake;

  // After something was left here. The core may be gone afterwards.
  void deliver(std::size_t finished) {
    ready.store(true, std::memory_order_release);
    if (wake) wake();
    const std::lock_guard lock(mutex);
    pending -= finished;
    if (pending == 0) idle.notify_all();
  }
};

class RocksStore::RocksLane final : public Lane {
 public:
  RocksLane(RocksStore& store, std::function<void()> wake) : store_(store) { core_.wake = std::move(wake); }
  ~RocksLane() override {
    std::unique_lock lock(core_.mutex);
    core_.idle.wait(lock, [this] { return core_.pending == 0; });
  }

  void commit(Batch batch) override { submit({&core_, std::move(batch)}); }

  void read_queue(SessionId session, std::uint64_t request, QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    submit({&core_, rocks::PageRequest{session, request, std::move(position), limit, limit_bytes}});
  }

  void poll(LaneEvents& events) override {
    if (!core_.ready.exchange(false, std::memory_order_acquire)) return;
    {
      const std::lock_guard lock(core_.mutex);
      done_.swap(core_.done);
      pages_.swap(core_.pages);
    }
    for (const LaneCore::Done& done : done_) {
      if (done.error) {
        events.on_commit_failed(done.number, *done.error);
      } else {
        events.on_committed(done.number);
      }
    }
    for (QueuePage& page : pages_) events.on_queue_page(std::move(page));
    done_.clear();
    pages_.clear();
  }

 private:
  void submit(Item item) {
    {
      const std::lock_guard lock(core_.mutex);
      ++core_.pending;
    }
    store_.submit(std::move(item));
  }

  RocksStore& store_;
  LaneCore core_;
  std::vector<LaneCore::Done> done_;
  std::vector<QueuePage> pages_;
};

}  // namespace petrel::storage
