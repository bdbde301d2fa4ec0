// PUBLISH packets that wait for the store keep their order.
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;

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

}  // namespace
}  // namespace petrel::broker::test
