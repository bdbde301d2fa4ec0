// The store on a disk that fails. What was reported committed is kept to the letter: it is compared with a model of
// what the lane was told.
#include <gmock/gmock.h>

#include <map>
#include <random>
#include <set>

#include "storage/contract.h"
#include "storage/rocksdb/fault_env.h"
#include "storage/rocksdb/fault_lane.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

using Fault = FaultFileSystem::Fault;
using testing::ElementsAre;
using testing::HasSubstr;

Enqueue enqueue(SessionId session, MessageId message) {
  wire::Message::Parts parts;
  parts.topic = "a/b";
  parts.payload = "a payload of some length, so that a damaged one is seen";
  parts.qos = wire::Qos::k1;
  return {session, {message, wire::Message::create(parts), "", wire::Qos::k1, false, ""}};
}

class Faults : public testing::Test {
 protected:
  Faults() : system_(std::make_shared<FaultFileSystem>()), env_(std::make_unique<FaultEnv>(system_)) {}

  Result<void, StoreError> open(Sync sync) {
    RocksStoreOptions options;
    options.directory = directory_.path();
    options.sync = sync;
    options.sync_interval_ms = sync_interval_ms_;
    options.retry_ms = 1;
    options.collect_interval_ms = 3'600'000;
    options.collect_bytes = 0;
    options.env = env_.get();
    options.sync_file = [this](const std::string& name) {
      if (failing_syncs_ > 0) return --failing_syncs_, EIO;
      return system_->sync_file(name);
    };
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
  std::set<MessageId> queue(SessionId session) { return FaultLane(*store_).read(session); }

  TimeMs sync_interval_ms_ = 3'600'000;
  std::atomic<int> failing_syncs_{0};  // of the log
  TestDirectory directory_;
  std::shared_ptr<FaultFileSystem> system_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<RocksStore> store_;
};

PutSession put_session(SessionId id, bool connected = false) { return {{id, "client", 60, connected, 0}}; }

// What a session's queue must hold.
struct Model {
  std::set<MessageId> waiting;
  std::uint64_t counter = 0;

  // A few messages in, some of the oldest out.
  std::vector<Change> step(std::mt19937& random) {
    std::vector<Change> changes;
    std::vector<MessageId> out;
    for (const MessageId id : waiting) {
      if (random() % 3 == 0) break;
      out.push_back(id);
    }
    for (const MessageId id : out) {
      changes.emplace_back(Acknowledge{1, id});
      waiting.erase(id);
    }
    for (auto i = random() % 4; i > 0; --i) {
      waiting.insert(make_message_id(++counter, 0));
      changes.emplace_back(enqueue(1, make_message_id(counter, 0)));
    }
    return changes;
  }
};

TEST_F(Faults, WithSyncAlwaysAPowerFailureLosesNothing) {
  std::mt19937 random(7);
  Model model;
  ASSERT_TRUE(open(Sync::kAlways).has_value());
  FaultLane(*store_).commit({put_session(1)});
  for (int life = 0; life < 12; ++life) {
    {
      FaultLane lane(*store_);
      for (unsigned i = 0; i < 1 + random() % 30; ++i) {
        lane.commit(model.step(random));
        if (random() % 20 == 0) store_->flush();
      }
    }
    lose_power();
    const auto opened = open(Sync::kAlways);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    EXPECT_EQ(queue(1), model.waiting) << "after life " << life;
    EXPECT_GE(store_->last_message_id(), model.waiting.empty() ? 0 : *model.waiting.rbegin());
  }
}

// A message that its receiver acknowledges before it is due is not written; its publisher may be told all the
// same. When the power goes at any moment, whoever was told is right: the receiver has the message, or the queue does.
TEST_F(Faults, WhatIsNotWrittenIsWithItsReceiver) {
  std::mt19937 random(11);
  std::uint64_t counter = 0, elided = 0;
  for (int life = 0; life < 12; ++life) {
    const SessionId session = static_cast<SessionId>(life) + 1;
    ASSERT_TRUE(open(Sync::kAlways).has_value());
    std::map<MessageId, BatchNumber> published;
    std::set<MessageId> received;
    BatchNumber told = 0;
    {
      FaultLane lane(*store_);
      lane.commit({put_session(session, random() % 4 != 0)});
      for (auto step = 40 + random() % 40; step > 0; --step) {
        const MessageId id = make_message_id(++counter, 0);
        lane.submit({enqueue(session, id)});
        published[id] = lane.submitted();
        if (random() % 4 != 0) {
          lane.submit({Acknowledge{session, id, random() % 8 != 0}});
          received.insert(id);
        }
        if (random() % 8 == 0) lane.settle();
        if (random() % 20 == 0) system_->fail_at(1 + static_cast<long>(random() % 3), Fault::kError);
      }
      lane.look();
      told = lane.committed();
      system_->fail_all(Fault::kPowerOff);
      system_->fail_at(0, Fault::kNone);
    }
    elided += store_->counts().elided;
    lose_power();
    ASSERT_TRUE(open(Sync::kAlways).has_value());
    const std::set<MessageId> found = queue(session);
    for (const auto& [id, batch] : published) {
      if (batch <= told) {
        EXPECT_TRUE(received.contains(id) || found.contains(id)) << "life " << life << ", " << batch;
      }
    }
    FaultLane(*store_).commit({EraseSession{session}});
    store_.reset();
  }
  EXPECT_GT(elided, 100U);
}

// RocksDB rewrites files of which nothing is left, and the disk fails meanwhile, whenever that is.
TEST_F(Faults, ARewriteThatLeavesNothingMayFail) {
  ASSERT_TRUE(open(Sync::kOs).has_value());
  std::uint64_t counter = 0;
  for (long at = 1; at <= 80; ++at) {
    const SessionId session = static_cast<SessionId>(at);
    {
      FaultLane lane(*store_);
      lane.commit({put_session(session), enqueue(session, make_message_id(++counter, 0))});
      store_->flush();
      lane.commit({EraseSession{session}});
    }
    store_->flush();
    if (at % 4 == 0) {
      failing_syncs_ = 1;
    } else {
      system_->fail_at(at, Fault::kError);
    }
    (void)store_->collect();
    system_->fail_at(0, Fault::kNone);
    failing_syncs_ = 0;
    FaultLane(*store_).commit({put_session(1000)});
  }
  EXPECT_TRUE(queue(1).empty());
}

// A message is handed on while files are rewritten. Its acknowledgement is in the log only, which is not synced for a
// long time; the file without the entry would be.
class HandedOn : public Faults {
 protected:
  // `then` happens when it has been handed on, before the file is whole.
  void hand_on_and_lose_power(const std::function<void()>& then = [] {}) {
    ASSERT_TRUE(open(Sync::kInterval).has_value());
    const MessageId kept = make_message_id(1, 0), handed_on = make_message_id(2, 0), again = make_message_id(3, 0);
    FaultLane(*store_).commit(
        {put_session(1), put_session(2), put_session(3), enqueue(1, kept), enqueue(2, handed_on)});
    store_->flush();
    system_->at_next_file(".sst", [&] {
      FaultLane(*store_).commit({Acknowledge{2, handed_on}, enqueue(3, again)});
      then();
      // Messages are collected next, for which RocksDB begins a new log, and syncs the old one.
      system_->at_next_file(".log", [this] { system_->fail_all(Fault::kPowerOff); });
    });
    EXPECT_FALSE(store_->collect().has_value());
    system_->at_next_file("", nullptr);
    lose_power();
    ASSERT_TRUE(open(Sync::kInterval).has_value());
    EXPECT_THAT(queue(1), ElementsAre(kept));
    EXPECT_EQ(queue(2).size() + queue(3).size(), 1U) << "in exactly one queue";
  }
};

TEST_F(HandedOn, APowerFailureDoesNotTakeBackWhyAnEntryWasLeftOut) { hand_on_and_lose_power(); }

// The file without the entry must not count.
TEST_F(HandedOn, FilesDoNotCountWhenTheLogCannotBeSynced) {
  hand_on_and_lose_power([this] { failing_syncs_ = 1; });
  EXPECT_EQ(failing_syncs_, 0);
}

// Nothing is left of what is rewritten, and so no new file is begun.
TEST_F(Faults, APowerFailureDoesNotTakeBackWhyNothingWasLeft) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  const MessageId entry = make_message_id(1, 0);
  FaultLane(*store_).commit({put_session(1), enqueue(1, entry)});
  store_->flush();
  FaultLane(*store_).commit({Acknowledge{1, entry}, put_session(2)});
  system_->at_next_file("", [this] { system_->fail_all(Fault::kPowerOff); });
  (void)store_->collect();
  system_->at_next_file("", nullptr);
  lose_power();
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  const bool acknowledged = store_->last_session_id() == 2;
  EXPECT_EQ(queue(1).size(), acknowledged ? 0U : 1U);
}

TEST_F(Faults, WithoutSyncAPowerFailureLosesTheEndOnly) {
  ASSERT_TRUE(open(Sync::kOs).has_value());
  {
    FaultLane lane(*store_);
    lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))});
    store_->flush();
    for (std::uint64_t i = 2; i <= 100; ++i) {
      lane.commit({enqueue(1, make_message_id(i, 0)), Acknowledge{1, make_message_id(i - 1, 0)}});
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

TEST_F(Faults, WithAnIntervalThatIsOverAPowerFailureLosesNothing) {
  sync_interval_ms_ = 1;
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  {
    FaultLane lane(*store_);
    lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))});
    // A sync that begins from now on takes the message along; two must have ended.
    std::uint64_t next = 2;
    for (const long syncs = system_->syncs(); system_->syncs() < syncs + 4;)
      lane.commit({enqueue(1, make_message_id(next++, 0))});
  }
  lose_power();
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  EXPECT_THAT(queue(1), testing::Contains(make_message_id(1, 0)));
}

TEST_F(Faults, AFullDiskIsToldAndWaitedFor) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  FaultLane lane(*store_), other(*store_);
  lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))});
  system_->fail_all(Fault::kNoSpace);
  lane.submit({enqueue(1, make_message_id(2, 0))});
  EXPECT_THAT(lane.await_trouble().what, HasSubstr("is full: free some space"));
  EXPECT_TRUE(lane.await_trouble().full);
  EXPECT_TRUE(other.await_trouble().full);
  FaultLane late(*store_);
  EXPECT_TRUE(late.await_trouble().full);
  lane.submit({enqueue(1, make_message_id(3, 0)), Acknowledge{1, make_message_id(1, 0)}});
  system_->fail_all(Fault::kNone);
  lane.settle();
  EXPECT_FALSE(lane.in_trouble());
  EXPECT_THAT(lane.read(1), ElementsAre(make_message_id(2, 0), make_message_id(3, 0)));
}

TEST_F(Faults, ALaneEndsInTroubleWithoutItsChanges) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  {
    FaultLane lane(*store_), other(*store_);
    lane.commit({put_session(1), enqueue(1, make_message_id(1, 0))});
    system_->fail_all(Fault::kError);
    lane.submit({enqueue(1, make_message_id(2, 0))});
    EXPECT_THAT(lane.await_trouble().what, HasSubstr("Input/output error"));
    EXPECT_FALSE(lane.await_trouble().full);
    other.submit({Acknowledge{1, make_message_id(1, 0)}});
  }
  system_->fail_all(Fault::kNone);
  store_.reset();
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  EXPECT_THAT(queue(1), ElementsAre(make_message_id(1, 0)));
}

// RocksDB still refuses writes for the sake of an earlier failure; the disk takes them.
TEST_F(Faults, ALaneEndsWithItsChangesWhenTheTroubleIsOver) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  {
    FaultLane lane(*store_);
    lane.commit({put_session(1, true), enqueue(1, make_message_id(1, 0))});
    system_->fail_all(Fault::kError);
    store_->flush();
    system_->fail_all(Fault::kNone);
    lane.submit({enqueue(1, make_message_id(2, 0))});
  }
  EXPECT_GT(store_->counts().failures, 0U);
  EXPECT_THAT(queue(1), ElementsAre(make_message_id(1, 0), make_message_id(2, 0)));
}

// The sync belonged to a flush, which failed with it; what is opened later is not told of it a second time.
TEST_F(Faults, ALaneEndsWithItsChangesThoughASyncFailedLongAgo) {
  ASSERT_TRUE(open(Sync::kAlways).has_value());
  {
    FaultLane lane(*store_);
    lane.commit({put_session(1, true), enqueue(1, make_message_id(1, 0))});
    failing_syncs_ = 1;
    store_->flush();
    EXPECT_EQ(failing_syncs_, 0);
    lane.commit({put_session(2)});
    system_->fail_all(Fault::kError);
    store_->flush();
    system_->fail_all(Fault::kNone);
    lane.submit({enqueue(1, make_message_id(2, 0))});
  }
  EXPECT_THAT(queue(1), ElementsAre(make_message_id(1, 0), make_message_id(2, 0)));
}

// A thousand messages for session 1: reading them takes a moment.
std::vector<Change> long_queue() {
  std::vector<Change> changes{put_session(1)};
  for (std::uint64_t m = 1; m <= 1000; ++m) changes.emplace_back(enqueue(1, make_message_id(m, 0)));
  return changes;
}

// Nothing is wrong with what was stored before; but the store is closed while it cannot be opened.
TEST_F(Faults, ReadsWaitUntilTheStoreIsOpenAgain) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  FaultLane lane(*store_), reader(*store_);
  lane.commit(long_queue());
  reader.begin_reads(1, 300);
  lane.commit({put_session(2)});
  failing_syncs_ = 5;
  system_->fail_at(1, Fault::kError);
  lane.commit({put_session(3)});
  reader.await_reads();
  EXPECT_EQ(reader.failed_reads(), 0U);
  EXPECT_EQ(failing_syncs_, 0);
}

TEST_F(Faults, AReadThatWaitsDoesNotKeepALaneFromItsEnd) {
  ASSERT_TRUE(open(Sync::kInterval).has_value());
  {
    FaultLane lane(*store_), reader(*store_);
    lane.commit(long_queue());
    reader.begin_reads(1, 300);
    lane.commit({put_session(2)});
    failing_syncs_ = 1'000'000;
    system_->fail_at(1, Fault::kError);
    lane.submit({put_session(3)});
    EXPECT_FALSE(lane.await_trouble().what.empty());
  }
  failing_syncs_ = 0;
  EXPECT_THAT(queue(1), testing::SizeIs(1000));
}

// Whichever changes fail, again and again: what was committed stays, and the store works again without a restart.
TEST_F(Faults, AnyChangeMayFail) {
  std::mt19937 random(4);
  for (long n = 1; n <= 16; ++n) {
    Model model;
    store_.reset();
    std::filesystem::remove_all(directory_.path());
    const Sync sync = n % 2 == 0 ? Sync::kAlways : Sync::kOs;
    ASSERT_TRUE(open(sync).has_value());
    {
      FaultLane lane(*store_);
      lane.commit({put_session(1)});
      system_->fail_at(n, n % 3 == 0 ? Fault::kNoSpace : Fault::kError);
      for (int i = 0; i < 30; ++i) {
        lane.commit(model.step(random));
        if (random() % 6 == 0) store_->flush();
        if (random() % 5 == 0) (void)store_->collect().has_value();
        if (random() % 4 == 0)
          system_->fail_at(1 + static_cast<long>(random() % 12), random() % 2 == 0 ? Fault::kNoSpace : Fault::kError);
      }
      system_->fail_at(0, Fault::kNone);
      lane.commit(model.step(random));
      EXPECT_FALSE(lane.in_trouble());
    }
    EXPECT_EQ(queue(1), model.waiting) << "change " << n;
    lose_power();
    if (sync != Sync::kAlways) continue;
    const auto opened = open(sync);
    ASSERT_TRUE(opened.has_value()) << n << ": " << opened.error().what;
    EXPECT_EQ(queue(1), model.waiting) << "after the power failed, change " << n;
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
