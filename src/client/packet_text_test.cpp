#include "client/packet_text.h"

#include <gtest/gtest.h>

namespace petrel::client {
namespace {

using wire::PacketType;
using wire::Qos;
using wire::ReasonCode;

TEST(PacketText, TellsOfAConnection) {
  wire::Connect connect;
  connect.keep_alive_s = 60;
  EXPECT_EQ(describe(connect), "CONNECT (MQTT 3.1.1, clean 1, keep alive 60 s)");
  connect.version = wire::ProtocolVersion::kV5;
  connect.clean_start = false;
  connect.user_name = "anna";
  connect.password = "secret";
  connect.will = wire::Will{Qos::k1, true, "gone", "bye", 0, {}};
  EXPECT_EQ(describe(connect),
            "CONNECT (MQTT 5.0, clean 0, keep alive 60 s, user 'anna', will QoS 1, retain 1, 'gone', 3 bytes)");
  wire::Connack connack;
  connack.session_present = true;
  EXPECT_EQ(describe(connack), "CONNACK (success, session present 1)");
  connack = {};
  connack.reason = ReasonCode::kServerBusy;
  connack.assigned_client_identifier = "c1";
  connack.server_keep_alive_s = 5;
  connack.reason_string = "later";
  EXPECT_EQ(describe(connack), "CONNACK (server busy, session present 0, client id 'c1', keep alive 5 s, \"later\")");
  wire::Disconnect disconnect;
  EXPECT_EQ(describe(disconnect), "DISCONNECT");
  disconnect.reason = ReasonCode::kPacketTooLarge;
  EXPECT_EQ(describe(disconnect), "DISCONNECT (packet too large)");
}

TEST(PacketText, TellsOfAMessage) {
  wire::Publish publish;
  publish.topic = "home/lamp";
  publish.payload = "on";
  EXPECT_EQ(describe(publish), "PUBLISH (dup 0, QoS 0, retain 0, 'home/lamp', 2 bytes)");
  publish.dup = publish.retain = true;
  publish.qos = Qos::k2;
  publish.packet_id = 7;
  EXPECT_EQ(describe(publish), "PUBLISH (dup 1, QoS 2, retain 1, id 7, 'home/lamp', 2 bytes)");
  wire::Ack ack{PacketType::kPubrec, 7, ReasonCode::kSuccess, {}, {}};
  EXPECT_EQ(describe(ack), "PUBREC (id 7)");
  ack.reason = ReasonCode::kQuotaExceeded;
  ack.reason_string = "full";
  EXPECT_EQ(describe(ack), "PUBREC (id 7, quota exceeded, \"full\")");
}

TEST(PacketText, TellsOfSubscriptions) {
  wire::Subscribe subscribe;
  subscribe.packet_id = 9;
  subscribe.subscriptions = {{"a/#", {.maximum_qos = Qos::k2}}, {"b", {}}};
  EXPECT_EQ(describe(subscribe), "SUBSCRIBE (id 9, 'a/#' QoS 2, 'b' QoS 0)");
  wire::Suback suback;
  suback.packet_id = 9;
  suback.reasons = {ReasonCode{2}, ReasonCode::kNotAuthorized};
  EXPECT_EQ(describe(suback), "SUBACK (id 9, QoS 2, not authorized)");
  wire::Unsubscribe unsubscribe;
  unsubscribe.packet_id = 8;
  unsubscribe.filters = {"q", "w/+"};
  EXPECT_EQ(describe(unsubscribe), "UNSUBSCRIBE (id 8, 'q', 'w/+')");
  suback.type = PacketType::kUnsuback;
  suback.packet_id = 8;
  suback.reasons = {ReasonCode::kSuccess};
  EXPECT_EQ(describe(suback), "UNSUBACK (id 8, success)");
}

}  // namespace
}  // namespace petrel::client
