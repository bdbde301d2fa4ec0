// The store of the simulation: what is submitted waits until the simulation lets it be written, and what is written,
// and may have been read, until it is synced; only then it is committed. What has not been synced is lost when the
// broker is killed.
//
// Threads: one. The disk outlives this store, this one its lanes.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "storage/memory/memory_store.h"
#include "storage/store.h"

namespace petrel::sim {

// What outlives the broker.
class Disk {
 public:
  storage::MemoryStore& written() { return *written_; }
  void synced(storage::Batch batch) { synced_.push_back(std::move(batch)); }
  // The power goes: what was written and not synced is gone.
  void lose_unsynced() {
    written_ = std::make_unique<storage::MemoryStore>(storage::MemoryStoreOptions{.survives_reopen = true});
    for (const storage::Batch& batch : synced_) written_->apply(batch);
  }

 private:
  std::unique_ptr<storage::MemoryStore> written_ =
      std::make_unique<storage::MemoryStore>(storage::MemoryStoreOptions{.survives_reopen = true});
  std::vector<storage::Batch> synced_;
};

class SimStore final : public storage::Store {
 public:
  explicit SimStore(Disk& disk) : disk_(disk) {}

  std::string_view name() const override { return "simulated"; }
  Result<void, storage::StoreError> recover(storage::Recovery& recovery) override {
    return disk_.written().recover(recovery);
  }
  storage::MessageId last_message_id() const override { return disk_.written().last_message_id(); }
  storage::SessionId last_session_id() const override { return disk_.written().last_session_id(); }
  std::unique_ptr<storage::Lane> open_lane(std::uint32_t lane, std::function<void()> wake) override;

  // Commits and reads that wait, of all lanes in the order of submission.
  std::size_t waiting() const { return operations_.size() + unsynced_.size(); }
  std::size_t unsynced() const { return unsynced_.size(); }
  // Lets the oldest `count` of them happen; none while there is trouble. What is written is synced at once, or by
  // sync().
  void advance(std::size_t count);
  void set_syncs_late(bool late) { syncs_late_ = late; }
  void sync(std::size_t count);
  // Everything happens at once from now on, or no more.
  void set_eager(bool eager) { eager_ = eager; }
  void set_trouble(bool trouble) { trouble_ = trouble; }
  bool trouble() const { return trouble_; }

 private:
  class SimLane;
  struct Operation {
    SimLane* lane;
    storage::Batch batch;
    struct Read {
      storage::SessionId session;
      std::uint64_t request;
      storage::QueuePosition position;
      std::size_t limit, limit_bytes;
    };
    std::optional<Read> read;
  };
  void submit(Operation operation);

  Disk& disk_;
  std::deque<Operation> operations_;
  std::deque<Operation> unsynced_;
  bool syncs_late_ = false;
  bool eager_ = false;
  bool trouble_ = false;
};

}  // namespace petrel::sim
