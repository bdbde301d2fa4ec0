// The store on a disk that fails. What was reported committed is kept to the letter: it is compared with a model of
// what the lane was told.
#include <gmock/gmock.h>

#include <random>
#include <set>

#include "storage/contract.h"
#include "storage/rocksdb/fault_env.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

using Fault = FaultFileSystem::Fault;
using testing::HasSubstr;
using testing::IsEmpty;

Enqueue enqueue(SessionId session, MessageId message) {
  wire::Message::Parts parts;
  parts.topic = "a/b";
  parts.payload = "a payload of some length, so that a damaged one is seen";
  parts.qos = wire::Qos::k1;
  return {session, {message, wire::Message::create(parts), "", wire::Qos::k1, false, ""}};
}

// A lane that takes failures as they come.
class FaultLane final : public LaneEvents {
 public:
  explicit FaultLane(Store& store)
      : lane_(store.open_lane(0, [this] {
          const std::lock_guard lock(mutex_);
          wake_ = true;
          woken_.notify_one();
        })) {}

  bool commit(std::vector<Change> changes) {
    lane_->commit({++number_, std::move(changes)});
    wait([this] { return answered_ == number_; });
    return !error_;
  }
  QueuePage read(SessionId session) {
    page_.reset();
    lane_->read_queue(session, 1, {}, 100'000, 1U << 30);
    wait([this] { return page_.has_value(); });
    return *page_;
  }
  const std::string& error() const { return error_->what; }

 private:
  void wait(const std::function<bool()>& done) {
    for (lane_->poll(*this); !done(); lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return wake_; });
      wake_ = false;
    }
  }
  void on_committed(BatchNumber number) override {
    answered_ = number;
    error_.reset();
  }
  void on_commit_failed(BatchNumber number, const StoreError& error) override {
    answered_ = number;
    error_ = error;
  }
  void on_queue_page(QueuePage page) override { page_ = std::move(page); }

  std::mutex mutex_;
  std::condition_variable woken_;
  bool wake_ = false;
  BatchNumber number_ = 0, answered_ = 0;
  std::optional<StoreError> error_;
  std::optional<QueuePage> page_;
  std::unique_ptr<Lane> lane_;
};

class Faults : public testing::Test {
 protected:
  Faults() : system_(std::make_shared<FaultFileSystem>()), env_(std::make_unique<FaultEnv>(system_)) {}

  Result<void, StoreError> open(Sync sync) {
    RocksStoreOptions options;
    options.directory = directory_.path();
    options.sync = sync;
    options.sync_interval_ms = 3'600'000;
    options.retry_ms = 0;
    options.env = env_.get();
    auto opened = RocksStore::open(options);
    if (!opened.has_value()) return opened.error();
    store_ = std::move(*opened);
    return {};
  }
  void lose_power() {
    system_->fail_all(Fault::kPowerOff);
    store_.reset();
    system_->power_loss();
  }
  std::set<MessageId> queue(SessionId session) {
    FaultLane lane(*store_);
    const QueuePage page = lane.read(session);
    EXPECT_FALSE(page.error) << page.error->what;
    std::set<MessageId> found;
    for (const QueueEntry& entry : page.entries) found.insert(entry.id);
    return found;
  }

  TestDirectory directory_;
  std::shared_ptr<FaultFileSystem> system_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<RocksStore> store_;
};

PutSession put_session(SessionId id) { return {{id, "client", 60, false, 0}}; }

// What a session's queue must hold: surely `must`, and of `may` nobody knows.
struct Model {
  std::set<MessageId> must, may;
  std::uint64_t counter = 0;

  // A few messages in, some of the oldest out.
  std::vector<Change> step(std::mt19937& random, std::vector<MessageId>& in, std::vector<MessageId>& out) {
    std::vector<Change> changes;
    for (unsigned i = random() % 4; i > 0; --i) {
      in.push_back(make_message_id(++counter, 0));
      changes.emplace_back(enqueue(1, in.back()));
    }
    for (const MessageId id : must) {
      if (random() % 3 == 0) break;
      out.push_back(id);
      changes.emplace_back(Acknowledge{1, id});
    }
    return changes;
  }
  void committed(const std::vector<MessageId>& in, const std::vector<MessageId>& out) {
    must.insert(in.begin(), in.end());
    for (const MessageId id : out) must.erase(id);
  }
  void failed(const std::vector<MessageId>& in, const std::vector<MessageId>& out) {
    may.insert(in.begin(), in.end());
    for (const MessageId id : out) {
      must.erase(id);
      may.insert(id);
    }
  }
  void expect(const std::set<MessageId>& found, const std::string& when) const {
    for (const MessageId id : must) EXPECT_TRUE(found.contains(id)) << "lost " << id << " " << when;
    for (const MessageId id : found)
      EXPECT_TRUE(must.contains(id) || may.contains(id)) << "came back: " << id << " " << when;
  }
};

TEST_F(Faults, WithSyncAlwaysAPowerFailureLosesNothing) {
  std::mt19937 random(7);
  Model model;
  ASSERT_TRUE(open(Sync::kAlways).has_value());
  ASSERT_TRUE(FaultLane(*store_).commit({put_session(1)}));
  for (int life = 0; life < 12; ++life) {
    {
      FaultLane lane(*store_);
      for (unsigned i = 0; i < 1 + random() % 30; ++i) {
        std::vector<MessageId> in, out;
        ASSERT_TRUE(lane.commit(model.step(random, in, out))) << lane.error();
        model.committed(in, out);
        if (random() % 20 == 0) store_->flush();
      }
    }
    lose_power();
    const auto opened = open(Sync::kAlways);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    model.expect(queue(1), "after life " + std::to_string(life));
    EXPECT_GE(store_->last_message_id(), model.must.empty() ? 0 : *model.must.rbegin());
  }
}

TEST_F(Faults, WithoutSyncAPowerFailureLosesTheEndOnly) {
  ASSERT_TRUE(open(Sync::kOs).has_value());
  {
    FaultLane lane(*store_);
    ASSERT_TRUE(lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))}));
    store_->flush();
    for (std::uint64_t i = 2; i <= 100; ++i) {
      ASSERT_TRUE(lane.commit({enqueue(1, make_message_id(i, 0)), Acknowledge{1, make_message_id(i - 1, 0)}}));
      if (i == 50) store_->flush();
    }
  }
  lose_power();
  const auto opened = open(Sync::kOs);
  ASSERT_TRUE(opened.has_value()) << opened.error().what;
  // A later state of the whole, not a mixture: one message waits.
  const std::set<MessageId> found = queue(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_GE(*found.begin(), make_message_id(50, 0));
}

TEST_F(Faults, AFullDiskRefusesAndRecovers) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  FaultLane lane(*store_);
  ASSERT_TRUE(lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))}));
  system_->fail_all(Fault::kNoSpace);
  EXPECT_FALSE(lane.commit({enqueue(1, make_message_id(2, 0))}));
  EXPECT_THAT(lane.error(), HasSubstr("is full: free some space"));
  EXPECT_FALSE(lane.commit({enqueue(1, make_message_id(3, 0))}));
  EXPECT_EQ(lane.read(1).entries.size(), 1U);  // what needs no writing goes on
  system_->fail_all(Fault::kNone);
  ASSERT_TRUE(lane.commit({enqueue(1, make_message_id(4, 0))})) << lane.error();
  ASSERT_TRUE(lane.commit({Acknowledge{1, make_message_id(1, 0)}})) << lane.error();
  const QueuePage page = lane.read(1);
  ASSERT_EQ(page.entries.size(), 1U);
  EXPECT_EQ(page.entries[0].id, make_message_id(4, 0));
}

// Whichever change fails, once: what was committed stays, and the store works again without a restart.
TEST_F(Faults, EachChangeMayFail) {
  std::mt19937 random(11);
  for (long n = 1; n <= 24; ++n) {
    Model model;
    store_.reset();
    std::filesystem::remove_all(directory_.path());
    const Sync sync = n % 2 == 0 ? Sync::kAlways : Sync::kOs;
    ASSERT_TRUE(open(sync).has_value());
    {
      FaultLane lane(*store_);
      ASSERT_TRUE(lane.commit({put_session(1)}));
      system_->fail_at(n, n % 3 == 0 ? Fault::kNoSpace : Fault::kError);
      bool failed = false;
      for (int i = 0; i < 30; ++i) {
        std::vector<MessageId> in, out;
        const bool done = lane.commit(model.step(random, in, out));
        failed |= !done;
        done ? model.committed(in, out) : model.failed(in, out);
        if (i % 10 == 5) store_->flush();
      }
      system_->fail_at(0, Fault::kNone);
      // A failure that came last may need one attempt more.
      const MessageId last = make_message_id(++model.counter, 0);
      const bool works =
          lane.commit({enqueue(1, last)}) || lane.commit({enqueue(1, last)}) || lane.commit({enqueue(1, last)});
      ASSERT_TRUE(works) << n << ": " << lane.error();
      model.must.insert(last);
    }
    model.expect(queue(1), "change " + std::to_string(n));
    lose_power();
    if (sync != Sync::kAlways) continue;
    const auto opened = open(sync);
    ASSERT_TRUE(opened.has_value()) << n << ": " << opened.error().what;
    model.expect(queue(1), "after the power failed, change " + std::to_string(n));
  }
}

TEST_F(Faults, FailuresWhileOpeningAreErrors) {
  for (long n = 1; n <= 40; n += 3) {
    store_.reset();
    std::filesystem::remove_all(directory_.path());
    system_->fail_at(n, Fault::kError);
    const auto opened = open(Sync::kInterval);
    if (!opened.has_value()) {
      EXPECT_THAT(opened.error().what, HasSubstr("Input/output error"));
    }
    system_->fail_at(0, Fault::kNone);
    store_.reset();
    const auto again = open(Sync::kInterval);
    EXPECT_TRUE(again.has_value()) << n << ": " << again.error().what;
  }
}

}  // namespace
}  // namespace petrel::storage
