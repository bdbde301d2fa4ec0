#include "storage/rocksdb/elision.h"

#include <gtest/gtest.h>

namespace petrel::storage::rocks {
namespace {

constexpr SessionId kHere = 1, kAway = 2;

MessageId id(std::uint64_t counter, std::uint32_t lane = 0) { return make_message_id(counter, lane); }

Enqueue enqueue(SessionId session, MessageId message, wire::Qos qos = wire::Qos::k1) {
  return {session, {message, nullptr, "", qos, false, ""}};
}

struct ElisionTest : testing::Test {
  ElisionTest() {
    table.sessions[kHere].connected = true;
    table.sessions[kAway].connected = false;
  }
  Batch& add(std::vector<Change> changes) {
    batches.push_back({batches.size() + 1, std::move(changes)});
    elision.add(batches.back());
    return batches.back();
  }
  // Lets so many messages be written without an acknowledgement.
  void waits_in_vain(int messages) {
    for (int i = 0; i < messages; ++i) {
      add({enqueue(kHere, id(++counter))});
      elision.pop_front(true);
    }
  }

  SessionTable table;
  Elision elision{table};
  std::deque<Batch> batches;
  std::uint64_t counter = 0;
};

TEST_F(ElisionTest, AnAcknowledgementCancelsAnEntryOfAnotherBatchAndLane) {
  Batch& published = add({enqueue(kHere, id(1)), enqueue(kHere, id(2))});
  EXPECT_EQ(elision.at(0).awaited, 2U);
  EXPECT_FALSE(elision.at(0).is_settled());
  add({Acknowledge{kHere, id(2), true}});
  EXPECT_FALSE(elision.at(0).is_settled());
  EXPECT_TRUE(elision.at(1).is_void());
  add({Acknowledge{kHere, id(1), true}});
  EXPECT_TRUE(elision.at(0).is_void());
  EXPECT_EQ(elision.elided(), 2U);
  EXPECT_EQ(elision.awaited(), 0U);
  EXPECT_EQ(std::get<Enqueue>(published.changes[0]).session, 0U);
}

TEST_F(ElisionTest, WhatOneOfTwoReceiversHasIsStillWaitedForByTheOther) {
  Batch& published = add({enqueue(kHere, id(1)), enqueue(kAway, id(1))});
  add({Acknowledge{kHere, id(1), true}});
  EXPECT_FALSE(elision.at(0).is_settled());
  EXPECT_EQ(elision.at(0).urgent, 1U);
  EXPECT_EQ(std::get<Enqueue>(published.changes[1]).session, kAway);
}

TEST_F(ElisionTest, AnAcknowledgementOfWhatIsWrittenIsKept) {
  add({enqueue(kHere, id(1))});
  elision.pop_front();
  Batch& acknowledged = add({Acknowledge{kHere, id(1), true}});
  EXPECT_TRUE(elision.at(0).is_settled());
  EXPECT_FALSE(elision.at(0).is_void());
  EXPECT_EQ(std::get<Acknowledge>(acknowledged.changes[0]).session, kHere);
  EXPECT_EQ(elision.elided(), 0U);
}

TEST_F(ElisionTest, AnExchangeOfQos2StaysWithItsRecord) {
  add({enqueue(kHere, id(1), wire::Qos::k2)});
  add({Acknowledge{kHere, id(1), true}, PutOutgoing{kHere, {7, id(1), true}}});
  EXPECT_EQ(elision.at(0).urgent, 1U);
  EXPECT_FALSE(elision.at(1).is_settled());
  EXPECT_EQ(elision.elided(), 0U);
}

// A member of a shared subscription leaves: were the entry gone before the batch is written, a kill in between would
// lose the message.
TEST_F(ElisionTest, WhatIsHandedOnLeavesItsQueueWithTheBatchThatHandsItOn) {
  Batch& published = add({enqueue(kHere, id(1))});
  Batch& handed_on = add({Acknowledge{kHere, id(1)}, enqueue(kAway, id(2))});
  EXPECT_FALSE(elision.at(0).is_settled());
  EXPECT_EQ(elision.at(1).urgent, 2U);
  EXPECT_EQ(std::get<Enqueue>(published.changes[0]).session, kHere);
  EXPECT_EQ(std::get<Acknowledge>(handed_on.changes[0]).session, kHere);
}

TEST_F(ElisionTest, OtherChangesAreNotHeldBack) {
  add({enqueue(kHere, id(1)), PutSession{}});
  add({Acknowledge{kHere, id(1), true}});
  EXPECT_EQ(elision.at(0).urgent, 1U);
  EXPECT_FALSE(elision.at(0).is_settled());
}

TEST_F(ElisionTest, ASessionThatAcknowledgesTooLateIsNotWaitedForAndThenTriedAgain) {
  waits_in_vain(1);
  add({enqueue(kHere, id(++counter))});
  EXPECT_EQ(elision.at(0).doubtful, 1U);
  EXPECT_EQ(elision.awaited(), 0U);
  // Even so it need not be written if the acknowledgement comes.
  add({Acknowledge{kHere, id(counter), true}});
  EXPECT_TRUE(elision.at(0).is_void());
  for (int i = 0; i < 4; ++i) {
    add({enqueue(kHere, id(++counter))});
    add({Acknowledge{kHere, id(counter), true}});
  }
  add({enqueue(kHere, id(++counter))});
  EXPECT_EQ(elision.at(elision.size() - 1).awaited, 1U);
}

TEST_F(ElisionTest, NothingIsKeptOfWhatIsWritten) {
  for (int i = 0; i < 1000; ++i) {
    add({enqueue(kHere, id(++counter))});
    elision.pop_front();
  }
  EXPECT_LE(table.sessions[kHere].unwritten->entries.size(), 1U);
  add({enqueue(kHere, id(++counter))});
  elision.clear();
  EXPECT_EQ(elision.size(), 0U);
  EXPECT_EQ(elision.awaited(), 0U);
  add({Acknowledge{kHere, id(counter), true}});
  EXPECT_EQ(elision.at(0).later, 1U);
}

TEST_F(ElisionTest, LanesInterleave) {
  add({enqueue(kHere, id(9, 1)), enqueue(kHere, id(4, 0)), enqueue(kHere, id(10, 1))});
  add({Acknowledge{kHere, id(4, 0), true}, Acknowledge{kHere, id(10, 1), true}, Acknowledge{kHere, id(9, 1), true}});
  EXPECT_TRUE(elision.at(0).is_void());
  EXPECT_TRUE(elision.at(1).is_void());
}

}  // namespace
}  // namespace petrel::storage::rocks
