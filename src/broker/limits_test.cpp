#include "broker/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/test_support.h"
#include "wire/property.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using testing::HasSubstr;
using wire::ProtocolVersion;
using wire::Qos;

constexpr auto kReturnCode3 = static_cast<wire::ReasonCode>(3);

std::string user_properties(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += wire::encode_user_property("name", "value");
  return bytes;
}

TEST(Limits, AreNamedByTheirKeys) {
  EXPECT_EQ(name(Limit::kConnections), "max_connections");
  EXPECT_EQ(name(Limit::kMemoryBytes), "max_memory_bytes");
  EXPECT_EQ(reached(Limit::kFilterLevels), "limits.max_filter_levels is reached");
  for (std::size_t i = 0; i < kLimits; ++i) EXPECT_FALSE(name(static_cast<Limit>(i)).empty());
}

TEST(Limits, AClientBeyondMaxConnectionsIsTold) {
  TestBroker broker(Settings{.max_connections = 2}, 2);
  TestClient& first = broker.open();
  EXPECT_EQ(first.connect("a"), kSuccess);
  EXPECT_EQ(broker.open(ProtocolVersion::kV5, nullptr, 1).connect("b"), kSuccess);
  TestClient& third = broker.open();
  EXPECT_EQ(third.connect("c"), kQuotaExceeded);
  EXPECT_TRUE(third.closed);
  EXPECT_EQ(broker.open(ProtocolVersion::kV311).connect("c"), kReturnCode3);
  EXPECT_EQ(broker.open(ProtocolVersion::kV31).connect("c"), kReturnCode3);
  EXPECT_EQ(broker.times_reached(Limit::kConnections), 3U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_connections is reached"));
  // Who takes a session over, takes a connection's place.
  EXPECT_EQ(broker.open().connect("a"), kSuccess);
  EXPECT_TRUE(first.closed);
  broker.open().connect("b", true);
  first.cut();
  EXPECT_EQ(broker.shared().clients.load(), 2U);
}

TEST(Limits, APlaceIsFreeWhenAClientHasGone) {
  TestBroker broker({.max_connections = 1});
  TestClient& first = broker.open();
  EXPECT_EQ(first.connect("a"), kSuccess);
  first.disconnect();
  TestClient& second = broker.open();
  EXPECT_EQ(second.connect("b"), kSuccess);
  second.cut();
  EXPECT_EQ(broker.open().connect("c"), kSuccess);
}

TEST(Limits, ManyConnectionsWithoutConnectAreClosed) {
  TestBroker broker({.max_connections = 1});
  std::vector<TestClient*> strangers;
  for (int i = 0; i < 65; ++i) strangers.push_back(&broker.open());
  EXPECT_FALSE(strangers.back()->closed);
  TestClient& one_more = broker.open();
  EXPECT_TRUE(one_more.closed);
  EXPECT_TRUE(one_more.received.empty());
  EXPECT_EQ(broker.times_reached(Limit::kConnections), 1U);
  for (TestClient* stranger : strangers) stranger->cut();
  EXPECT_EQ(broker.shared().connections.load(), 0U);
  EXPECT_EQ(broker.open().connect("a"), kSuccess);
}

TEST(Limits, AClientBeyondMaxSessionsIsTold) {
  TestBroker broker({.max_sessions = 1});
  TestClient& keeper = broker.open();
  EXPECT_EQ(keeper.connect("a", false, 60), kSuccess);
  keeper.disconnect();
  EXPECT_EQ(broker.open().connect("b"), kQuotaExceeded);
  EXPECT_EQ(broker.open(ProtocolVersion::kV311).connect("b"), kReturnCode3);
  EXPECT_EQ(broker.times_reached(Limit::kSessions), 2U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_sessions is reached"));
  EXPECT_EQ(broker.open().connect("a", false, 60), kSuccess);
  EXPECT_EQ(broker.open().connect("a", true), kSuccess);
  EXPECT_EQ(broker.shared().sessions.load(), 1U);
}

TEST(Limits, ALargeConnectIsNotGathered) {
  TestBroker broker({.max_connect_bytes = 1000});
  TestClient& client = broker.open();
  client.send_bytes({"\x10\xe9\x07", 3});  // a remaining length of 1001
  EXPECT_TRUE(client.closed);
  EXPECT_TRUE(client.received.empty());
  EXPECT_EQ(broker.times_reached(Limit::kConnectBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_connect_bytes"));
  EXPECT_EQ(broker.open().connect(std::string(900, 'x')), kSuccess);
}

TEST(Limits, APacketBeyondMaxPacketBytesEndsTheConnection) {
  TestBroker broker({.max_packet_bytes = 1024});
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a"), kSuccess);
  client.publish("t", std::string(1024, 'x'), Qos::k0);
  EXPECT_EQ(client.disconnect_reason(), kPacketTooLarge);
  EXPECT_EQ(broker.times_reached(Limit::kPacketBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_packet_bytes"));
}

TEST(Limits, UserPropertiesOfAPublicationAreCounted) {
  TestBroker broker({.max_user_properties = 3});
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.subscribe("t"), kGrantedQos1);
  EXPECT_EQ(client.publish("t", "kept", Qos::k1, false, user_properties(3)), kSuccess);
  EXPECT_EQ(client.publish("t", "refused", Qos::k1, false, user_properties(4)), kQuotaExceeded);
  EXPECT_EQ(client.publish("t", "refused", Qos::k2, false, user_properties(4)), kQuotaExceeded);
  client.publish("t", "refused", Qos::k0, false, user_properties(4));
  EXPECT_EQ(client.message().payload, "kept");
  EXPECT_EQ(client.messages_waiting(), 0U);
  EXPECT_EQ(broker.times_reached(Limit::kUserProperties), 3U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_user_properties is reached"));
}

TEST(Limits, UserPropertiesOfOtherPacketsAreCounted) {
  TestBroker broker({.max_user_properties = 3, .max_user_property_bytes = 100});
  const std::string few = user_properties(3), many = user_properties(4);
  const std::string long_one = wire::encode_user_property("name", std::string(100, 'x'));
  const auto connect_with = [&](std::string_view client_id, BytesView own, BytesView of_will) {
    wire::Connect packet;
    packet.client_id = client_id;
    packet.user_properties = own;
    packet.will.emplace().topic = "t";
    packet.will->properties.user_properties = of_will;
    return broker.open().connect(packet);
  };
  EXPECT_EQ(connect_with("a", few, few), kSuccess);
  EXPECT_EQ(connect_with("b", many, {}), kQuotaExceeded);
  EXPECT_EQ(connect_with("b", long_one, {}), kQuotaExceeded);
  EXPECT_EQ(connect_with("b", {}, many), kQuotaExceeded);
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("c"), kSuccess);
  wire::Subscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.user_properties = many;
  subscribe.subscriptions.push_back({"t", {}});
  client.send(subscribe);
  EXPECT_EQ(client.disconnect_reason(), kQuotaExceeded);
  EXPECT_EQ(broker.times_reached(Limit::kUserProperties), 3U);
  EXPECT_EQ(broker.times_reached(Limit::kUserPropertyBytes), 1U);
}

TEST(Limits, FiltersHaveLimitsOfTheirOwn) {
  TestBroker broker({.max_topic_levels = 5, .max_topic_bytes = 20, .max_filter_levels = 3, .max_filter_bytes = 25});
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.subscribe("a/b/c"), kGrantedQos1);
  EXPECT_EQ(client.subscribe("a/b/c/d"), kTopicFilterInvalid);
  EXPECT_EQ(client.subscribe("$share/group/a/b/c"), kGrantedQos1);
  EXPECT_EQ(client.subscribe("$share/group/a/b/c/d"), kTopicFilterInvalid);
  EXPECT_EQ(client.subscribe(std::string(25, 'x')), kGrantedQos1);
  EXPECT_EQ(client.subscribe(std::string(26, 'x')), kTopicFilterInvalid);
  EXPECT_EQ(broker.times_reached(Limit::kFilterLevels), 2U);
  EXPECT_EQ(broker.times_reached(Limit::kFilterBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_filter_levels is reached"));
  TestClient& old = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(old.connect("b"), kSuccess);
  EXPECT_EQ(old.subscribe("a/b/c/d"), kUnspecifiedError);
  EXPECT_EQ(client.publish("a/b/c/d/e", "x"), kNoMatchingSubscribers);
  client.publish("a/b/c/d/e/f", "x");
  EXPECT_EQ(client.disconnect_reason(), kTopicNameInvalid);
  EXPECT_EQ(broker.times_reached(Limit::kTopicLevels), 1U);
  old.publish(std::string(21, 'x'), "x");
  EXPECT_TRUE(old.closed);
  EXPECT_EQ(broker.times_reached(Limit::kTopicBytes), 1U);
}

TEST(Limits, SubscriptionsOfAClientAndOfAll) {
  TestBroker broker({.max_subscriptions_per_client = 2, .max_subscriptions = 3});
  TestClient& one = broker.open();
  TestClient& other = broker.open();
  EXPECT_EQ(one.connect("a"), kSuccess);
  EXPECT_EQ(other.connect("b"), kSuccess);
  EXPECT_EQ(one.subscribe("a"), kGrantedQos1);
  EXPECT_EQ(one.subscribe("$share/g/b"), kGrantedQos1);
  EXPECT_EQ(one.subscribe("c"), kQuotaExceeded);
  EXPECT_EQ(one.subscribe("a", Qos::k2), kGrantedQos2) << "renewing adds none";
  EXPECT_EQ(other.subscribe("a"), kGrantedQos1);
  EXPECT_EQ(other.subscribe("b"), kQuotaExceeded);
  EXPECT_EQ(broker.times_reached(Limit::kSubscriptionsPerClient), 1U);
  EXPECT_EQ(broker.times_reached(Limit::kSubscriptions), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_subscriptions is reached"));
  EXPECT_EQ(one.unsubscribe("a"), kSuccess);
  EXPECT_EQ(other.subscribe("b"), kGrantedQos1);
}

TEST(Limits, ReceiveMaximumAndTopicAliasMaximum) {
  TestBroker broker({.receive_maximum = 1, .topic_alias_maximum = 1});
  TestClient& hasty = broker.open();
  EXPECT_EQ(hasty.connect("a"), kSuccess);
  wire::Publish packet;
  packet.qos = Qos::k2;
  packet.topic = "t";
  packet.packet_id = 1;
  hasty.send(packet);
  packet.packet_id = 2;
  hasty.send(packet);
  EXPECT_EQ(hasty.disconnect_reason(), kReceiveMaximumExceeded);
  EXPECT_EQ(broker.times_reached(Limit::kReceiveMaximum), 1U);
  TestClient& aliaser = broker.open();
  EXPECT_EQ(aliaser.connect("b"), kSuccess);
  packet.qos = Qos::k0;
  packet.topic_alias = 2;
  aliaser.send(packet);
  EXPECT_EQ(aliaser.disconnect_reason(), kTopicAliasInvalid);
  EXPECT_EQ(broker.times_reached(Limit::kTopicAliasMaximum), 1U);
}

TEST(Limits, AFullQueueDropsTheNewestOrTheOldest) {
  for (const QueuePolicy policy : {QueuePolicy::kDropNewest, QueuePolicy::kDropOldest}) {
    TestBroker broker({.max_inflight_messages = 1, .max_queued_messages = 2, .queue_policy = policy});
    TestClient& reader = broker.open();
    TestClient& writer = broker.open();
    EXPECT_EQ(reader.connect("reader"), kSuccess);
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    EXPECT_EQ(reader.subscribe("t"), kGrantedQos1);
    for (const char* payload : {"1", "2", "3", "4"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
    std::string heard;
    while (reader.messages_waiting() > 0) {
      const ReceivedMessage message = reader.message();
      heard += message.payload;
      reader.acknowledge(message);
    }
    EXPECT_EQ(heard, policy == QueuePolicy::kDropNewest ? "123" : "134");
    EXPECT_EQ(broker.times_reached(Limit::kQueuedMessages), 1U);
    EXPECT_THAT(broker.log(), HasSubstr("limits.max_queued_messages is reached"));
  }
}

TEST(Limits, QueuedBytesOfASession) {
  TestBroker broker({.max_inflight_messages = 1, .max_queued_bytes = 1024});
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  EXPECT_EQ(reader.subscribe("t"), kGrantedQos1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(writer.publish("t", std::string(450, 'x')), kSuccess);
  EXPECT_EQ(broker.times_reached(Limit::kQueuedBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_queued_bytes is reached"));
}

TestClient& open_reader(TestBroker& broker) {
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  EXPECT_EQ(reader.subscribe("t", Qos::k0), kSuccess);
  return reader;
}

TestClient& open_writer(TestBroker& broker) {
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  return writer;
}

// What one turn brings may be more than an output may hold: that is not the reader's fault.
TEST(Limits, QosZeroToAClientThatReadsIsNotDropped) {
  TestBroker broker({.max_output_bytes = 2000});
  TestClient& reader = open_reader(broker);
  TestClient& writer = open_writer(broker);
  const std::string body(500, 'x');
  wire::Publish packet;
  packet.topic = "t";
  packet.payload = body;
  std::string one(wire::encoded_size(writer.speaks, packet), '\0');
  wire::encode(writer.speaks, packet, one.data());
  std::string all;
  for (int i = 0; i < 10; ++i) all += one;
  writer.send_bytes(all);
  EXPECT_EQ(reader.messages_waiting(), 10U);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 0U);
}

TEST(Limits, QosZeroToAClientThatDoesNotReadIsDropped) {
  TestBroker broker({.max_output_bytes = 2000});
  TestClient& reader = open_reader(broker);
  reader.reads = false;
  TestClient& writer = open_writer(broker);
  for (int i = 0; i < 10; ++i) writer.publish("t", std::string(500, 'x'), Qos::k0);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 6U);
  EXPECT_EQ(broker.shard().counters().dropped_slow_consumer.value(), 6U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_output_bytes is reached"));
  broker.pass(broker.shared().settings.write_timeout_ms);
  EXPECT_TRUE(reader.closed);
  EXPECT_EQ(broker.times_reached(Limit::kWriteTimeout), 1U);
}

// Nor is it the reader's fault that one message is larger than an output may be.
TEST(Limits, QosZeroBehindALargeMessageIsNotDropped) {
  TestBroker broker({.max_output_bytes = 10'000});
  TestClient& reader = open_reader(broker);
  reader.reads = false;
  TestClient& writer = open_writer(broker);
  const std::string large(30'000, 'x');
  writer.publish("t", large, Qos::k0);
  for (int i = 0; i < 9; ++i) writer.publish("t", std::string(1000, 'y'), Qos::k0);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 0U);
  writer.publish("t", large, Qos::k0);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 1U) << "for one only";
  for (int i = 0; i < 9; ++i) writer.publish("t", std::string(1000, 'y'), Qos::k0);
  EXPECT_EQ(broker.times_reached(Limit::kOutputBytes), 10U) << "and behind it no more than otherwise";
}

// All that was in flight is sent again when a client comes back, as it takes it.
TEST(Limits, WhatIsSentAgainWaitsForRoom_MQTT_4_4_0_1) {
  TestBroker broker({.max_output_bytes = 10'000});
  const auto come_back = [&broker](bool reads) -> TestClient& {
    TestClient& reader = broker.open();
    reader.reads = reads;
    const auto answer = reader.connect("reader", false, 100);
    EXPECT_EQ(answer.has_value(), reads);
    return reader;
  };
  TestClient& before = come_back(true);
  EXPECT_EQ(before.subscribe("t"), kGrantedQos1);
  TestClient& writer = open_writer(broker);
  for (int i = 0; i < 20; ++i) writer.publish("t", std::to_string(i) + std::string(1000, 'x'));
  EXPECT_EQ(before.messages_waiting(), 20U);
  before.cut();
  TestClient& idle = come_back(false);
  EXPECT_GE(idle.output.size(), 4000U);
  EXPECT_LT(idle.output.size(), 7000U);
  idle.cut();
  TestClient& after = come_back(true);
  EXPECT_EQ(after.messages_waiting(), 20U);
  writer.publish("t", "next");
  for (int i = 0; i < 20; ++i) {
    const ReceivedMessage message = after.message();
    EXPECT_EQ(message.payload, std::to_string(i) + std::string(1000, 'x'));
    after.acknowledge(message);
  }
  EXPECT_EQ(after.message().payload, "next");
}

TEST(Limits, ASilentConnectionIsClosed) {
  TestBroker broker({.connect_timeout_ms = 1000});
  TestClient& silent = broker.open();
  broker.pass(2000);
  EXPECT_TRUE(silent.closed);
  EXPECT_EQ(broker.times_reached(Limit::kConnectTimeout), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.connect_timeout_s"));
}

// What clients have sent while the machine stopped the broker is read before they count as silent.
TEST(Limits, AStopOfTheBrokerIsNobodysSilence) {
  TestBroker broker({.connect_timeout_ms = 3000});
  wire::Connect packet;
  packet.keep_alive_s = 2;
  TestClient &fresh = broker.open(), &lively = broker.open(), &silent = broker.open();
  for (TestClient* client : {&lively, &silent}) {
    const std::string id = client == &lively ? "lively" : "silent";
    packet.client_id = id;
    EXPECT_EQ(client->connect(packet), kSuccess);
  }
  broker.stop_for(5000);
  EXPECT_FALSE(fresh.closed || lively.closed || silent.closed);
  EXPECT_THAT(broker.log(), HasSubstr("this thread was stopped for a while"));
  lively.send_bytes(std::string_view("\xc0\0", 2));
  broker.pass(1000);
  EXPECT_TRUE(fresh.closed && silent.closed);
  broker.pass(1500);
  EXPECT_FALSE(lively.closed);
  broker.pass(1000);
  EXPECT_TRUE(lively.closed);
}

struct Retaining : testing::TestWithParam<Limit> {
  Settings settings() const {
    Settings made;
    if (GetParam() == Limit::kRetainedMessages) made.max_retained_messages = 1;
    if (GetParam() == Limit::kRetainedBytes) made.max_retained_bytes = 150;
    return made;
  }
  static std::string body(char c) { return std::string(100, c); }
};

TEST_P(Retaining, BeyondTheLimitIsRefusedOrNotKept) {
  TestBroker broker(settings());
  TestClient& client = broker.open();
  TestClient& reader = broker.open();
  TestClient& old = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(reader.connect("reader"), kSuccess);
  EXPECT_EQ(reader.subscribe("#"), kGrantedQos1);
  EXPECT_EQ(old.connect("b"), kSuccess);
  EXPECT_EQ(client.publish("one", body('1'), Qos::k1, true), kSuccess);
  EXPECT_EQ(client.publish("one", body('2'), Qos::k1, true), kSuccess) << "takes the place of the first";
  EXPECT_EQ(client.publish("two", body('3'), Qos::k1, true), kQuotaExceeded);
  EXPECT_EQ(client.publish("two", body('3'), Qos::k2, true), kQuotaExceeded);
  EXPECT_EQ(broker.times_reached(GetParam()), 2U);
  EXPECT_THAT(broker.log(), HasSubstr(reached(GetParam())));
  // What cannot be refused is delivered, but not kept.
  client.publish("two", body('4'), Qos::k0, true);
  EXPECT_EQ(old.publish("two", body('5'), Qos::k1, true), kSuccess);
  EXPECT_EQ(broker.times_reached(GetParam()), 4U);
  EXPECT_THAT(broker.log(), HasSubstr("retained message not kept"));
  std::string heard;
  while (reader.messages_waiting() > 0) heard += reader.message().payload[0];
  EXPECT_EQ(heard, "1245");
  EXPECT_EQ(broker.shared().retained.count(), 1U);
  EXPECT_EQ(client.publish("one", "", Qos::k1, true), kSuccess);
  EXPECT_EQ(client.publish("two", body('6'), Qos::k1, true), kSuccess);
}

INSTANTIATE_TEST_SUITE_P(Limits, Retaining, testing::Values(Limit::kRetainedMessages, Limit::kRetainedBytes));

}  // namespace
}  // namespace petrel::broker::test
