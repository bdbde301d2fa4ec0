// Reads of stored queues that fail are repeated: when the store's trouble is over, and about a second later.
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

// Five messages wait for a client that comes back while nothing can be read.
struct UnreadableQueue : testing::Test {
  UnreadableQueue() {
    leave_behind("reader");
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(writer.publish("t", std::to_string(i)), kSuccess);
    broker.set_store_unreadable(true);
    EXPECT_EQ(reader.connect("reader", false, 1000), kSuccess);
    EXPECT_EQ(reader.messages_waiting(), 0U);
  }
  void leave_behind(std::string_view client_id) {
    TestClient& before = broker.open();
    EXPECT_EQ(before.connect(client_id, false, 1000), kSuccess);
    EXPECT_EQ(before.subscribe("t"), kGrantedQos1);
    before.disconnect();
  }
  // All that waits, acknowledged.
  static std::string heard(TestClient& client) {
    std::string payloads;
    while (client.messages_waiting() != 0) {
      const ReceivedMessage message = client.message();
      payloads += message.payload;
      client.acknowledge(message);
    }
    return payloads;
  }
  TestBroker broker;
  TestClient &writer = broker.open(), &reader = broker.open();
};

TEST_F(UnreadableQueue, IsReadWhenTheTroubleIsOver) {
  broker.set_store_trouble(storage::StoreError{"not open"});
  broker.set_store_unreadable(false);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_store_trouble(std::nullopt);
  EXPECT_EQ(heard(reader), "01234");
}

TEST_F(UnreadableQueue, IsReadASecondLaterThoughNobodySpeaksOfTrouble) {
  broker.set_store_unreadable(false);
  EXPECT_EQ(writer.publish("t", "5"), kSuccess);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  EXPECT_LE(broker.shard().next_deadline(), broker.now() + 1000);
  broker.pass(1000);
  EXPECT_EQ(heard(reader), "012345");
}

TEST_F(UnreadableQueue, IsReadAgainAndAgainAndTheLogTellsItNowAndThen) {
  for (int i = 0; i < 100; ++i) broker.pass(1000);
  EXPECT_LE(count(broker.log(), "queue not readable"), 30U * LogLimiter::kLinesPerInterval);
  EXPECT_GE(count(broker.log(), "queue not readable"), 10U);
  broker.set_store_unreadable(false);
  broker.pass(1000);
  EXPECT_EQ(heard(reader), "01234");
}

TEST_F(UnreadableQueue, WaitsForAClientThatHasLeftMeanwhile) {
  reader.cut();
  for (int i = 0; i < 5; ++i) broker.pass(1000);
  EXPECT_EQ(count(broker.log(), "queue not readable"), 1U) << "nobody waits for it";
  broker.set_store_unreadable(false);
  TestClient& back = broker.open();
  EXPECT_EQ(back.connect("reader", false, 1000), kSuccess);
  EXPECT_EQ(heard(back), "01234");
}

TEST_F(UnreadableQueue, GoesToTheConnectionThatTakesTheSessionOver) {
  TestClient& successor = broker.open();
  EXPECT_EQ(successor.connect("reader", false, 1000), kSuccess);
  broker.set_store_unreadable(false);
  broker.pass(1000);
  EXPECT_EQ(heard(successor), "01234");
  EXPECT_TRUE(reader.closed);
}

TEST_F(UnreadableQueue, IsForgottenWithItsSession) {
  TestClient& anew = broker.open();
  EXPECT_EQ(anew.connect("reader", true, 1000), kSuccess);
  EXPECT_EQ(anew.subscribe("t"), kGrantedQos1);
  broker.set_store_unreadable(false);
  broker.pass(5000);
  EXPECT_EQ(writer.publish("t", "new"), kSuccess);
  EXPECT_EQ(heard(anew), "new");
}

// What is to be removed from a queue that cannot be read is removed later.
TEST(UnreadableQueues, AreTrimmedWhenTheyCanBeRead) {
  TestBroker broker({.max_queued_messages = 3, .queue_policy = QueuePolicy::kDropOldest});
  TestClient& before = broker.open();
  EXPECT_EQ(before.connect("away", false, 1000), kSuccess);
  EXPECT_EQ(before.subscribe("t"), kGrantedQos1);
  before.disconnect();
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  broker.set_store_unreadable(true);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(writer.publish("t", std::to_string(i)), kSuccess);
  EXPECT_EQ(broker.shard().counters().backlog_messages.value(), 6U);
  broker.set_store_unreadable(false);
  broker.pass(1000);
  EXPECT_EQ(broker.shard().counters().backlog_messages.value(), 3U);
  EXPECT_EQ(broker.shard().counters().dropped_queue_full.value(), 3U);
}

// Two messages of a shared subscription wait for a member whose session ends while nothing can be read.
struct UnreadableDeparture : testing::Test {
  UnreadableDeparture() {
    TestClient& leaver = broker.open();
    EXPECT_EQ(leaver.connect("leaver", false, 100), kSuccess);
    EXPECT_EQ(leaver.subscribe("$share/g/t"), kGrantedQos1);
    leaver.disconnect();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    for (const char* payload : {"x", "y"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
    EXPECT_EQ(stayer.connect("stayer", false, 1000), kSuccess);
    EXPECT_EQ(stayer.subscribe("$share/g/t"), kGrantedQos1);
    broker.set_store_unreadable(true);
    broker.pass(110'000);
    EXPECT_EQ(broker.shard().session_count(), 2U);
    EXPECT_EQ(stayer.messages_waiting(), 0U);
  }
  TestBroker broker;
  TestClient &writer = broker.open(), &stayer = broker.open();
};

TEST_F(UnreadableDeparture, IsHandedOnWhenTheTroubleIsOver) {
  broker.set_store_trouble(storage::StoreError{"not open"});
  broker.set_store_unreadable(false);
  broker.set_store_trouble(std::nullopt);
  EXPECT_EQ(stayer.messages_waiting(), 2U);
}

TEST_F(UnreadableDeparture, IsHandedOnASecondLater) {
  for (int i = 0; i < 10; ++i) broker.pass(1000);
  EXPECT_NE(broker.log().find("queue not readable"), std::string::npos);
  broker.set_store_unreadable(false);
  broker.pass(1000);
  EXPECT_EQ(stayer.messages_waiting(), 2U);
  broker.pass(5000);
  EXPECT_EQ(stayer.messages_waiting(), 2U) << "once is enough";
}

}  // namespace
}  // namespace petrel::broker::test
