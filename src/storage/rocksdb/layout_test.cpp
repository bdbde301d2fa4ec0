// What the layout promises: small entries, long queues that cost neither memory nor time, acknowledgements that delete
// nothing, messages that leave the disk when nobody waits for them, and damage that is told.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "storage/contract.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"
#include "storage/rocksdb/tools.h"

namespace petrel::storage {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t kFirst = std::uint64_t{1'700'000'000'000} << 12;  // as the broker counts: milliseconds and more

MessageId id(std::uint64_t counter, std::uint32_t lane = 0) { return make_message_id(kFirst + counter, lane); }

Ref<const wire::Message> message(std::string_view payload) {
  wire::Message::Parts parts;
  parts.topic = "a/b";
  parts.payload = payload;
  parts.qos = wire::Qos::k1;
  return wire::Message::create(parts);
}

Enqueue enqueue(SessionId session, MessageId id, Ref<const wire::Message> message) {
  return {session, {id, std::move(message), "", wire::Qos::k1, false, ""}};
}

PutSession put_session(SessionId id) { return {{id, "client " + std::to_string(id), 60, false, 0}}; }

// Bytes that do not compress, so that sizes mean something.
std::string noise(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

class Layout : public testing::Test {
 protected:
  Layout() { open(); }
  static RocksStoreOptions options() {
    RocksStoreOptions options;
    options.collect_interval_ms = 3'600'000;
    options.collect_bytes = 0;
    return options;
  }
  void open(RocksStoreOptions options = Layout::options()) {
    store_.reset();
    options.directory = directory_.path();
    options.sync = Sync::kOs;
    auto opened = RocksStore::open(options);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    store_ = std::move(*opened);
  }
  std::string refusal() {
    RocksStoreOptions options;
    options.directory = directory_.path();
    const auto opened = RocksStore::open(options);
    return opened.has_value() ? "" : opened.error().what;
  }

  TestDirectory directory_;
  std::unique_ptr<RocksStore> store_;
};

struct Lengths final : Recovery {
  std::map<SessionId, std::uint64_t> messages, bytes;
  int parts = 0;  // of sessions
  void on_session(const SessionRecord&) override {}
  void on_subscription(SessionId, const SubscriptionRecord&) override { ++parts; }
  void on_queue(SessionId session, std::uint64_t m, std::uint64_t b) override {
    messages[session] = m, bytes[session] = b;
  }
  void on_outgoing(SessionId, const OutgoingRecord&, const QueueEntry*) override { ++parts; }
  void on_incoming(SessionId, wire::PacketId) override { ++parts; }
  void on_retained(Ref<const wire::Message>) override {}
  void on_will(SessionId, const WillRecord&) override {}
};

TEST_F(Layout, AMessageForAThousandSessionsIsOneBodyAndAThousandSmallEntries) {
  constexpr SessionId kSessions = 1000;
  constexpr std::uint64_t kMessages = 50;
  constexpr std::size_t kPayload = 1000;
  {
    ContractLane lane(*store_, 0);
    std::vector<Change> sessions;
    for (SessionId s = 1; s <= kSessions; ++s) sessions.emplace_back(put_session(s));
    lane.commit(std::move(sessions));
    const std::uint64_t log_before = store_->counts().log_bytes;
    for (std::uint64_t m = 1; m <= kMessages; ++m) {
      const auto body = message(noise(kPayload, static_cast<std::uint32_t>(m)));
      std::vector<Change> changes;
      for (SessionId s = 1; s <= kSessions; ++s) changes.emplace_back(enqueue(s, id(m << 12), body));
      lane.commit(std::move(changes));
    }
    const std::uint64_t log_bytes = store_->counts().log_bytes - log_before;
    EXPECT_LE(log_bytes, kMessages * (kPayload + 100 + 20 * kSessions)) << "in the log";
    EXPECT_EQ(store_->counts().bodies, kMessages);
  }
  store_->flush();
  EXPECT_LE(store_->file_bytes(), kMessages * (kPayload + 100 + 20 * kSessions)) << "in files";
}

// A broker that takes a queue for longer than it is drops messages that have room.
TEST_F(Layout, LengthsAreExactAfterARestart) {
  constexpr std::uint64_t kQueued = 3000;
  std::map<SessionId, std::uint64_t> waiting;
  {
    ContractLane lane(*store_, 0);
    for (SessionId s = 1; s <= 4; ++s) lane.commit({put_session(s)});
    // Of the first all waits, of the second each seventh, of the third the last twenty, of the fourth nothing.
    for (std::uint64_t m = 0; m < kQueued; ++m) {
      const auto body = message(noise(100, static_cast<std::uint32_t>(m)));
      std::vector<Change> changes;
      for (SessionId s = 1; s <= 4; ++s) changes.emplace_back(enqueue(s, id(m), body));
      lane.submit(std::move(changes));
    }
    lane.settle();
    waiting = {{1, kQueued}, {2, 0}, {3, 20}, {4, 0}};
    for (std::uint64_t m = 0; m < kQueued; ++m) {
      std::vector<Change> changes{Acknowledge{4, id(m)}};
      if (m % 7 != 0) changes.emplace_back(Acknowledge{2, id(m)});
      if (m % 7 == 0) ++waiting[2];
      if (m + 20 < kQueued) changes.emplace_back(Acknowledge{3, id(m)});
      lane.submit(std::move(changes));
    }
    lane.settle();
  }
  for (int restart = 0; restart < 2; ++restart) {
    open();
    Lengths lengths;
    ASSERT_TRUE(store_->recover(lengths).has_value());
    EXPECT_EQ(lengths.messages, waiting);
    EXPECT_LE(lengths.bytes[1], kQueued * (100 + 64));
  }
}

// Beyond what is counted at a start.
// Whoever believes more than there is drops messages that have room. What was counted of small entries says nothing of
// the large ones behind them.
TEST_F(Layout, LengthsOfVeryLongQueuesAreLowEstimates) {
  constexpr std::uint64_t kQueued = 30'000;
  {
    ContractLane lane(*store_, 0);
    for (SessionId s = 1; s <= 3; ++s) lane.commit({put_session(s)});
    std::mt19937_64 random(1);
    for (std::uint64_t m = 0; m < kQueued; ++m) {
      const auto body = message("x");
      Enqueue large = enqueue(2, id(m), body);
      for (int i = 0; i < 8; ++i) large.entry.shared_group += std::to_string(random());
      lane.submit({enqueue(1, id(m), body), large, enqueue(3, id(m), body)});
    }
    lane.settle();
  }
  RocksStoreOptions options = Layout::options();
  options.count_at_start = kQueued;
  open(options);
  Lengths lengths;
  ASSERT_TRUE(store_->recover(lengths).has_value());
  EXPECT_EQ(lengths.messages[1], kQueued);
  EXPECT_LE(lengths.messages[2], kQueued);
  EXPECT_GE(lengths.messages[2], kQueued / 4);
  EXPECT_LE(lengths.messages[3], kQueued);
}

// Through connection and restart, with messages coming in all the while; each is read once, in order.
TEST_F(Layout, ALongQueueIsReadInPagesAcrossRestarts) {
  constexpr std::uint64_t kMessages = 3000;
  std::uint64_t sent = 0;
  std::vector<MessageId> received;
  {
    ContractLane lane(*store_, 0);
    lane.commit({put_session(1)});
  }
  while (received.size() < kMessages) {
    {
      ContractLane lane(*store_, 0);
      QueuePosition position;
      for (int page = 0; page < 4; ++page) {
        std::vector<Change> changes;
        for (; sent < kMessages && changes.size() < 400; ++sent)
          changes.emplace_back(enqueue(1, id(sent), message("x")));
        lane.commit(std::move(changes));
        const QueuePage read = lane.read(1, position, 100);
        std::vector<Change> acknowledged;
        for (const QueueEntry& entry : read.entries) {
          position.advance(entry.id);
          received.push_back(entry.id);
          acknowledged.emplace_back(Acknowledge{1, entry.id});
        }
        // One by one, as they come from a client.
        for (Change& change : acknowledged) lane.submit({std::move(change)});
        lane.settle();
      }
    }
    if (received.size() % 800 == 0) store_->flush();
    open();
  }
  ASSERT_THAT(received, SizeIs(kMessages));
  for (std::uint64_t m = 0; m < kMessages; ++m) ASSERT_EQ(received[m], id(m));
  EXPECT_THAT(ContractLane(*store_, 0).read(1).entries, IsEmpty());
}

TEST_F(Layout, MessagesThatNobodyWaitsForLeaveTheDisk) {
  const std::string payload = noise(10'000, 1);
  ContractLane lane(*store_, 0), other(*store_, 1);
  lane.commit({put_session(1), put_session(2), put_session(3)});
  for (std::uint64_t m = 1; m <= 200; ++m) lane.submit({enqueue(1, id(m), message(noise(10'000, 5)))});
  lane.submit({enqueue(2, id(201), message(payload)), enqueue(3, id(202), message("of one that goes"))});
  lane.settle();
  store_->flush();
  const std::uint64_t before = store_->file_bytes();
  EXPECT_GT(before, 200U * 10'000 / 2);
  for (std::uint64_t m = 1; m <= 200; ++m) {
    if (m != 100) lane.submit({Acknowledge{1, id(m)}});
  }
  lane.submit({EraseSession{3}});
  other.submit({enqueue(2, id(150, 1), message("late, with a smaller id"))});
  lane.settle();
  other.settle();
  store_->flush();
  ASSERT_TRUE(store_->collect().has_value());
  EXPECT_LT(store_->file_bytes(), 40'000U);
  EXPECT_THAT(lane.read(1).entries, SizeIs(1));
  const QueuePage page = lane.read(2);
  ASSERT_THAT(page.entries, SizeIs(2));
  EXPECT_EQ(page.entries[0].message->payload(), "late, with a smaller id");
  EXPECT_EQ(page.entries[1].message->payload(), payload);
  EXPECT_EQ(store_->counts().unreadable, 0U);
}

TEST_F(Layout, WhatIsLeftInTheFilesOfASessionThatHasEndedIsNobodys) {
  {
    ContractLane lane(*store_, 0);
    lane.commit({put_session(1), put_session(7), PutSubscription{7, {"a/#", {}, 0}}, PutOutgoing{7, {1, id(1), false}},
                 PutIncoming{7, 2}, enqueue(7, id(1), message("x"))});
    store_->flush();
    lane.commit({EraseSession{7}});
  }
  open();
  EXPECT_EQ(store_->last_session_id(), 7U) << "or the next session would get it";
  ContractLane lane(*store_, 0);
  Lengths found;
  ASSERT_TRUE(store_->recover(found).has_value());
  EXPECT_EQ(found.messages, (std::map<SessionId, std::uint64_t>{{1, 0}}));
  EXPECT_EQ(found.parts, 0);
  EXPECT_THAT(lane.read(7).entries, IsEmpty());
}

std::uint64_t file_bytes(const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.path().extension() == ".sst") bytes += entry.file_size();
  return bytes;
}

// A flush may write the keys: older files might hold something under them.
TEST_F(Layout, OfSessionsThatHaveEndedNothingIsLeftAfterACollection) {
  {
    ContractLane lane(*store_, 0);
    for (const bool flushed : {true, false}) {
      for (SessionId s = flushed ? 100 : 300; s < (flushed ? 300 : 500); ++s)
        lane.submit({put_session(s), PutSubscription{s, {"a/" + noise(1000, static_cast<std::uint32_t>(s)), {}, 0}},
                     enqueue(s, id(s), message(noise(1000, static_cast<std::uint32_t>(s))))});
      lane.settle();
      if (flushed) store_->flush();
    }
    EXPECT_GT(store_->file_bytes(), 200U * 2000);
    for (SessionId s = 100; s < 500; ++s) lane.submit({EraseSession{s}});
    lane.settle();
  }
  store_->flush();
  ASSERT_TRUE(store_->collect().has_value());
  EXPECT_LT(store_->file_bytes(), 5000U);
  store_.reset();  // files that do not count any more are removed by then
  EXPECT_LT(file_bytes(directory_.path()), 5000U);
}

// The files are small, and do not grow.
TEST_F(Layout, WhatManySessionsLeaveBehindIsCollectedUnasked) {
  RocksStoreOptions options;
  options.collect_interval_ms = 1;
  options.collect_bytes = std::uint64_t{1} << 30;
  open(options);
  ContractLane lane(*store_, 0);
  std::vector<Change> begin, end;
  for (SessionId s = 1; s <= 11'000; ++s) {
    begin.emplace_back(put_session(s));
    begin.emplace_back(PutSubscription{s, {"a/" + noise(20, static_cast<std::uint32_t>(s)), {}, 0}});
    end.emplace_back(EraseSession{s});
  }
  lane.commit(std::move(begin));
  store_->flush();
  EXPECT_GT(store_->file_bytes(), 11'000U * 20);
  EXPECT_EQ(store_->counts().collections, 0U);
  lane.commit(std::move(end));
  while (store_->counts().collections == 0) std::this_thread::yield();
  EXPECT_LT(store_->file_bytes(), 5000U);
}

// Nor is one that was left by sessions of an earlier start.
TEST_F(Layout, WhatManySessionsLeftBehindBeforeAStartIsCollected) {
  {
    ContractLane lane(*store_, 0);
    std::vector<Change> begin, end;
    for (SessionId s = 1; s <= 11'000; ++s) {
      begin.emplace_back(put_session(s));
      begin.emplace_back(PutSubscription{s, {"a", {}, 0}});
      end.emplace_back(EraseSession{s});
    }
    lane.commit(std::move(begin));
    store_->flush();
    lane.commit(std::move(end));
  }
  RocksStoreOptions options;
  options.collect_interval_ms = 1;
  options.collect_bytes = std::uint64_t{1} << 30;
  open(options);
  while (store_->counts().collections == 0) std::this_thread::yield();
  EXPECT_LT(store_->file_bytes(), 5000U);
}

// Its entry stays until the session reads it, and says so.
TEST_F(Layout, AnExpiredMessageLeavesTheDiskBeforeItsEntry) {
  ContractLane lane(*store_, 0);
  wire::Message::Parts parts;
  const std::string payload = noise(10'000, 3);
  parts.topic = "a";
  parts.payload = payload;
  parts.expires_at = 1'700'000'000'000;
  lane.commit({put_session(1), enqueue(1, id(1), wire::Message::create(parts)), enqueue(1, id(2), message("y"))});
  store_->flush();
  ASSERT_TRUE(store_->collect().has_value());
  EXPECT_LT(store_->file_bytes(), 5000U);
  const QueuePage page = lane.read(1);
  ASSERT_THAT(page.entries, SizeIs(2));
  EXPECT_TRUE(page.entries[0].message->expired(1));
  EXPECT_EQ(page.entries[1].message->payload(), "y");
  EXPECT_EQ(store_->counts().unreadable, 0U);
}

// The last message is known even when it has left the disk: its id must not come again below a floor.
TEST_F(Layout, IdsGoOnAfterEverythingWasAcknowledgedAndCollected) {
  {
    ContractLane lane(*store_, 0);
    lane.commit({put_session(1), enqueue(1, id(7), message("x"))});
    lane.commit({Acknowledge{1, id(7)}});
    store_->flush();
    ASSERT_TRUE(store_->collect().has_value());
  }
  open();
  EXPECT_GE(store_->last_message_id(), id(7));
}

// Expired messages leave the disk before the entries that wait for them: a message that got such an id would be in the
// other's place.
TEST_F(Layout, IdsGoOnAfterThoseOfEntriesWithoutTheirMessage) {
  {
    ContractLane lane(*store_, 0);
    wire::Message::Parts parts;
    parts.topic = "a";
    parts.payload = "x";
    parts.expires_at = 1'700'000'000'000;
    std::vector<Change> changes{put_session(1)};
    for (std::uint64_t m = 1; m <= 30; ++m) changes.emplace_back(enqueue(1, id(m), wire::Message::create(parts)));
    lane.commit(std::move(changes));
    store_->flush();
    ASSERT_TRUE(store_->collect().has_value());
  }
  for (const std::uint64_t counted : {std::uint64_t{1000}, std::uint64_t{0}}) {
    RocksStoreOptions options = Layout::options();
    options.count_at_start = counted;
    open(options);
    EXPECT_EQ(store_->last_message_id(), id(30)) << counted << " counted";
  }
}

// Acknowledged before it was written: neither the message nor its entry is.
TEST_F(Layout, WhatIsAcknowledgedBeforeItsBatchIsDueIsNotWritten) {
  ContractLane publisher(*store_, 0), receiver(*store_, 1);
  publisher.commit({put_session(1), put_session(2)});
  publisher.commit({enqueue(1, id(1), message("x")), Acknowledge{1, id(1)}});
  EXPECT_EQ(store_->counts().elided, 1U);
  EXPECT_EQ(store_->counts().bodies, 0U);
  // Of two receivers one has it: the message is written, for the other.
  publisher.commit({enqueue(1, id(2), message("y")), enqueue(2, id(2), message("y")), Acknowledge{1, id(2)}});
  EXPECT_EQ(store_->counts().elided, 2U);
  EXPECT_EQ(store_->counts().entries, 1U);
  EXPECT_EQ(store_->counts().bodies, 1U);
  EXPECT_THAT(publisher.read(1).entries, IsEmpty());
  EXPECT_THAT(publisher.read(2).entries, SizeIs(1));
}

// Though the two come one after the other: a batch that may still cancel out is held back.
TEST_F(Layout, WhatAnotherLaneAcknowledgesInTimeIsNotWritten) {
  ContractLane publisher(*store_, 0), receiver(*store_, 1);
  publisher.commit({PutSession{{1, "client 1", 60, true, 0}}});
  for (std::uint64_t m = 1; m <= 200; ++m) {
    publisher.submit({enqueue(1, id(m), message("x"))});
    receiver.submit({Acknowledge{1, id(m), true}});
  }
  publisher.settle();
  receiver.settle();
  EXPECT_GT(store_->counts().elided, 0U);
  EXPECT_EQ(store_->counts().elided + store_->counts().entries, 200U);
  EXPECT_THAT(publisher.read(1).entries, IsEmpty());
}

TEST_F(Layout, ASecondProcessIsRefused) { EXPECT_THAT(refusal(), HasSubstr("is in use by another process")); }

// RocksDB would begin a new database, and take the files of the old one for nobody's.
TEST_F(Layout, ADatabaseWithoutItsFirstFileIsNotBegunAnew) {
  namespace fs = std::filesystem;
  {
    ContractLane lane(*store_, 0);
    lane.commit({put_session(1), enqueue(1, id(1), message("x"))});
  }
  store_.reset();
  const fs::path database = fs::path(directory_.path()) / "db";
  fs::rename(database / "CURRENT", fs::path(directory_.path()) / "CURRENT");
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_THAT(refusal(), HasSubstr("no file CURRENT"));
    EXPECT_FALSE(check_store(directory_.path()).sound);
    EXPECT_THAT(describe_store(directory_.path()).lines.front(), HasSubstr("is damaged"));
  }
  fs::rename(fs::path(directory_.path()) / "CURRENT", database / "CURRENT");
  open();
  ContractLane lane(*store_, 0);
  EXPECT_THAT(lane.read(1).entries, SizeIs(1));
}

TEST_F(Layout, CheckingMakesNothing) {
  store_.reset();
  std::filesystem::remove_all(directory_.path() + "/db");
  EXPECT_THAT(check_store(directory_.path()).lines.front(), HasSubstr("holds no database"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/db/CURRENT"));
}

TEST_F(Layout, DamageIsToldAndNeverFatal) {
  {
    ContractLane lane(*store_, 0);
    std::vector<Change> changes{put_session(1)};
    for (std::uint64_t m = 1; m <= 500; ++m)
      changes.emplace_back(enqueue(1, id(m), message(noise(500, static_cast<std::uint32_t>(m)))));
    lane.commit(std::move(changes));
  }
  store_.reset();
  EXPECT_TRUE(check_store(directory_.path()).sound);
  const TestDirectory sound;
  const auto everything = std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy(directory_.path(), sound.path(), everything);
  std::size_t told = 0, files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(sound.path() + "/db")) {
    if (entry.file_size() < 64) continue;
    ++files;
    const auto restore_and_damage = [&] {
      std::filesystem::remove_all(directory_.path() + "/db");
      std::filesystem::copy(sound.path(), directory_.path(), everything);
      std::fstream damaged(std::filesystem::path(directory_.path()) / "db" / entry.path().filename(),
                           std::ios::in | std::ios::out | std::ios::binary);
      damaged.seekp(static_cast<std::streamoff>(entry.file_size() / 3));
      damaged << noise(40, 9);
    };
    restore_and_damage();
    if (!check_store(directory_.path()).sound) ++told;
    restore_and_damage();
    if (const std::string refused = refusal(); refused.empty()) {
      open();
      (void)ContractLane(*store_, 0).read(1);
      store_.reset();
    } else {
      EXPECT_THAT(refused, HasSubstr("petrel store check")) << entry.path();
    }
  }
  EXPECT_GE(files, 4U);
  EXPECT_GE(told, 3U);
}

}  // namespace
}  // namespace petrel::storage
