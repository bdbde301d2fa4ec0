// What every store must do, as tests: a store's test program instantiates StoreContract with a way to make the store.
//
// Threads: the tests' own. Lifetime: a StorePlace lives for one test and outlives the lanes of its store.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/store.h"

namespace petrel::storage {

// Where a store under test keeps its data.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  virtual Store& store() = 0;
  virtual void reopen() = 0;  // as after a restart; no lane is open; invalidates the earlier store()
};

struct StoreUnderTest {
  std::string name;
  std::function<std::unique_ptr<StorePlace>()> make;
};

// A lane and what it has reported. Waits for the lane's wake-up, never for time.
class ContractLane final : public LaneEvents {
 public:
  ContractLane(Store& store, std::uint32_t number);
  void submit(std::vector<Change> changes);
  std::uint64_t request(SessionId session, QueuePosition position = {}, std::size_t limit = 1000,
                        std::size_t limit_bytes = 1U << 20);
  void settle();  // until everything submitted and requested is reported
  void commit(std::vector<Change> changes);
  QueuePage read(SessionId session, QueuePosition position = {}, std::size_t limit = 1000,
                 std::size_t limit_bytes = 1U << 20);

  void on_committed(BatchNumber number) override { committed.push_back(number); }
  void on_trouble(const StoreError& error) override { ADD_FAILURE() << error.what; }
  void on_trouble_over() override {}
  void on_queue_page(QueuePage page) override { pages[page.request] = std::move(page); }

  std::vector<BatchNumber> committed;
  std::map<std::uint64_t, QueuePage> pages;

 private:
  std::mutex mutex_;
  std::condition_variable woken_;
  bool wake_ = false;
  BatchNumber last_batch_ = 0;
  std::uint64_t last_request_ = 0;
  std::unique_ptr<Lane> lane_;  // last: its end may still wake
};

class StoreContract : public testing::TestWithParam<StoreUnderTest> {
 protected:
  void SetUp() override;
  Store& store() { return place_->store(); }
  std::unique_ptr<StorePlace> place_;
};

}  // namespace petrel::storage
