// How retained messages reach a new subscriber: all of them, at its pace, without holding others up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;

void keep(TestClient& writer, int count, std::size_t payload_bytes) {
  for (int i = 0; i < count; ++i) {
    const std::string topic = "kept/" + std::to_string(i);
    EXPECT_EQ(writer.publish(topic, std::string(payload_bytes, 'x'), Qos::k1, true), kNoMatchingSubscribers);
  }
}

TEST(RetainedReplay, MessagesLargerThanTheOutputAreAllSentWithQos0) {
  TestBroker broker({.max_output_bytes = 100'000});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 64, 30'000);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  EXPECT_EQ(reader.subscribe("kept/+", Qos::k0), kSuccess);
  EXPECT_EQ(reader.messages_waiting(), 64U);
  EXPECT_EQ(broker.shared().counters[0].dropped_slow_consumer.value(), 0U);
}

TEST(RetainedReplay, MessagesBeyondTheQueueWaitWhereTheyAreKept) {
  TestBroker broker({.max_inflight_messages = 3, .max_queued_messages = 4, .max_queued_bytes = 2'000});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 100, 1'000);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader", false, 100), kSuccess);
  EXPECT_EQ(reader.subscribe("kept/+"), kGrantedQos1);
  int heard = 0;
  for (; reader.messages_waiting() > 0; ++heard) reader.acknowledge(reader.message());
  EXPECT_EQ(heard, 100);
}

TEST(RetainedReplay, AMessageReplacedMeanwhileComesAsItIsThen) {
  TestBroker broker({.max_inflight_messages = 1});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 3, 10);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  EXPECT_EQ(reader.subscribe("kept/+"), kGrantedQos1);
  EXPECT_EQ(writer.publish("kept/2", "new", Qos::k1, true), kSuccess);
  std::vector<std::string> of_topic_2;
  while (reader.messages_waiting() > 0) {
    const ReceivedMessage message = reader.message();
    if (message.topic == "kept/2") of_topic_2.push_back(message.payload);
    reader.acknowledge(message);
  }
  EXPECT_THAT(of_topic_2, testing::ElementsAre("new", "new"));
}

TEST(RetainedReplay, AClientThatSubscribesAndDoesNotReadIsRefusedInTheEnd) {
  TestBroker broker({.max_queued_bytes = 2'000, .max_output_bytes = 1'024});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 3, 1'000);
  TestClient& deaf = broker.open();
  EXPECT_EQ(deaf.connect("deaf"), kSuccess);
  deaf.reads = false;
  for (int i = 0; i < 100; ++i) deaf.subscribe("kept/+", Qos::k0);
  EXPECT_GT(broker.times_reached(Limit::kQueuedBytes), 50U);
  deaf.reads = true;
  broker.run();
  EXPECT_EQ(deaf.subscribe("kept/1", Qos::k0), kSuccess);
}

TEST(RetainedReplay, ASearchWithoutMatchesIsSpreadOverTurns) {
  TestBroker broker;
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 20'000, 1);
  TestClient& searcher = broker.open();
  EXPECT_EQ(searcher.connect("searcher"), kSuccess);
  wire::Subscribe packet;
  packet.packet_id = 1;
  std::deque<std::string> filters;
  for (int i = 0; i < 20; ++i)
    packet.subscriptions.push_back({filters.emplace_back("+/+/" + std::to_string(i)), {.maximum_qos = Qos::k0}});
  packet.subscriptions.push_back({"kept/7", {.maximum_qos = Qos::k0}});
  searcher.send(packet);
  EXPECT_EQ(searcher.messages_waiting(), 0U);
  int turns = 0;
  for (; searcher.messages_waiting() == 0 && turns < 1000; ++turns) {
    EXPECT_LE(broker.shard().next_deadline(), broker.now());
    broker.run();
  }
  // 20 filters of two levels and a bit: every topic is looked at for each.
  EXPECT_GT(turns, 10);
  EXPECT_LT(turns, 1000);
  EXPECT_EQ(searcher.message().topic, "kept/7");
}

TEST(RetainedReplay, WhoUnsubscribesGetsNoMore) {
  TestBroker broker({.max_output_bytes = 4096});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 3'000, 1);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  reader.reads = false;
  reader.subscribe("kept/#", Qos::k0);
  reader.unsubscribe("kept/#");
  reader.reads = true;
  broker.run();
  EXPECT_GT(reader.messages_waiting(), 0U);
  EXPECT_LT(reader.messages_waiting(), 500U);
}

// Whoever has very much to look for takes turns with the others.
TEST(RetainedReplay, ManySearchesOfOneClientDoNotKeepOthersWaiting) {
  TestBroker broker;
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  keep(writer, 2'000, 1);
  TestClient& greedy = broker.open();
  EXPECT_EQ(greedy.connect("greedy"), kSuccess);
  TestClient& modest = broker.open();
  EXPECT_EQ(modest.connect("modest"), kSuccess);
  wire::Subscribe many;
  many.packet_id = 1;
  many.subscriptions.assign(200, {"+/+/none", {.maximum_qos = Qos::k0}});
  wire::Subscribe one;
  one.packet_id = 1;
  one.subscriptions.push_back({"kept/1", {.maximum_qos = Qos::k0}});
  greedy.queue(many);
  modest.queue(one);
  for (int turns = 0; turns < 10; ++turns) broker.one_turn();
  EXPECT_EQ(modest.messages_waiting(), 1U);
}

}  // namespace
}  // namespace petrel::broker::test
