// Packets of very many filters, and sessions of very many subscriptions that end, take several turns.
#include <gtest/gtest.h>

#include <deque>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::PacketType;
using wire::Qos;

constexpr int kFilters = 5000;

std::deque<std::string> many_filters(int count = kFilters) {
  std::deque<std::string> filters;
  for (int i = 0; i < count; ++i) filters.push_back("many/" + std::to_string(i));
  return filters;
}

void send_subscribe(TestClient& client, const std::deque<std::string>& filters) {
  wire::Subscribe packet;
  packet.packet_id = 7;
  for (const std::string& filter : filters) packet.subscriptions.push_back({filter, {.maximum_qos = Qos::k1}});
  client.send(packet);
}

// How many turns there is still something to do.
int turns_left(TestBroker& broker) {
  int turns = 0;
  for (; broker.shard().next_deadline() <= broker.now() && turns < 1000; ++turns) broker.run();
  return turns;
}

class FilterWorkTest : public testing::Test {
 protected:
  FilterWorkTest() : client_(broker_.open()), other_(broker_.open()) {
    EXPECT_EQ(client_.connect("client"), kSuccess);
    EXPECT_EQ(other_.connect("other"), kSuccess);
  }
  std::size_t subscriptions() { return broker_.shared().index.subscription_count(); }

  TestBroker broker_;
  TestClient& client_;
  TestClient& other_;
};

TEST_F(FilterWorkTest, AnotherClientIsServedWhileAPacketOfManyFiltersIsUnderWay) {
  send_subscribe(client_, many_filters());
  EXPECT_LT(subscriptions(), std::size_t{kFilters});
  EXPECT_FALSE(client_.take(PacketType::kSuback));
  client_.send_bytes(wire::kPingreq);
  EXPECT_EQ(other_.subscribe("many/1", Qos::k0), kSuccess);
  // In its order, behind the answer to what came before [MQTT-4.6.0-1].
  EXPECT_FALSE(client_.take(PacketType::kPingresp));
  EXPECT_GT(turns_left(broker_), 2);
  EXPECT_EQ(subscriptions(), std::size_t{kFilters} + 1);
  const auto suback = client_.take(PacketType::kSuback);
  ASSERT_TRUE(suback);
  // Packet identifier, properties, and a reason for each filter in order [MQTT-3.9.3-1].
  EXPECT_EQ(suback->body, std::string("\0\7\0", 3) + std::string(kFilters, '\1'));
  EXPECT_TRUE(client_.take(PacketType::kPingresp));
}

TEST_F(FilterWorkTest, UnsubscribeOfManyFilters) {
  const auto filters = many_filters();
  send_subscribe(client_, filters);
  turns_left(broker_);
  wire::Unsubscribe packet;
  packet.packet_id = 8;
  for (const std::string& filter : filters) packet.filters.push_back(filter);
  client_.send(packet);
  EXPECT_GT(turns_left(broker_), 2);
  EXPECT_EQ(subscriptions(), 0U);
  const auto unsuback = client_.take(PacketType::kUnsuback);
  ASSERT_TRUE(unsuback);
  EXPECT_EQ(unsuback->body, std::string("\0\10\0", 3) + std::string(kFilters, '\0'));
}

// Nothing is done of a packet that is malformed, and none of it is worked off before all has been looked at.
TEST_F(FilterWorkTest, AMistakeInTheLastOfManyFilters) {
  wire::Subscribe packet;
  packet.packet_id = 7;
  const auto filters = many_filters(20 * kFilters);
  for (const std::string& filter : filters) packet.subscriptions.push_back({filter, {}});
  packet.subscriptions.back().filter = "\xff";
  client_.send(packet);
  EXPECT_FALSE(client_.closed);
  EXPECT_GT(turns_left(broker_), 2);
  EXPECT_TRUE(client_.closed);
  EXPECT_EQ(client_.disconnect_reason(), kMalformedPacket);
  EXPECT_FALSE(client_.take(PacketType::kSuback));
  EXPECT_EQ(subscriptions(), 0U);
}

TEST_F(FilterWorkTest, AConnectionThatEndsTakesItsPacketAlong) {
  send_subscribe(client_, many_filters());
  broker_.run();
  broker_.run();
  EXPECT_GT(subscriptions(), 0U);
  client_.cut();
  EXPECT_GT(turns_left(broker_), 0);
  EXPECT_EQ(subscriptions(), 0U);
  EXPECT_EQ(broker_.shard().session_count(), 1U);
}

// Whoever subscribes to much, leaves, and comes again does not fill the index with what is dead.
TEST_F(FilterWorkTest, WhatHasEndedGoesAsFastAsOthersCome) {
  send_subscribe(client_, many_filters());
  turns_left(broker_);
  client_.cut();
  broker_.set_turns_long(true);
  send_subscribe(other_, many_filters());
  const std::size_t most = kFilters + 1000;
  for (int turns = 0; !other_.take(PacketType::kSuback); ++turns) {
    ASSERT_LT(turns, 1000);
    broker_.run();
    EXPECT_LT(subscriptions(), most);
  }
  broker_.set_turns_long(false);
  turns_left(broker_);
  EXPECT_EQ(subscriptions(), std::size_t{kFilters});
}

TEST_F(FilterWorkTest, ASessionThatEndsGetsNoMoreThoughItsSubscriptionsAreStillThere) {
  send_subscribe(client_, many_filters());
  turns_left(broker_);
  client_.cut();
  EXPECT_GT(subscriptions(), 0U);
  EXPECT_EQ(broker_.shard().session_count(), 1U);
  TestClient& again = broker_.open();
  EXPECT_EQ(again.connect("client"), kSuccess);
  EXPECT_TRUE(other_.publish("many/3", "x", Qos::k1));
  EXPECT_GT(turns_left(broker_), 2);
  EXPECT_EQ(again.messages_waiting(), 0U);
  EXPECT_EQ(subscriptions(), 0U);
}

}  // namespace
}  // namespace petrel::broker::test
