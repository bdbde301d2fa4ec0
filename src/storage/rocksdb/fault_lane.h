// A lane of a store under test that is told of trouble, and sees to it that batches are reported in their order.
//
// Threads: the test's. Lifetime: the store outlives it.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "storage/store.h"

namespace petrel::storage {

// A lane that is told of trouble.
class FaultLane final : public LaneEvents {
 public:
  explicit FaultLane(Store& store, std::uint32_t number = 0)
      : lane_(store.open_lane(number, [this] {
          const std::lock_guard lock(mutex_);
          wake_ = true;
          woken_.notify_one();
        })) {}

  void submit(std::vector<Change> changes) { lane_->commit({++number_, std::move(changes)}); }
  void settle() {
    wait([this] { return committed_ == number_; });
  }
  // One batch more, if there is one.
  void await_report() {
    wait([this, before = committed_] { return committed_ != before || committed_ == number_; });
  }
  void commit(std::vector<Change> changes) {
    submit(std::move(changes));
    settle();
  }
  const StoreError& await_trouble() {
    wait([this] { return trouble_.has_value(); });
    return *trouble_;
  }
  bool in_trouble() const { return trouble_.has_value(); }
  BatchNumber submitted() const { return number_; }
  BatchNumber committed() const { return committed_; }
  void look() { lane_->poll(*this); }
  // So many reads at once of all that a session has.
  void begin_reads(SessionId session, std::uint64_t count) {
    for (; count != 0; --count) lane_->read_queue(session, ++reads_, {}, 100'000, 1U << 30);
  }
  void await_reads() {
    wait([this] { return pages_ == reads_; });
  }
  std::uint64_t failed_reads() const { return failed_reads_; }
  const std::vector<QueueEntry>& read_entries(SessionId session) {
    begin_reads(session, 1);
    await_reads();
    EXPECT_FALSE(page_->error) << page_->error->what;
    return page_->entries;
  }
  std::set<MessageId> read(SessionId session) {
    std::set<MessageId> found;
    for (const QueueEntry& entry : read_entries(session)) found.insert(entry.id);
    return found;
  }

 private:
  void wait(const std::function<bool()>& done) {
    for (lane_->poll(*this); !done(); lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return wake_; });
      wake_ = false;
    }
  }
  void on_committed(BatchNumber number) override {
    EXPECT_EQ(number, committed_ + 1);
    committed_ = number;
  }
  void on_trouble(const StoreError& error) override { trouble_ = error; }
  void on_trouble_over() override { trouble_.reset(); }
  void on_queue_page(QueuePage page) override {
    ++pages_;
    if (page.error) ++failed_reads_;
    page_ = std::move(page);
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  bool wake_ = false;
  BatchNumber number_ = 0, committed_ = 0;
  std::optional<StoreError> trouble_;
  std::uint64_t reads_ = 0, pages_ = 0, failed_reads_ = 0;
  std::optional<QueuePage> page_;
  std::unique_ptr<Lane> lane_;
};

}  // namespace petrel::storage
