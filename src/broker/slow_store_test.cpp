// A store that is behind slows those down who give it work.
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::PacketType;
using wire::Qos;

constexpr int kMessages = 64;  // of a mebibyte each

struct SlowStore : testing::Test {
  SlowStore() {
    EXPECT_EQ(away.connect("away", false, 3600), kSuccess);
    EXPECT_EQ(away.subscribe("t"), kGrantedQos1);
    away.cut();
    writer.connect("writer");
    other.connect("other");
    broker.set_store_slow(true);
    const std::string payload(1U << 20, 'x');
    for (int i = 1; i <= kMessages; ++i) {
      wire::Publish packet;
      packet.topic = "t";
      packet.payload = payload;
      packet.qos = Qos::k1;
      packet.packet_id = static_cast<wire::PacketId>(i);
      writer.send(packet);
    }
  }
  std::uint64_t taken() { return broker.shared().counters[0].packets_received.of(PacketType::kPublish); }
  static int acknowledged(TestClient& client) {
    int count = 0;
    while (client.take(PacketType::kPuback)) ++count;
    return count;
  }
  TestBroker broker;
  TestClient &away = broker.open(), &writer = broker.open(wire::ProtocolVersion::kV311), &other = broker.open();
};

TEST_F(SlowStore, APublisherIsNotReadBeyondWhatMayWaitForTheStore) {
  EXPECT_EQ(taken(), 32U);
  EXPECT_TRUE(writer.is_paused);
  EXPECT_EQ(acknowledged(writer), 0);
  other.send_bytes(wire::kPingreq);
  EXPECT_TRUE(other.take(PacketType::kPingresp)) << "who publishes nothing does not wait";
  broker.set_store_slow(false);
  EXPECT_EQ(taken(), std::uint64_t{kMessages});
  EXPECT_EQ(acknowledged(writer), kMessages);
}

TEST_F(SlowStore, APublisherThatWaitsMayLeave) {
  writer.cut();
  broker.set_store_slow(false);
  EXPECT_EQ(taken(), 32U);
}

// Were the broker killed before the store knows of it, what was dropped would be sent behind what came later
// [MQTT-4.6.0-6].
TEST(SlowStoreDrops, WhatIsBehindADroppedMessageWaitsUntilThatIsOnDisk) {
  TestBroker broker({.max_inflight_messages = 1, .max_queued_messages = 1, .queue_policy = QueuePolicy::kDropOldest});
  TestClient &reader = broker.open(), &writer = broker.open();
  EXPECT_EQ(reader.connect("reader", false, 3600), kSuccess);
  EXPECT_EQ(reader.subscribe("t"), kGrantedQos1);
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (const char* payload : {"1", "2"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
  broker.set_store_slow(true);
  EXPECT_EQ(writer.publish("t", "3"), std::nullopt) << "acknowledged when it is stored";
  EXPECT_EQ(broker.shard().counters().dropped_queue_full.value(), 1U);
  const ReceivedMessage first = reader.message();
  EXPECT_EQ(first.payload, "1");
  reader.acknowledge(first);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_store_slow(false);
  EXPECT_EQ(reader.message().payload, "3");
}

TEST_F(SlowStore, AStoreThatTakesNothingRefusesThoseWhoWait) {
  broker.set_store_trouble(storage::StoreError{"the disk is full", true});
  broker.pass(1100);
  EXPECT_TRUE(writer.closed) << "3.1.1 knows no other refusal";
}

}  // namespace
}  // namespace petrel::broker::test
