#include "broker/sys_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;
using wire::ProtocolVersion;
using wire::Qos;

using Values = std::map<std::string, std::string>;

Values values_of(const std::vector<Ref<const wire::Message>>& messages) {
  Values values;
  for (const auto& message : messages) values[std::string(message->topic())] = message->payload();
  return values;
}

// All that has come to a client.
Values heard(TestClient& client) {
  Values values;
  while (client.messages_waiting() > 0) {
    const ReceivedMessage message = client.message();
    values[message.topic] = message.payload;
  }
  return values;
}

TEST(SysFilter, IsToldByItsFirstLevel) {
  for (const char* yes : {"$SYS", "$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/#", "$share/g/$SYS"})
    EXPECT_TRUE(is_sys_filter(yes)) << yes;
  for (const char* no : {"#", "+/broker/uptime", "$SYSTEM/x", "SYS/#", "a/$SYS", "$share/$SYS/x", "$share/g/#", ""})
    EXPECT_FALSE(is_sys_filter(no)) << no;
}

TEST(SysTopics, TellsOnlyWhatHasChanged) {
  SysTopics topics(SysSettings{.version = "9"});
  topics.start(1000);
  SysTotals totals;
  totals.clients_connected = 3;
  totals.limits[static_cast<std::size_t>(Limit::kSessions)] = 4;
  const Values first = values_of(topics.refresh(43'000, totals));
  EXPECT_THAT(first, Contains(Pair("$SYS/broker/version", "petrel version 9")));
  EXPECT_THAT(first, Contains(Pair("$SYS/broker/uptime", "42 seconds")));
  EXPECT_THAT(first, Contains(Pair("$SYS/broker/clients/connected", "3")));
  EXPECT_THAT(first, Contains(Pair("$SYS/broker/clients/active", "3")));
  EXPECT_THAT(first, Contains(Pair("$SYS/broker/limits/max_sessions", "4")));
  totals.clients_connected = 2;
  totals.heap_bytes = 10;
  const Values second = values_of(topics.refresh(43'000, totals));
  EXPECT_EQ(second, (Values{{"$SYS/broker/clients/connected", "2"},
                            {"$SYS/broker/clients/active", "2"},
                            {"$SYS/broker/heap/current", "10"},
                            {"$SYS/broker/heap/maximum", "10"}}));
  totals.heap_bytes = 5;
  EXPECT_THAT(values_of(topics.refresh(43'000, totals)), Not(Contains(Key("$SYS/broker/heap/maximum"))));
  EXPECT_EQ(topics.values().count(), first.size());
}

TEST(SysTopics, AveragesDoNotDependOnHowOftenTheyAreWorkedOut) {
  SysTopics often{SysSettings{}}, seldom{SysSettings{}};
  often.start(0);
  seldom.start(0);
  SysTotals totals;
  Values of_often, of_seldom;
  for (TimeMs now = 10'000; now <= 600'000; now += 10'000) {
    totals.publish_received += 100;
    for (auto& [topic, payload] : values_of(often.refresh(now, totals))) of_often[topic] = payload;
  }
  of_seldom = values_of(seldom.refresh(600'000, totals));
  for (const char* span : {"1min", "5min", "15min"}) {
    const std::string topic = std::string("$SYS/broker/load/publish/received/") + span;
    EXPECT_NEAR(std::stod(of_often[topic]), std::stod(of_seldom[topic]), 0.02) << topic;
  }
  EXPECT_NEAR(std::stod(of_often["$SYS/broker/load/publish/received/1min"]), 600, 0.1);
  EXPECT_NEAR(std::stod(of_often["$SYS/broker/load/publish/received/15min"]), 600 * (1 - std::exp(-10.0 / 15)), 0.1);
}

TEST(Sys, ANewSubscriberGetsAllValuesAtOnce) {
  for (std::uint32_t shards : {1U, 3U}) {
    TestBroker broker({}, shards);
    broker.pass(60'000);
    TestClient& client = broker.open();
    EXPECT_EQ(client.connect("reader"), kSuccess);
    EXPECT_EQ(client.subscribe("$SYS/#"), kGrantedQos1);
    ASSERT_GT(client.messages_waiting(), 50U);
    const ReceivedMessage first = client.message();
    EXPECT_TRUE(first.retain);
    EXPECT_EQ(first.qos, Qos::k0);
    const Values values = heard(client);
    EXPECT_THAT(values, Contains(Pair("$SYS/broker/uptime", "60 seconds")));
    EXPECT_THAT(values, Contains(Pair("$SYS/broker/clients/connected", "1")));
    EXPECT_THAT(values, Contains(Pair("$SYS/broker/subscriptions/count", "1")));
    EXPECT_THAT(values, Contains(Pair("$SYS/broker/retained messages/count", "0")));
  }
}

TEST(Sys, ValuesComeInIntervalsWhileSomebodyListens) {
  TestBroker broker({}, 2);
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("reader"), kSuccess);
  EXPECT_EQ(client.subscribe("$SYS/broker/uptime"), kGrantedQos1);
  EXPECT_EQ(client.message().payload, "0 seconds");
  broker.pass(10'000);
  const ReceivedMessage later = client.message();
  EXPECT_EQ(later.payload, "10 seconds");
  EXPECT_FALSE(later.retain);
  broker.pass(5'000);
  EXPECT_EQ(client.messages_waiting(), 0U);
  broker.pass(5'000);
  EXPECT_EQ(client.message().payload, "20 seconds");
}

TEST(Sys, NothingIsDoneWhileNobodyListens) {
  TestBroker broker;
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("reader"), kSuccess);
  EXPECT_EQ(client.subscribe("#"), kGrantedQos1);
  EXPECT_EQ(client.subscribe("+/broker/uptime"), kGrantedQos1);
  for (int i = 0; i < 10; ++i) broker.pass(10'000);
  EXPECT_EQ(broker.shared().sys.values().count(), 0U);
  EXPECT_EQ(client.messages_waiting(), 0U) << "[MQTT-4.7.2-1]";
  EXPECT_EQ(client.subscribe("$SYS/broker/uptime"), kGrantedQos1);
  EXPECT_EQ(client.message().payload, "100 seconds");
  EXPECT_EQ(client.unsubscribe("$SYS/broker/uptime"), kSuccess);
  broker.pass(10'000);
  EXPECT_TRUE(broker.shared().sys.stale());
  EXPECT_EQ(client.subscribe("$SYS/broker/uptime"), kGrantedQos1);
  EXPECT_EQ(client.message().payload, "110 seconds") << "not what was kept";
}

TEST(Sys, CountsWhatHappens) {
  TestBroker broker;
  TestClient& sleeper = broker.open();
  EXPECT_EQ(sleeper.connect("sleeper", false, 3600), kSuccess);
  EXPECT_EQ(sleeper.subscribe("t"), kGrantedQos1);
  sleeper.disconnect();
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("client"), kSuccess);
  EXPECT_EQ(client.subscribe("t"), kGrantedQos1);
  EXPECT_EQ(client.publish("t", "12345"), kSuccess);
  client.acknowledge(client.message());
  client.publish("kept", "123", Qos::k0, true);
  EXPECT_EQ(client.subscribe("$SYS/broker/#"), kGrantedQos1);
  const Values values = heard(client);
  const auto value = [&](const std::string& name) { return values.at("$SYS/broker/" + name); };
  EXPECT_EQ(value("clients/total"), "2");
  EXPECT_EQ(value("clients/disconnected"), "1");
  EXPECT_EQ(value("clients/maximum"), "1");
  EXPECT_EQ(value("messages/received"), "9");  // CONNECT 2, SUBSCRIBE 3, DISCONNECT, PUBLISH 2, PUBACK
  EXPECT_EQ(value("messages/sent"), "6");      // CONNACK 2, SUBACK 2, PUBLISH, PUBACK
  EXPECT_EQ(value("publish/messages/received"), "2");
  EXPECT_EQ(value("publish/messages/sent"), "1");
  EXPECT_EQ(value("publish/bytes/received"), "8");
  EXPECT_EQ(value("publish/bytes/sent"), "5");
  EXPECT_EQ(value("publish/messages/dropped"), "0");
  EXPECT_EQ(value("subscriptions/count"), "3");
  EXPECT_EQ(value("retained messages/count"), "1");
  EXPECT_GE(std::stoi(value("store/messages/count")), 2);
  EXPECT_GT(std::stoi(value("bytes/received")), 50);
  EXPECT_GT(std::stoi(value("bytes/sent")), 20);
}

TEST(Sys, IsReadAsConfigured) {
  ListenerPolicy closed;
  closed.may_read_sys = false;
  TestBroker broker;
  TestClient& client = broker.open(ProtocolVersion::kV5, &closed);
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.subscribe("$SYS/#"), kNotAuthorized);
  EXPECT_EQ(client.subscribe("$share/g/$SYS/#"), kNotAuthorized);
  TestClient& old = broker.open(ProtocolVersion::kV311, &closed);
  EXPECT_EQ(old.connect("b"), kSuccess);
  EXPECT_EQ(old.subscribe("$SYS/broker/uptime"), kUnspecifiedError);
  EXPECT_EQ(broker.open().connect("c"), kSuccess);
}

TEST(Sys, ASessionThatReturnsThroughAClosedListenerReadsNoMore) {
  ListenerPolicy closed;
  closed.may_read_sys = false;
  TestBroker broker;
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a", false, 3600), kSuccess);
  EXPECT_EQ(client.subscribe("$SYS/#"), kGrantedQos1);
  EXPECT_EQ(client.subscribe("t"), kGrantedQos1);
  client.disconnect();
  TestClient& back = broker.open(ProtocolVersion::kV5, &closed);
  EXPECT_EQ(back.connect("a", false, 3600), kSuccess);
  broker.pass(20'000);
  EXPECT_EQ(back.messages_waiting(), 0U);
  EXPECT_EQ(back.publish("t", "x"), kSuccess);
  EXPECT_EQ(back.message().payload, "x");
  EXPECT_FALSE(broker.shared().index.has_first_level("$SYS"));
}

TEST(Sys, MayBeSwitchedOff) {
  Settings settings;
  settings.sys.enabled = false;
  settings.sys.events = true;
  TestBroker broker(settings);
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.subscribe("$SYS/#"), kGrantedQos1);
  broker.pass(20'000);
  EXPECT_EQ(broker.open().connect("b"), kSuccess);
  EXPECT_EQ(client.messages_waiting(), 0U);
}

TEST(Sys, ClientsDoNotPublishThere) {
  TestBroker broker;
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("a"), kSuccess);
  EXPECT_EQ(client.publish("$SYS/broker/uptime", "0 seconds"), kNotAuthorized);
  wire::Connect packet;
  packet.client_id = "b";
  packet.will.emplace().topic = "$SYS/broker/uptime";
  EXPECT_EQ(broker.open().connect(packet), kNotAuthorized);
  EXPECT_EQ(broker.shared().retained.count(), 0U);
}

TEST(SysEvents, TellOfClientsAndSubscriptions) {
  Settings settings;
  settings.sys.events = true;
  settings.sys.id = "b1";
  TestBroker broker(settings, 2);
  TestClient& watcher = broker.open();
  EXPECT_EQ(watcher.connect("watcher"), kSuccess);
  EXPECT_EQ(watcher.subscribe("$SYS/b1/#"), kGrantedQos1);
  heard(watcher);
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("c\"1"), kSuccess);
  EXPECT_EQ(watcher.message().payload, "c\"1");
  client.subscribe("a/\\b");
  const ReceivedMessage subscribed = watcher.message();
  EXPECT_EQ(subscribed.topic, "$SYS/b1/new/subscribes");
  EXPECT_EQ(subscribed.payload, R"({"clientId":"c\"1","topic":"a/\\b"})");
  client.unsubscribe("a/\\b");
  EXPECT_EQ(watcher.message().topic, "$SYS/b1/new/unsubscribes");
  client.unsubscribe("a/\\b");
  EXPECT_EQ(watcher.messages_waiting(), 0U);
  client.cut();
  const ReceivedMessage gone = watcher.message();
  EXPECT_EQ(gone.topic, "$SYS/b1/disconnect/clients");
  EXPECT_EQ(gone.payload, "c\"1");
}

TEST(SysEvents, AreAnOption) {
  TestBroker broker;
  TestClient& watcher = broker.open();
  EXPECT_EQ(watcher.connect("watcher"), kSuccess);
  EXPECT_EQ(watcher.subscribe("$SYS/petrel/#"), kGrantedQos1);
  EXPECT_EQ(broker.open().connect("client"), kSuccess);
  EXPECT_EQ(watcher.messages_waiting(), 0U);
}

}  // namespace
}  // namespace petrel::broker::test
