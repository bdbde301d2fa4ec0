// PUBLISH packets that wait for the store keep their order, and are sent once.
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;

wire::Connect coming_back(std::uint16_t receive_maximum) {
  wire::Connect packet;
  packet.client_id = "reader";
  packet.clean_start = false;
  packet.session_expiry_interval_s = 100;
  packet.receive_maximum = receive_maximum;
  return packet;
}

TEST(HeldPublish, WhatComesBehindAMessageThatWaitsForTheStoreDoesNotOvertakeIt_MQTT_4_6_0_1) {
  TestBroker broker;
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader", false, 100), kSuccess);
  EXPECT_EQ(reader.subscribe("t", Qos::k2), kGrantedQos2);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  std::string turn;  // of one turn of the shard, and so of one batch
  for (wire::PacketId id = 1; id <= 6; ++id) {
    wire::Publish packet;
    const std::string payload = std::to_string(id);
    packet.topic = "t";
    packet.payload = payload;
    packet.qos = id % 2 == 0 ? Qos::k1 : Qos::k2;
    packet.packet_id = id;
    const std::size_t at = turn.size();
    turn.resize(at + wire::encoded_size(writer.speaks, packet));
    wire::encode(writer.speaks, packet, turn.data() + at);
  }
  writer.send_bytes(turn);
  for (int id = 1; id <= 6; ++id) EXPECT_EQ(reader.message().payload, std::to_string(id));
}

// A client has come back for "1", "2" and "3", of which the last two have QoS 0, and has taken the first. The store is
// slow from then on.
struct QueuedQos0 : testing::Test {
  QueuedQos0() {
    TestClient& before = broker.open();
    EXPECT_EQ(before.connect("reader", false, 100), kSuccess);
    EXPECT_EQ(before.subscribe("t"), kGrantedQos1);
    before.disconnect();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    EXPECT_EQ(writer.publish("t", "1"), kSuccess);
    for (const char* payload : {"2", "3"}) writer.publish("t", payload, Qos::k0);
    EXPECT_EQ(reader.connect(coming_back(1)), kSuccess);
    const ReceivedMessage first = reader.message();
    EXPECT_EQ(first.payload, "1");
    EXPECT_EQ(reader.messages_waiting(), 0U);
    broker.set_store_slow(true);
    reader.acknowledge(first);
  }
  // Nothing that waited reaches a later connection; what comes then does.
  void expect_nothing_on_return() {
    reader.cut();
    broker.set_store_slow(false);
    TestClient& back = broker.open();
    EXPECT_EQ(back.connect("reader", false, 100), kSuccess);
    EXPECT_EQ(back.messages_waiting(), 0U);
    writer.publish("t", "later", Qos::k0);
    EXPECT_EQ(back.message().payload, "later");
  }
  TestBroker broker{Settings{.queue_qos0 = true, .max_output_bytes = 10'000}};
  TestClient &writer = broker.open(), &reader = broker.open();
};

TEST_F(QueuedQos0, LeavesTheStoreBeforeItIsSentAndNothingOvertakesIt_MQTT_4_3_1_1) {
  writer.publish("t", "4", Qos::k0);
  EXPECT_EQ(reader.messages_waiting(), 0U) << "a broker that is killed now would send them again";
  broker.set_store_slow(false);
  for (const char* payload : {"2", "3", "4"}) EXPECT_EQ(reader.message().payload, payload);
  broker.set_store_slow(true);
  writer.publish("t", "5", Qos::k0);
  EXPECT_EQ(reader.message().payload, "5") << "nothing waits: neither does this";
}

TEST_F(QueuedQos0, IsNotOvertakenWhileItWaitsForTheWindow_MQTT_4_6_0_5) {
  broker.set_store_slow(false);
  for (const char* payload : {"2", "3"}) EXPECT_EQ(reader.message().payload, payload);
  for (const char* payload : {"4", "5"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
  for (const char* payload : {"6", "7"}) writer.publish("t", payload, Qos::k0);
  for (const char* payload : {"4", "5"}) {
    EXPECT_EQ(reader.messages_waiting(), 1U);
    const ReceivedMessage message = reader.message();
    EXPECT_EQ(message.payload, payload);
    reader.acknowledge(message);
  }
  for (const char* payload : {"6", "7"}) EXPECT_EQ(reader.message().payload, payload);
}

TEST_F(QueuedQos0, HasRoomBehindOneMessageThatIsLargerThanWhatMayWait) {
  const std::string large(30'000, 'x'), small(1000, 'y');
  writer.publish("t", large, Qos::k0);
  for (int i = 0; i < 9; ++i) writer.publish("t", small, Qos::k0);
  EXPECT_EQ(reader.messages_waiting(), 0U) << "the store is slow";
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 0U);
  writer.publish("t", large, Qos::k0);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 1U) << "for one only";
  broker.set_store_slow(false);
  for (const char* payload : {"2", "3"}) EXPECT_EQ(reader.message().payload, payload);
  EXPECT_EQ(reader.message().payload, large);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(reader.message().payload, small);
}

TEST_F(QueuedQos0, IsNotSentAgainToAClientThatLeftMeanwhile) { expect_nothing_on_return(); }

// What is live keeps its order; what was queued comes later.
TEST_F(QueuedQos0, DoesNotHoldBackWhatIsLiveWhileTheStoreIsInTrouble_MQTT_4_6_0_5) {
  for (const char* payload : {"4", "5"}) writer.publish("t", payload, Qos::k0);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_store_trouble(storage::StoreError{"the disk is full", true});
  for (const char* payload : {"6", "7"}) writer.publish("t", payload, Qos::k0);
  for (const char* payload : {"4", "5", "6", "7"}) EXPECT_EQ(reader.message().payload, payload);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_store_trouble(std::nullopt);
  writer.publish("t", "8", Qos::k0);
  EXPECT_EQ(reader.messages_waiting(), 0U) << "the store is slow";
  broker.set_store_slow(false);
  for (const char* payload : {"2", "3", "8"}) EXPECT_EQ(reader.message().payload, payload);
  EXPECT_EQ(reader.messages_waiting(), 0U);
}

TEST_F(QueuedQos0, IsNotSentToALaterConnectionThoughLiveOnesHaveGoneBefore) {
  writer.publish("t", "4", Qos::k0);
  broker.set_store_trouble(storage::StoreError{"the disk is full", true});
  EXPECT_EQ(reader.message().payload, "4");
  broker.set_store_trouble(std::nullopt);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  expect_nothing_on_return();
}

// A message that expires while it is held is not sent, nor does it hold up what comes behind it.
struct HeldAndExpired : testing::Test {
  HeldAndExpired() {
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    leave_behind(Qos::k2);
  }
  void leave_behind(Qos qos) {
    TestClient& before = broker.open();
    EXPECT_EQ(before.connect("reader", false, 3600), kSuccess);
    EXPECT_TRUE(before.subscribe("t", qos).has_value());
    before.disconnect();
  }
  void publish_for_a_while(std::string_view payload, Qos qos) {
    wire::Publish packet;
    packet.topic = "t";
    packet.payload = payload;
    packet.qos = qos;
    if (qos != Qos::k0) packet.packet_id = 1000;
    packet.properties.message_expiry_interval_s = 5;
    writer.send(packet);
  }
  std::uint64_t expired() { return broker.shard().counters().dropped_expired.value(); }
  void hold_qos0() {
    EXPECT_EQ(writer.publish("t", "1"), kSuccess);
    publish_for_a_while("2", Qos::k0);
    EXPECT_EQ(reader.connect(coming_back(1)), kSuccess);
    const ReceivedMessage first = reader.message();
    broker.set_store_slow(true);
    reader.acknowledge(first);
  }
  TestBroker broker{Settings{.queue_qos0 = true}};
  TestClient &writer = broker.open(), &reader = broker.open();
};

TEST_F(HeldAndExpired, Qos0WhileTheStoreIsSlow_MQTT_3_3_2_5) {
  hold_qos0();
  publish_for_a_while("3", Qos::k0);  // live, behind it
  broker.pass(6000);
  broker.set_store_slow(false);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  EXPECT_EQ(expired(), 2U);
  writer.publish("t", "4", Qos::k0);
  EXPECT_EQ(reader.message().payload, "4");
}

TEST_F(HeldAndExpired, Qos0WhileTheStoreIsInTrouble_MQTT_3_3_2_5) {
  hold_qos0();
  broker.set_store_trouble(storage::StoreError{"the disk is full", true});
  broker.pass(6000);
  broker.set_store_trouble(std::nullopt);
  broker.set_store_slow(false);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  EXPECT_EQ(expired(), 1U);
}

TEST_F(HeldAndExpired, Qos2AndQos1BehindIt_MQTT_3_3_2_5) {
  EXPECT_EQ(reader.connect(coming_back(2)), kSuccess);
  broker.set_store_slow(true);
  publish_for_a_while("1", Qos::k2);
  publish_for_a_while("2", Qos::k1);
  EXPECT_EQ(writer.publish("t", "3"), std::nullopt) << "waits for the window";
  broker.pass(6000);
  broker.set_store_slow(false);
  EXPECT_EQ(expired(), 2U);
  EXPECT_EQ(reader.message().payload, "3");
  EXPECT_EQ(reader.messages_waiting(), 0U);
  TestClient& again = broker.open();
  EXPECT_EQ(again.connect(coming_back(2)), kSuccess);
  EXPECT_EQ(again.message().payload, "3") << "not acknowledged";
  EXPECT_EQ(again.messages_waiting(), 0U);
}

TEST(HeldPublish, WhatIsTooLargeDoesNotHoldUpWhatComesBehindIt_MQTT_3_1_2_25) {
  TestBroker broker;
  TestClient& reader = broker.open();
  wire::Connect packet = coming_back(1);
  packet.maximum_packet_size_bytes = 100;
  EXPECT_EQ(reader.connect(packet), kSuccess);
  EXPECT_EQ(reader.subscribe("t", Qos::k2), kGrantedQos2);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  broker.set_store_slow(true);
  EXPECT_EQ(writer.publish("t", std::string(200, 'x'), Qos::k2), std::nullopt);
  EXPECT_EQ(writer.publish("t", "small"), std::nullopt);
  broker.set_store_slow(false);
  EXPECT_EQ(reader.message().payload, "small");
  EXPECT_EQ(broker.shard().counters().dropped_too_large.value(), 1U);
}

TEST(HeldPublish, AQueueOfQos0LongerThanTheOutputIsSentAsTheClientReads) {
  TestBroker broker(Settings{.queue_qos0 = true, .max_output_bytes = 8192});
  TestClient& before = broker.open();
  EXPECT_EQ(before.connect("reader", false, 100), kSuccess);
  EXPECT_EQ(before.subscribe("t", Qos::k0), kSuccess);
  before.disconnect();
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 1000; ++i) writer.publish("t", std::to_string(i) + std::string(100, ' '), Qos::k0);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader", false, 100), kSuccess);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(std::stoi(reader.message().payload), i);
  EXPECT_EQ(broker.shard().counters().dropped_slow_consumer.value(), 0U);
}

// Retained messages behind held ones are paced by both, not dropped.
TEST(HeldPublish, RetainedMessagesBehindHeldQos0AreNotDropped_MQTT_3_3_1_9) {
  TestBroker broker(Settings{.queue_qos0 = true, .max_output_bytes = 8192});
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 300; ++i)
    writer.publish("retained/" + std::to_string(i), std::to_string(i) + std::string(100, ' '), Qos::k0, true);
  TestClient& before = broker.open();
  EXPECT_EQ(before.connect("reader", false, 100), kSuccess);
  EXPECT_EQ(before.subscribe("t"), kGrantedQos1);
  before.disconnect();
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  for (const std::string& payload : {std::string("2"), std::string(5000, '3')}) writer.publish("t", payload, Qos::k0);
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect(coming_back(1)), kSuccess);
  const ReceivedMessage first = reader.message();
  EXPECT_EQ(first.payload, "1");
  EXPECT_EQ(reader.subscribe("retained/#"), kGrantedQos1);
  broker.set_store_slow(true);
  reader.acknowledge(first);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_store_slow(false);
  EXPECT_EQ(reader.message().payload, "2");
  EXPECT_EQ(reader.message().payload, std::string(5000, '3'));
  EXPECT_EQ(reader.messages_waiting(), 300U);
  EXPECT_EQ(broker.shard().counters().dropped_slow_consumer.value(), 0U);
}

}  // namespace
}  // namespace petrel::broker::test
