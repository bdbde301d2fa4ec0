// What a listener says otherwise than the settings: beside it, others have the settings' values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/limits.h"
#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using testing::HasSubstr;
using testing::Not;
using wire::PacketType;
using wire::ProtocolVersion;
using wire::Qos;

const Settings kSettings{.max_connect_bytes = 1000,
                         .max_packet_bytes = 4000,
                         .max_inflight_messages = 3,
                         .receive_maximum = 3,
                         .topic_alias_maximum = 3,
                         .topic_alias_maximum_out = 3,
                         .connect_timeout_ms = 20'000,
                         .keep_alive_max_s = 100};

ListenerPolicy policy(const ListenerLimits& limits) {
  ListenerPolicy made;
  made.limits = limits;
  return made;
}

const ListenerPolicy kPlain = policy({});
const ListenerPolicy kNarrow = policy({.max_connect_bytes = 300,
                                       .max_packet_bytes = 1024,
                                       .max_inflight_messages = 1,
                                       .receive_maximum = 1,
                                       .topic_alias_maximum = 1,
                                       .topic_alias_maximum_out = 0,
                                       .connect_timeout_ms = 5000,
                                       .keep_alive_max_s = 10});
const ListenerPolicy kWide = policy({.max_connect_bytes = 3000,
                                     .max_packet_bytes = 9000,
                                     .max_inflight_messages = 9,
                                     .receive_maximum = 9,
                                     .topic_alias_maximum = 9,
                                     .topic_alias_maximum_out = 9,
                                     .connect_timeout_ms = 50'000,
                                     .keep_alive_max_s = 0});

struct Case {
  const ListenerPolicy* through;  // null: as if there were no listeners
  std::uint32_t connect_bytes, packet_bytes;
  std::uint16_t inflight, receive, aliases, aliases_out;
  TimeMs connect_timeout_ms;
  std::uint16_t keep_alive_s;  // of a client that wishes 1000
  std::string_view section;    // in the log
};

const Case kCases[] = {
    {nullptr, 1000, 4000, 3, 3, 3, 3, 20'000, 100, "limits"},
    {&kPlain, 1000, 4000, 3, 3, 3, 3, 20'000, 100, "limits"},
    {&kNarrow, 300, 1024, 1, 1, 1, 0, 5000, 10, "listener"},
    {&kWide, 3000, 9000, 9, 9, 9, 9, 50'000, 1000, "listener"},
};

struct OwnLimits : testing::TestWithParam<Case> {
  const Case& expected = GetParam();
  TestBroker broker{kSettings};

  TestClient& open(ProtocolVersion version = ProtocolVersion::kV5) { return broker.open(version, expected.through); }
  TestClient& join(std::string_view client_id, ProtocolVersion version = ProtocolVersion::kV5) {
    TestClient& client = open(version);
    EXPECT_EQ(client.connect(client_id), kSuccess);
    return client;
  }
  std::string log_key(Limit limit) const { return std::string(expected.section).append(".").append(name(limit)); }
};

wire::Publish publication(wire::PacketId packet_id) {
  wire::Publish packet;
  packet.qos = packet_id == 0 ? Qos::k0 : Qos::k2;
  packet.topic = "t";
  packet.packet_id = packet_id;
  return packet;
}

TEST_P(OwnLimits, AreToldInConnack) {
  TestClient& client = open();
  wire::Connect connect;
  connect.version = ProtocolVersion::kV5;
  connect.client_id = "a";
  connect.keep_alive_s = 1000;
  client.send(connect);
  const auto packet = client.take(PacketType::kConnack);
  ASSERT_TRUE(packet);
  const auto connack = wire::decode_connack(ProtocolVersion::kV5, packet->body);
  ASSERT_TRUE(connack.has_value());
  EXPECT_EQ(connack->maximum_packet_size_bytes, expected.packet_bytes);
  EXPECT_EQ(connack->receive_maximum, expected.receive);
  EXPECT_EQ(connack->topic_alias_maximum, expected.aliases);
  EXPECT_EQ(connack->server_keep_alive_s.value_or(1000), expected.keep_alive_s);
  EXPECT_EQ(client.keep_alive_s, expected.keep_alive_s);
}

TEST_P(OwnLimits, OldClientsKeepTheirKeepAliveAndTheProtocolsReceiveMaximum) {
  TestClient& client = open(ProtocolVersion::kV311);
  wire::Connect connect;
  connect.client_id = "a";
  connect.keep_alive_s = 1000;
  EXPECT_EQ(client.connect(connect), kSuccess);
  EXPECT_EQ(client.keep_alive_s, 1000);
  for (wire::PacketId id = 1; id <= 20; ++id) client.send(publication(id));
  EXPECT_FALSE(client.closed);
}

TEST_P(OwnLimits, AConnectMayBeSoLarge) {
  // Beside the client identifier there are 20 bytes: header, protocol, flags, properties, length.
  const auto connect_of = [&](std::size_t bytes) {
    TestClient& client = open();
    client.connect(std::string(bytes - 20, 'x'));
    return client.closed;
  };
  EXPECT_FALSE(connect_of(expected.connect_bytes - 10));
  EXPECT_TRUE(connect_of(expected.connect_bytes + 10));
  EXPECT_EQ(broker.times_reached(Limit::kConnectBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr(log_key(Limit::kConnectBytes)));
}

TEST_P(OwnLimits, APacketMayBeSoLarge) {
  for (const ProtocolVersion version : {ProtocolVersion::kV5, ProtocolVersion::kV311}) {
    TestClient& client = join("a", version);
    client.publish("t", std::string(expected.packet_bytes - 10, 'x'), Qos::k0);
    EXPECT_FALSE(client.closed);
    client.publish("t", std::string(expected.packet_bytes, 'x'), Qos::k0);
    EXPECT_TRUE(client.closed);
    const bool is_told = version == ProtocolVersion::kV5;
    EXPECT_EQ(client.disconnect_reason(), is_told ? std::optional(kPacketTooLarge) : std::nullopt);
  }
  EXPECT_EQ(broker.times_reached(Limit::kPacketBytes), 2U);
  EXPECT_THAT(broker.log(), HasSubstr("packet is larger than " + log_key(Limit::kPacketBytes)));
}

TEST_P(OwnLimits, SoManyMayBeUnacknowledged) {
  TestClient& client = join("a");
  for (wire::PacketId id = 1; id <= expected.receive; ++id) client.send(publication(id));
  EXPECT_FALSE(client.closed);
  client.send(publication(100));
  EXPECT_EQ(client.disconnect_reason(), kReceiveMaximumExceeded);
  EXPECT_THAT(broker.log(), HasSubstr(log_key(Limit::kReceiveMaximum)));
}

TEST_P(OwnLimits, SoManyAliasesMayBeDefined) {
  TestClient& client = join("a");
  wire::Publish packet = publication(0);
  packet.topic_alias = expected.aliases;
  client.send(packet);
  EXPECT_FALSE(client.closed);
  packet.topic_alias = static_cast<std::uint16_t>(expected.aliases + 1);
  client.send(packet);
  EXPECT_EQ(client.disconnect_reason(), kTopicAliasInvalid);
  EXPECT_THAT(broker.log(), HasSubstr(log_key(Limit::kTopicAliasMaximum)));
}

TEST_P(OwnLimits, SoManyAliasesAreUsed) {
  TestClient& client = open();
  wire::Connect connect;
  connect.client_id = "a";
  connect.topic_alias_maximum = 5;
  EXPECT_EQ(client.connect(connect), kSuccess);
  EXPECT_EQ(client.subscribe("#", Qos::k0), kSuccess);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 50; ++i) writer.publish("topic/" + std::to_string(i), "x", Qos::k0);
  std::uint16_t most = 0;
  while (const auto packet = client.take(PacketType::kPublish)) {
    const auto publish = wire::decode_publish(ProtocolVersion::kV5, wire::Sender::kServer, packet->flags, packet->body);
    ASSERT_TRUE(publish.has_value());
    most = std::max(most, publish->topic_alias.value_or(0));
  }
  EXPECT_EQ(most, std::min<std::uint16_t>(5, expected.aliases_out));
}

TEST_P(OwnLimits, SoManyAreOnTheirWayToTheClient) {
  TestClient& client = join("a");
  EXPECT_EQ(client.subscribe("t"), kGrantedQos1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(writer.publish("t", "x"), kSuccess);
  EXPECT_EQ(client.messages_waiting(), expected.inflight);
}

TEST_P(OwnLimits, SoLongAConnectIsWaitedFor) {
  TestClient& silent = open();
  broker.pass(expected.connect_timeout_ms - 100);
  EXPECT_FALSE(silent.closed);
  broker.pass(200);
  EXPECT_TRUE(silent.closed);
  EXPECT_EQ(broker.times_reached(Limit::kConnectTimeout), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("no complete CONNECT within " + std::string(expected.section) + ".connect"));
}

INSTANTIATE_TEST_SUITE_P(Listeners, OwnLimits, testing::ValuesIn(kCases));

TEST(ListenerLimits, OneOfThemLeavesTheOthersAsTheyAre) {
  const ListenerPolicy aliases = policy({.topic_alias_maximum = 7});
  TestBroker broker(kSettings);
  TestClient& client = broker.open(ProtocolVersion::kV5, &aliases);
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.keep_alive_s, 100);
  client.publish("t", std::string(4000, 'x'), Qos::k0);
  EXPECT_EQ(client.disconnect_reason(), kPacketTooLarge);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_packet_bytes"));
  EXPECT_THAT(broker.log(), Not(HasSubstr("listener.")));
}

TEST(ListenerLimits, AConnectIsAPacketToo) {
  const ListenerPolicy small = policy({.max_packet_bytes = 1024});
  TestBroker broker(Settings{.max_connect_bytes = 2000});
  TestClient& client = broker.open(ProtocolVersion::kV5, &small);
  client.connect(std::string(1100, 'x'));
  EXPECT_TRUE(client.closed);
  EXPECT_EQ(broker.times_reached(Limit::kPacketBytes), 1U);
  EXPECT_THAT(broker.log(), HasSubstr("CONNECT is larger than listener.max_packet_bytes"));
}

// What the session holds from the wide listener is more than the narrow one allows (4.9).
TEST(ListenerLimits, ASessionComesBackThroughANarrowerListener) {
  TestBroker broker(kSettings);
  TestClient& client = broker.open(ProtocolVersion::kV5, &kWide);
  EXPECT_EQ(client.connect("a", false, 3600), kSuccess);
  wire::Publish first = publication(1);
  for (wire::PacketId id = 2; id <= 9; ++id) client.send(publication(id));
  client.cut();
  TestClient& back = broker.open(ProtocolVersion::kV5, &kNarrow);
  EXPECT_EQ(back.connect("a", false, 3600), kSuccess);
  // One that was lost on its way, then those that were not.
  first.dup = true;
  back.send(first);
  back.send(ack(PacketType::kPubrel, 1));
  for (wire::PacketId id = 2; id <= 9; ++id) {
    wire::Publish again = publication(id);
    again.dup = true;
    back.send(again);
    back.send(ack(PacketType::kPubrel, id));
  }
  EXPECT_FALSE(back.closed);
  // From here on its own maximum counts.
  back.send(publication(10));
  EXPECT_FALSE(back.closed);
  back.send(publication(11));
  EXPECT_EQ(back.disconnect_reason(), kReceiveMaximumExceeded);
}

TEST(ListenerLimits, KeysAreNamedByWhereTheyStand) {
  EXPECT_EQ(key_of(Limit::kPacketBytes, kNoListenerLimits), "limits.max_packet_bytes");
  EXPECT_EQ(key_of(Limit::kPacketBytes, kNarrow.limits), "listener.max_packet_bytes");
  EXPECT_EQ(key_of(Limit::kMemoryBytes, kNarrow.limits), "limits.max_memory_bytes");
}

}  // namespace
}  // namespace petrel::broker::test
