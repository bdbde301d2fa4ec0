#include "broker/mount_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/test_support.h"
#include "topics/topic.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using testing::HasSubstr;
using wire::ProtocolVersion;
using wire::Qos;

ListenerPolicy mounted(const char* mount_point) {
  ListenerPolicy policy;
  policy.mount_point = mount_point;
  return policy;
}

const ListenerPolicy kA = mounted("a/");
const ListenerPolicy kB = mounted("b/");

TestClient& open(TestBroker& broker, const char* client_id, const ListenerPolicy* policy,
                 ProtocolVersion version = ProtocolVersion::kV5) {
  TestClient& client = broker.open(version, policy);
  EXPECT_EQ(client.connect(client_id, true), kSuccess);
  return client;
}

TEST(MountPoint, IsWholeLevels) {
  EXPECT_TRUE(is_valid_mount_point("tenant-a/"));
  EXPECT_TRUE(is_valid_mount_point("tenants/a/"));
  for (const char* wrong : {"", "tenant-a", "$SYS/", "a/+/", "#/", "\xff/"}) EXPECT_FALSE(is_valid_mount_point(wrong));
}

TEST(MountPoint, StandsBeforeTheFilterOfASharedSubscription) {
  EXPECT_EQ(mounted_filter("a/", "t/#"), "a/t/#");
  const std::string shared = mounted_filter("a/", "$share/group/t/#");
  EXPECT_EQ(shared, std::string_view("$share/group\0002/a/t/#", 20));
  EXPECT_TRUE(topics::is_valid_filter(shared));
  EXPECT_EQ(topics::parse_shared(shared)->filter, "a/t/#");
  EXPECT_NE(mounted_filter("a/b/", "$share/group/#"), mounted_filter("a/", "$share/group/b/#"));
  EXPECT_TRUE(is_out_of_mount("$SYS/#"));
  EXPECT_TRUE(is_out_of_mount("$share/group/$SYS/#"));
  EXPECT_FALSE(is_out_of_mount("$share/group/t"));
  EXPECT_EQ(visible_client_id("a/", mounted_client_id("a/", "client")), "client");
}

TEST(MountPoint, ShowsWhatIsBelowIt) {
  EXPECT_EQ(visible_topic("a/", "a/t"), "t");
  EXPECT_EQ(visible_topic("a/", "a//"), "/");
  for (const char* unseen : {"a", "a/", "a/$x", "b/t", "t"}) EXPECT_FALSE(visible_topic("a/", unseen)) << unseen;
}

class MountedTest : public testing::TestWithParam<ProtocolVersion> {};
INSTANTIATE_TEST_SUITE_P(Versions, MountedTest,
                         testing::Values(ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5));

TEST_P(MountedTest, KeepsTenantsApartAndLetsTheOperatorSeeAll) {
  TestBroker broker;
  TestClient& a = open(broker, "one", &kA, GetParam());
  TestClient& b = open(broker, "one", &kB, GetParam());
  TestClient& all = open(broker, "one", nullptr, GetParam());
  EXPECT_FALSE(a.closed) << "the same client identifier, and another client";
  for (TestClient* client : {&a, &b, &all}) client->subscribe("#", Qos::k1);
  a.publish("t/1", "from a");
  b.publish("t/1", "from b", Qos::k0);
  EXPECT_EQ(a.message().topic, "t/1");
  EXPECT_EQ(a.messages_waiting(), 0U);
  EXPECT_EQ(b.message().payload, "from b");
  EXPECT_EQ(b.messages_waiting(), 0U);
  EXPECT_EQ(all.message().topic, "a/t/1");
  EXPECT_EQ(all.message().topic, "b/t/1");
  all.publish("a/command", "do");
  EXPECT_EQ(a.message().topic, "command");
  EXPECT_EQ(b.messages_waiting(), 0U);
  a.unsubscribe("#");
  all.publish("a/command", "again");
  EXPECT_EQ(a.messages_waiting(), 0U);
}

// Whoever could join the group of somebody outside would take away a part of what is meant for it.
TEST(Mounted, SharedSubscriptionsAreItsOwn) {
  const ListenerPolicy below_a = mounted("a/t/");
  TestBroker broker;
  TestClient& a = open(broker, "one", &kA);
  TestClient& also_a = open(broker, "two", &kA);
  TestClient& below = open(broker, "one", &below_a);
  TestClient& operator_client = open(broker, "operator", nullptr);
  for (TestClient* client : {&a, &also_a}) EXPECT_EQ(client->subscribe("$share/group/t/#", Qos::k1), kGrantedQos1);
  EXPECT_EQ(below.subscribe("$share/group/#", Qos::k1), kGrantedQos1);
  EXPECT_EQ(operator_client.subscribe("$share/group/a/t/#", Qos::k1), kGrantedQos1);
  constexpr std::size_t kMessages = 6;
  for (std::size_t i = 0; i < kMessages; ++i) EXPECT_EQ(a.publish("t/1", "work", Qos::k1), kSuccess);
  EXPECT_EQ(operator_client.messages_waiting(), kMessages);
  EXPECT_EQ(below.messages_waiting(), kMessages);
  EXPECT_EQ(a.messages_waiting() + also_a.messages_waiting(), kMessages);
  EXPECT_NE(a.messages_waiting(), 0U);
  EXPECT_NE(also_a.messages_waiting(), 0U);
  EXPECT_EQ(below.message().topic, "1");
  for (TestClient* client : {&a, &also_a}) client->unsubscribe("$share/group/t/#");
  EXPECT_EQ(operator_client.publish("a/t/1", "more", Qos::k1), kSuccess);
  EXPECT_EQ(a.messages_waiting() + also_a.messages_waiting(), kMessages);
}

// "a/#" matches "a", too (4.7.1.2), and of "a/" nothing would be left.
TEST(Mounted, DoesNotSeeTheMountPointItself) {
  TestBroker broker;
  TestClient& a = open(broker, "one", &kA);
  TestClient& operator_client = open(broker, "operator", nullptr);
  EXPECT_EQ(a.subscribe("#", Qos::k2), kGrantedQos2);
  for (const char* topic : {"a", "a/", "a/$x"}) {
    operator_client.publish(topic, "unseen", Qos::k0);
    EXPECT_EQ(operator_client.publish(topic, "unseen", Qos::k2), kSuccess);
  }
  EXPECT_EQ(operator_client.publish("a/t", "seen", Qos::k1), kSuccess);
  EXPECT_EQ(a.message().payload, "seen");
  EXPECT_EQ(a.messages_waiting(), 0U);
}

TEST(Mounted, RetainedMessagesAreItsOwn) {
  TestBroker broker;
  TestClient& a = open(broker, "one", &kA);
  a.publish("t", "kept", Qos::k1, true);
  TestClient& late = open(broker, "late", &kA);
  late.subscribe("+");
  const ReceivedMessage message = late.message();
  EXPECT_EQ(message.topic, "t");
  EXPECT_TRUE(message.retain);
  TestClient& b = open(broker, "late", &kB);
  b.subscribe("#");
  EXPECT_EQ(b.messages_waiting(), 0U);
  a.publish("t", "", Qos::k1, true);
  TestClient& later = open(broker, "later", nullptr);
  later.subscribe("#");
  EXPECT_EQ(later.messages_waiting(), 0U) << "cleared below the mount point";
}

TEST(Mounted, TheBrokersTopicsAreNotThere) {
  TestBroker broker;
  TestClient& a = open(broker, "one", &kA);
  for (const char* filter : {"$SYS/#", "$other/t", "$share/group/$SYS/#"})
    EXPECT_EQ(a.subscribe(filter), kNotAuthorized) << filter;
  EXPECT_EQ(a.subscribe("$share/group"), kTopicFilterInvalid);
  EXPECT_EQ(a.publish("$SYS/x", "m"), kNotAuthorized);
  EXPECT_EQ(a.publish("$other/x", "m"), kNotAuthorized);
  EXPECT_EQ(a.unsubscribe("$SYS/#"), kNoSubscriptionExisted);
  EXPECT_FALSE(a.closed);
  TestClient& old = open(broker, "old", &kA, ProtocolVersion::kV311);
  EXPECT_EQ(old.subscribe("$SYS/#"), kUnspecifiedError);
}

TEST(Mounted, SharedSubscriptionsAreBelow) {
  TestBroker broker;
  TestClient& one = open(broker, "one", &kA);
  TestClient& two = open(broker, "two", &kA);
  TestClient& b = open(broker, "two", &kB);
  for (TestClient* client : {&one, &two, &b}) EXPECT_EQ(client->subscribe("$share/group/t", Qos::k0), kSuccess);
  for (int i = 0; i < 4; ++i) one.publish("t", "m");
  EXPECT_EQ(one.messages_waiting(), 2U);
  EXPECT_EQ(two.messages_waiting(), 2U);
  EXPECT_EQ(b.messages_waiting(), 0U);
  EXPECT_EQ(two.message().topic, "t");
  EXPECT_EQ(two.unsubscribe("$share/group/t"), kSuccess);
}

TEST(Mounted, WillsAreBelow) {
  TestBroker broker;
  TestClient& watcher = open(broker, "watcher", nullptr);
  watcher.subscribe("#");
  TestClient& mortal = broker.open(ProtocolVersion::kV5, &kA);
  wire::Connect connect;
  connect.client_id = "mortal";
  connect.will.emplace();
  connect.will->topic = "gone";
  connect.will->payload = "will";
  EXPECT_EQ(mortal.connect(connect), kSuccess);
  mortal.cut();
  EXPECT_EQ(watcher.message().topic, "a/gone");
  TestClient& refused = broker.open(ProtocolVersion::kV5, &kA);
  connect.will->topic = "$SYS/gone";
  EXPECT_EQ(refused.connect(connect), kNotAuthorized);
}

TEST(Mounted, TopicAliasesWorkBothWays) {
  TestBroker broker;
  TestClient& sender = open(broker, "sender", &kA);
  TestClient& receiver = broker.open(ProtocolVersion::kV5, &kA);
  wire::Connect connect;
  connect.client_id = "receiver";
  connect.topic_alias_maximum = 10;
  EXPECT_EQ(receiver.connect(connect), kSuccess);
  receiver.subscribe("#", Qos::k0);
  for (int i = 0; i < 3; ++i) {
    wire::Publish publish;
    if (i == 0) publish.topic = "long/enough/for/an/alias";
    publish.topic_alias = 3;
    publish.payload = "m";
    sender.send(publish);
  }
  int with_topic = 0;
  for (int i = 0; i < 3; ++i) {
    const auto packet = receiver.take(wire::PacketType::kPublish);
    ASSERT_TRUE(packet);
    const auto publish = wire::decode_publish(ProtocolVersion::kV5, wire::Sender::kServer, packet->flags, packet->body);
    ASSERT_TRUE(publish.has_value());
    EXPECT_TRUE(publish->topic.empty() || publish->topic == "long/enough/for/an/alias") << publish->topic;
    with_topic += publish->topic.empty() ? 0 : 1;
  }
  EXPECT_LT(with_topic, 3);
}

TEST(Mounted, LimitsHoldForTheWholeTopic) {
  TestBroker broker({.max_topic_levels = 3, .max_topic_bytes = 10, .max_filter_levels = 3, .max_filter_bytes = 10});
  TestClient& a = open(broker, "one", &kA);
  EXPECT_EQ(a.subscribe("12345678"), kGrantedQos1);
  EXPECT_EQ(a.subscribe("123456789"), kTopicFilterInvalid);
  EXPECT_EQ(a.subscribe("1/2/3"), kTopicFilterInvalid);
  EXPECT_EQ(a.publish("12345678", "m"), kSuccess);
  a.publish("123456789", "m", Qos::k0);
  EXPECT_EQ(a.disconnect_reason(), kTopicNameInvalid);
  TestClient& again = open(broker, "one", &kA);
  again.publish("1/2/3", "m", Qos::k0);
  EXPECT_EQ(again.disconnect_reason(), kTopicNameInvalid);
}

// Beyond what a topic can be at all.
TEST(Mounted, ATopicThatDoesNotFitIsRefused) {
  TestBroker broker({.max_topic_levels = 65536, .max_filter_levels = 65536});
  TestClient& a = open(broker, "one", &kA);
  const std::string longest(65535, 'x');
  EXPECT_EQ(a.subscribe(longest), kTopicFilterInvalid);
  EXPECT_EQ(a.publish(longest.substr(2), "m"), kNoMatchingSubscribers);
  a.publish(longest, "m", Qos::k0);
  EXPECT_EQ(a.disconnect_reason(), kTopicNameInvalid);
}

TEST(Mounted, ASessionComesBackThroughTheSameMountPointOnly) {
  TestBroker broker(Settings{}, 2);
  const ListenerPolicy other_door_to_a = mounted("a/");
  TestClient& first = broker.open(ProtocolVersion::kV5, &kA);
  EXPECT_EQ(first.connect("one", true, 1000), kSuccess);
  first.subscribe("t", Qos::k1);
  first.cut();
  open(broker, "sender", nullptr).publish("a/t", "waits");
  TestClient& stranger = broker.open(ProtocolVersion::kV5, &kB);
  EXPECT_EQ(stranger.connect("one", false, 1000), kSuccess);
  EXPECT_EQ(stranger.messages_waiting(), 0U);
  TestClient& plain = broker.open(ProtocolVersion::kV5);
  EXPECT_EQ(plain.connect("one", false, 1000), kSuccess);
  EXPECT_EQ(plain.messages_waiting(), 0U);
  TestClient& back = broker.open(ProtocolVersion::kV5, &other_door_to_a, 1);
  EXPECT_EQ(back.connect("one", false, 1000), kSuccess);
  EXPECT_EQ(back.message().topic, "t");
}

TEST(Mounted, AnAssignedClientIdentifierIsTheClientsOwn) {
  TestBroker broker(Settings{}, 2);
  TestClient& client = broker.open(ProtocolVersion::kV5, &kA);
  wire::Connect connect;
  connect.version = ProtocolVersion::kV5;
  connect.request_response_information = true;
  client.send(connect);
  const auto packet = client.take(wire::PacketType::kConnack);
  ASSERT_TRUE(packet);
  const auto connack = wire::decode_connack(ProtocolVersion::kV5, packet->body);
  ASSERT_TRUE(connack.has_value());
  ASSERT_TRUE(connack->assigned_client_identifier);
  EXPECT_TRUE(connack->assigned_client_identifier->starts_with("petrel-"));
  EXPECT_EQ(connack->response_information, "response/" + std::string(*connack->assigned_client_identifier));
}

}  // namespace
}  // namespace petrel::broker::test
