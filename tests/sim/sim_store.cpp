#include "sim_store.h"

#include <algorithm>
#include <utility>

namespace petrel::sim {

class SimStore::SimLane final : public storage::Lane {
 public:
  explicit SimLane(SimStore& store) : store_(store) {}
  ~SimLane() override {
    for (auto* operations : {&store_.operations_, &store_.unsynced_})
      std::erase_if(*operations, [this](const Operation& operation) { return operation.lane == this; });
  }

  void commit(storage::Batch batch) override { store_.submit({this, std::move(batch), std::nullopt}); }
  void read_queue(storage::SessionId session, std::uint64_t request, storage::QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    store_.submit({this, {}, Operation::Read{session, request, std::move(position), limit, limit_bytes}});
  }
  void poll(storage::LaneEvents& events) override {
    if (store_.trouble_ != told_trouble_) {
      told_trouble_ = store_.trouble_;
      if (told_trouble_) {
        events.on_trouble({"simulated", true});
      } else {
        events.on_trouble_over();
      }
    }
    for (const storage::BatchNumber number : std::exchange(committed, {})) events.on_committed(number);
    for (storage::QueuePage& page : std::exchange(pages, {})) events.on_queue_page(std::move(page));
  }

  std::vector<storage::BatchNumber> committed;
  std::vector<storage::QueuePage> pages;

 private:
  SimStore& store_;
  bool told_trouble_ = false;
};

std::unique_ptr<storage::Lane> SimStore::open_lane(std::uint32_t, std::function<void()>) {
  return std::make_unique<SimLane>(*this);
}

void SimStore::submit(Operation operation) {
  operations_.push_back(std::move(operation));
  if (eager_) advance(operations_.size());
}

void SimStore::advance(std::size_t count) {
  for (; count > 0 && !operations_.empty() && !trouble_; --count) {
    Operation operation = std::move(operations_.front());
    operations_.pop_front();
    if (operation.read) {
      const Operation::Read& read = *operation.read;
      operation.lane->pages.push_back(disk_.written().read(read.session, read.position, read.limit, read.limit_bytes));
      operation.lane->pages.back().request = read.request;
    } else {
      disk_.written().apply(operation.batch);
      unsynced_.push_back(std::move(operation));
    }
  }
  if (eager_ || !syncs_late_) sync(unsynced_.size());
}

void SimStore::sync(std::size_t count) {
  for (; count > 0 && !unsynced_.empty() && !trouble_; --count) {
    Operation operation = std::move(unsynced_.front());
    unsynced_.pop_front();
    operation.lane->committed.push_back(operation.batch.number);
    disk_.synced(std::move(operation.batch));
  }
}

}  // namespace petrel::sim
