#include "storage/contract.h"

#include <gmock/gmock.h>

#include <thread>

namespace petrel::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MessageId id(std::uint64_t counter, std::uint32_t lane = 0) { return make_message_id(counter, lane); }

PutSession put_session(SessionId session) { return {{session, "client " + std::to_string(session), 60, true, 0}}; }

Enqueue enqueue(SessionId session, MessageId message, std::string_view payload = "payload") {
  wire::Message::Parts parts;
  parts.topic = "a/b";
  parts.payload = payload;
  parts.qos = wire::Qos::k1;
  return {session, {message, wire::Message::create(parts), "", wire::Qos::k1, false, ""}};
}

std::vector<MessageId> ids(const QueuePage& page) {
  std::vector<MessageId> found;
  found.reserve(page.entries.size());
  for (const QueueEntry& entry : page.entries) found.push_back(entry.id);
  return found;
}

// What a store recovers, as lines.
struct Recovered final : Recovery {
  std::vector<std::string> lines;
  void add(const std::string& kind, std::uint64_t session, const std::string& what) {
    lines.push_back(kind + " " + std::to_string(session) + " " + what);
  }
  void on_session(const SessionRecord& r) override {
    add("session", r.id,
        r.client_id + " " + std::to_string(r.session_expiry_interval_s) +
            (r.connected ? " connected" : " since " + std::to_string(r.disconnected_at)));
  }
  void on_subscription(SessionId s, const SubscriptionRecord& r) override {
    add("subscription", s, r.filter + " " + std::to_string(r.identifier));
  }
  void on_queue(SessionId s, std::uint64_t messages, std::uint64_t) override {
    add("queue", s, std::to_string(messages));
  }
  void on_outgoing(SessionId s, const OutgoingRecord& r, const QueueEntry* entry) override {
    const std::string payload = entry == nullptr ? "" : " " + std::string(entry->message->payload());
    add("outgoing", s, std::to_string(r.packet_id) + (r.released ? " released" : " sent") + payload);
  }
  void on_incoming(SessionId s, wire::PacketId p) override { add("incoming", s, std::to_string(p)); }
  void on_retained(Ref<const wire::Message> m) override {
    add("retained", 0, std::string(m->topic()) + " " + std::string(m->payload()));
  }
  void on_will(SessionId s, const WillRecord& w) override { add("will", s, w.topic + " " + w.payload); }
};

std::vector<std::string> recovered(Store& store) {
  Recovered result;
  EXPECT_TRUE(store.recover(result).has_value());
  return result.lines;
}

std::vector<Change> everything_of(SessionId session) {
  std::vector<Change> changes;
  changes.push_back(put_session(session));
  changes.push_back(PutSubscription{session, {"x/#", {}, 7}});
  changes.push_back(enqueue(session, id(1)));
  changes.push_back(PutOutgoing{session, {3, id(1), true}});
  changes.push_back(PutIncoming{session, 4});
  WillRecord will;
  will.topic = "will";
  will.payload = "gone";
  changes.push_back(PutWill{session, will});
  return changes;
}

}  // namespace

ContractLane::ContractLane(Store& store, std::uint32_t number)
    : lane_(store.open_lane(number, [this] {
        std::lock_guard lock(mutex_);
        wake_ = true;
        woken_.notify_one();
      })) {}

void ContractLane::submit(std::vector<Change> changes) { lane_->commit({++last_batch_, std::move(changes)}); }

std::uint64_t ContractLane::request(SessionId session, QueuePosition position, std::size_t limit,
                                    std::size_t limit_bytes) {
  lane_->read_queue(session, ++last_request_, std::move(position), limit, limit_bytes);
  return last_request_;
}

void ContractLane::settle() {
  for (lane_->poll(*this); committed.size() < last_batch_ || pages.size() < last_request_; lane_->poll(*this)) {
    std::unique_lock lock(mutex_);
    woken_.wait(lock, [this] { return wake_; });
    wake_ = false;
  }
}

void ContractLane::commit(std::vector<Change> changes) {
  submit(std::move(changes));
  settle();
}

QueuePage ContractLane::read(SessionId session, QueuePosition position, std::size_t limit, std::size_t limit_bytes) {
  const std::uint64_t number = request(session, std::move(position), limit, limit_bytes);
  settle();
  return pages[number];
}

void StoreContract::SetUp() { place_ = GetParam().make(); }

TEST_P(StoreContract, ChangesOfABatchApplyInOrder) {
  ContractLane lane(store(), 0);
  lane.commit({put_session(1), enqueue(1, id(1)), Acknowledge{1, id(1)}, enqueue(1, id(2)), EraseSession{1},
               enqueue(1, id(3)), put_session(2), enqueue(2, id(4))});
  EXPECT_THAT(ids(lane.read(1)), IsEmpty());
  EXPECT_THAT(ids(lane.read(2)), ElementsAre(id(4)));
}

TEST_P(StoreContract, CommitsAreReportedInTheOrderOfSubmission) {
  ContractLane lane(store(), 0);
  for (int i = 0; i < 5; ++i) lane.submit({});
  lane.settle();
  EXPECT_THAT(lane.committed, ElementsAre(1, 2, 3, 4, 5));
}

TEST_P(StoreContract, AReadSeesBatchesSubmittedEarlierByAnyLane) {
  ContractLane zero(store(), 0), one(store(), 1);
  zero.submit({put_session(1), enqueue(1, id(1, 0))});
  one.submit({enqueue(1, id(2, 1))});
  const std::uint64_t request = zero.request(1);
  one.settle();
  zero.settle();
  EXPECT_THAT(ids(zero.pages[request]), ElementsAre(id(1, 0), id(2, 1)));
}

TEST_P(StoreContract, ALateSmallerIdOfAnotherLaneIsFoundByPosition) {
  ContractLane zero(store(), 0), one(store(), 1);
  one.commit({put_session(1), enqueue(1, id(10, 1))});
  QueuePosition position;
  position.advance(id(10, 1));
  zero.commit({enqueue(1, id(5, 0))});
  EXPECT_THAT(ids(one.read(1, position)), ElementsAre(id(5, 0)));
  position.advance(id(5, 0));
  EXPECT_THAT(ids(one.read(1, position)), IsEmpty());
  zero.commit({enqueue(1, id(6, 0)), enqueue(1, id(12, 0))});
  one.commit({enqueue(1, id(11, 1))});
  EXPECT_THAT(ids(one.read(1, position)), ElementsAre(id(6, 0), id(11, 1), id(12, 0)));
}

TEST_P(StoreContract, AcknowledgesOutOfOrder) {
  ContractLane lane(store(), 0);
  std::vector<Change> changes{put_session(1)};
  for (std::uint64_t i = 1; i <= 100; ++i) changes.push_back(enqueue(1, id(i)));
  lane.commit(std::move(changes));
  changes.clear();
  for (std::uint64_t i = 99; i >= 2; --i) changes.push_back(Acknowledge{1, id(i)});
  changes.push_back(Acknowledge{1, id(50)});
  changes.push_back(Acknowledge{1, id(1000)});
  lane.commit(std::move(changes));
  EXPECT_THAT(ids(lane.read(1)), ElementsAre(id(1), id(100)));
  lane.commit({Acknowledge{1, id(1)}, Acknowledge{1, id(100)}, enqueue(1, id(101))});
  EXPECT_THAT(ids(lane.read(1)), ElementsAre(id(101)));
}

TEST_P(StoreContract, PagesEndAtTheirLimits) {
  ContractLane lane(store(), 0);
  const std::string large(1000, 'x');
  lane.commit({put_session(1), enqueue(1, id(1), large), enqueue(1, id(2), large), enqueue(1, id(3), large)});
  const QueuePage two = lane.read(1, {}, 2);
  EXPECT_THAT(ids(two), ElementsAre(id(1), id(2)));
  EXPECT_TRUE(two.more);
  QueuePosition position;
  position.advance(id(2));
  const QueuePage rest = lane.read(1, position, 2);
  EXPECT_THAT(ids(rest), ElementsAre(id(3)));
  EXPECT_FALSE(rest.more);
  EXPECT_FALSE(lane.read(1, {}, 3).more);
  const QueuePage one = lane.read(1, {}, 3, 1);  // at least one entry
  EXPECT_THAT(ids(one), ElementsAre(id(1)));
  EXPECT_TRUE(one.more);
}

TEST_P(StoreContract, AnEntryKeepsHowItIsToBeReceived) {
  ContractLane lane(store(), 0);
  Enqueue change = enqueue(1, id(1), "text");
  change.entry.identifiers = "\x0b\x07";
  change.entry.qos = wire::Qos::k2;
  change.entry.retain = true;
  change.entry.shared_group = "$share/g/a/b";
  lane.commit({put_session(1), change});
  const QueuePage page = lane.read(1);
  ASSERT_EQ(page.entries.size(), 1U);
  EXPECT_EQ(page.session, 1U);
  EXPECT_EQ(page.entries[0].identifiers, "\x0b\x07");
  EXPECT_EQ(page.entries[0].qos, wire::Qos::k2);
  EXPECT_TRUE(page.entries[0].retain);
  EXPECT_EQ(page.entries[0].shared_group, "$share/g/a/b");
  EXPECT_EQ(page.entries[0].message->payload(), "text");
}

TEST_P(StoreContract, AnUnknownSessionIsPassedOver) {
  ContractLane lane(store(), 0);
  lane.commit({enqueue(9, id(1)), Acknowledge{9, id(1)}, PutIncoming{9, 1}, PutSubscription{9, {"a", {}, 0}},
               EraseWill{9}, EraseSession{9}});
  EXPECT_THAT(ids(lane.read(9)), IsEmpty());
  EXPECT_THAT(recovered(store()), IsEmpty());
}

TEST_P(StoreContract, EverythingSurvivesAReopen) {
  {
    ContractLane lane(store(), 0);
    lane.commit(everything_of(1));
    lane.commit({PutRetained{enqueue(1, id(1), "kept").entry.message}});
  }
  place_->reopen();
  EXPECT_THAT(recovered(store()),
              testing::UnorderedElementsAre("session 1 client 1 60 connected", "subscription 1 x/# 7", "queue 1 1",
                                            "outgoing 1 3 released", "incoming 1 4", "will 1 will gone",
                                            "retained 0 a/b kept"));
  EXPECT_EQ(recovered(store()).front(), "session 1 client 1 60 connected");
  ContractLane lane(store(), 0);
  EXPECT_THAT(ids(lane.read(1)), ElementsAre(id(1)));
}

TEST_P(StoreContract, AnExchangeThatIsNotReleasedComesBackWithItsMessage) {
  {
    ContractLane lane(store(), 0);
    lane.commit({put_session(1), enqueue(1, id(1), "one"), enqueue(1, id(2), "two"), enqueue(1, id(3), "three"),
                 PutOutgoing{1, {5, id(2), false}}, PutOutgoing{1, {6, id(3), false}}, Acknowledge{1, id(3)},
                 PutOutgoing{1, {7, id(1), false}}, Acknowledge{1, id(1)}, PutOutgoing{1, {7, id(1), true}}});
  }
  place_->reopen();
  EXPECT_THAT(recovered(store()),
              testing::UnorderedElementsAre("session 1 client 1 60 connected", "queue 1 1", "outgoing 1 5 sent two",
                                            "outgoing 1 6 sent", "outgoing 1 7 released"));
}

TEST_P(StoreContract, OfARetainedMessageTheLastSubmissionOfAnyLaneCounts) {
  {
    ContractLane zero(store(), 0), one(store(), 1);
    zero.commit({put_session(1)});
    for (std::uint64_t i = 1; i <= 20; ++i) {
      zero.submit({PutRetained{enqueue(1, id(i), "zero").entry.message}});
      one.submit({PutRetained{enqueue(1, id(i), "one").entry.message}});
      if (i % 3 == 0) one.submit({EraseRetained{"a/b"}});
      if (i % 5 == 0) zero.submit({PutRetained{enqueue(1, id(i), std::to_string(i)).entry.message}});
    }
    zero.settle();
    one.settle();
  }
  place_->reopen();
  EXPECT_THAT(recovered(store()),
              testing::UnorderedElementsAre("session 1 client 1 60 connected", "queue 1 0", "retained 0 a/b 20"));
}

TEST_P(StoreContract, ErasesOneByOne) {
  ContractLane lane(store(), 0);
  lane.commit(everything_of(1));
  lane.commit({EraseSubscription{1, "x/#"}, Acknowledge{1, id(1)}, EraseOutgoing{1, 3}, EraseIncoming{1, 4},
               EraseWill{1}, PutRetained{enqueue(1, id(1)).entry.message}, EraseRetained{"a/b"}});
  EXPECT_THAT(recovered(store()), ElementsAre("session 1 client 1 60 connected", "queue 1 0"));
}

TEST_P(StoreContract, ErasingASessionErasesAllThatBelongsToIt) {
  {
    ContractLane lane(store(), 0);
    lane.commit(everything_of(1));
    lane.commit({EraseSession{1}});
    EXPECT_THAT(ids(lane.read(1)), IsEmpty());
    lane.commit({put_session(2)});
    EXPECT_THAT(ids(lane.read(2)), IsEmpty());
  }
  place_->reopen();
  EXPECT_THAT(recovered(store()), ElementsAre("session 2 client 2 60 connected", "queue 2 0"));
}

TEST_P(StoreContract, TellsTheLastIds) {
  EXPECT_EQ(store().last_message_id(), 0U);
  EXPECT_EQ(store().last_session_id(), 0U);
  {
    ContractLane lane(store(), 0);
    lane.commit({put_session(4), put_session(2), enqueue(2, id(9)), enqueue(4, id(8))});
  }
  place_->reopen();
  EXPECT_EQ(store().last_message_id(), id(9));
  EXPECT_EQ(store().last_session_id(), 4U);
}

TEST_P(StoreContract, LanesWorkOnTwoThreads) {
  constexpr std::uint64_t kMessages = 500;
  ContractLane zero(store(), 0), one(store(), 1);
  zero.commit({put_session(1)});
  const auto work = [&](ContractLane& lane, std::uint32_t number) {
    for (std::uint64_t i = 1; i <= kMessages; ++i) {
      lane.commit({enqueue(1, id(i, number))});
      if (i % 2 == 0) lane.commit({Acknowledge{1, id(i, number)}});
      if (i % 50 == 0) lane.read(1, {}, 10);
    }
  };
  std::thread other([&] { work(one, 1); });
  work(zero, 0);
  other.join();
  const std::vector<MessageId> found = ids(zero.read(1));
  EXPECT_EQ(found.size(), kMessages);
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
}

}  // namespace petrel::storage
