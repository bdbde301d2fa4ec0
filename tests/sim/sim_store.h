// The store of the simulation: what is submitted waits until the simulation lets it happen, and what has not happened
// is lost when the broker is killed. What has happened lies in a MemoryStore that outlives the broker.
//
// Threads: one. The durable store outlives this one, this one its lanes.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "storage/memory/memory_store.h"
#include "storage/store.h"

namespace petrel::sim {

class SimStore final : public storage::Store {
 public:
  explicit SimStore(storage::MemoryStore& durable) : durable_(durable) {}

  std::string_view name() const override { return "simulated"; }
  Result<void, storage::StoreError> recover(storage::Recovery& recovery) override { return durable_.recover(recovery); }
  storage::MessageId last_message_id() const override { return durable_.last_message_id(); }
  storage::SessionId last_session_id() const override { return durable_.last_session_id(); }
  std::unique_ptr<storage::Lane> open_lane(std::uint32_t lane, std::function<void()> wake) override;

  // Commits and reads that wait, of all lanes in the order of submission.
  std::size_t waiting() const { return operations_.size(); }
  // Lets the oldest `count` of them happen; none while there is trouble.
  void advance(std::size_t count);
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

  storage::MemoryStore& durable_;
  std::deque<Operation> operations_;
  bool eager_ = false;
  bool trouble_ = false;
};

}  // namespace petrel::sim
