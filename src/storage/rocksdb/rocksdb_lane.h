// A shard's lane of the store: hands batches and reads over, and collects what came of them. Internal to
// rocksdb_store.cpp.
//
// Threads: the lane is its shard's; the core is shared with the store's threads, which touch it only while something of
// the lane is pending.
#pragma once

#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::storage {

struct RocksStore::LaneCore {
  std::mutex mutex;
  std::vector<BatchNumber> done;
  std::vector<QueuePage> pages;
  bool trouble_changed = false;
  std::optional<StoreError> trouble;
  std::size_t pending = 0;  // batches and reads under way
  bool reads_wait = true;   // until the database is open; guarded by the store's reader_mutex_
  std::condition_variable idle;
  std::atomic<bool> ready{false};
  std::function<void()> wake;

  void call() {
    ready.store(true, std::memory_order_release);
    if (wake) wake();
  }
  // After what came of `finished` batches and reads was left here. The core may be gone afterwards.
  void deliver(std::size_t finished) {
    call();
    const std::lock_guard lock(mutex);
    pending -= finished;
    if (pending == 0) idle.notify_all();
  }
};

class RocksStore::RocksLane final : public Lane {
 public:
  RocksLane(RocksStore& store, std::function<void()> wake) : store_(store) {
    core_.wake = std::move(wake);
    const std::lock_guard lock(store_.lanes_mutex_);
    store_.lanes_.push_back(&core_);
    core_.trouble = store_.trouble_;
    core_.trouble_changed = core_.trouble.has_value();
    core_.ready = core_.trouble_changed;
  }
  ~RocksLane() override { store_.end_lane(core_); }

  void commit(Batch batch) override { submit({&core_, std::move(batch)}); }

  void read_queue(SessionId session, std::uint64_t request, QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    submit({&core_, rocks::PageRequest{session, request, std::move(position), limit, limit_bytes}});
  }

  void poll(LaneEvents& events) override {
    if (!core_.ready.exchange(false, std::memory_order_acquire)) return;
    bool trouble_changed = false;
    std::optional<StoreError> trouble;
    {
      const std::lock_guard lock(core_.mutex);
      done_.swap(core_.done);
      pages_.swap(core_.pages);
      trouble_changed = std::exchange(core_.trouble_changed, false);
      if (trouble_changed) trouble = core_.trouble;
    }
    if (trouble) {
      events.on_trouble(*trouble);
    } else if (trouble_changed) {
      events.on_trouble_over();
    }
    for (const BatchNumber number : done_) events.on_committed(number);
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
  std::vector<BatchNumber> done_;
  std::vector<QueuePage> pages_;
};

}  // namespace petrel::storage
