// What waits for clients that are away: its limits, the policies beyond them, and how long it may wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using testing::HasSubstr;
using enum wire::ReasonCode;
using wire::ProtocolVersion;
using wire::Qos;

constexpr std::uint32_t kHour = 3600;

// A session that lasts, subscribed to "t", whose client has left.
void leave_behind(TestBroker& broker, std::string_view client_id, std::string_view filter = "t", Qos qos = Qos::k2) {
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect(client_id, true, kHour), kSuccess);
  EXPECT_TRUE(client.subscribe(filter, qos).has_value());
  client.disconnect();
}

// The payloads that wait for it, each acknowledged.
std::string come_back(TestBroker& broker, std::string_view client_id) {
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect(client_id, false, kHour), kSuccess);
  std::string heard;
  while (client.messages_waiting() > 0) {
    const ReceivedMessage message = client.message();
    heard += message.payload;
    if (message.qos == Qos::k1) client.acknowledge(message);
  }
  client.disconnect();
  return heard;
}

std::uint64_t backlog(TestBroker& broker) {
  std::uint64_t messages = 0;
  for (const Counters& counters : broker.shared().counters) messages += counters.backlog_messages.value();
  return messages;
}

TEST(Backlog, RejectRefusesThePublisherOfAFullQueue) {
  for (const std::uint32_t shards : {1U, 3U}) {
    TestBroker broker({.max_queued_messages = 2, .queue_policy = QueuePolicy::kReject}, shards);
    leave_behind(broker, "away");
    TestClient& writer = broker.open();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    EXPECT_EQ(writer.publish("t", "1"), kSuccess);
    EXPECT_EQ(writer.publish("t", "2"), kSuccess);
    for (const Qos qos : {Qos::k1, Qos::k2}) EXPECT_EQ(writer.publish("t", "3", qos), kQuotaExceeded);
    EXPECT_EQ(writer.publish("elsewhere", "x"), kNoMatchingSubscribers);
    EXPECT_EQ(broker.times_reached(Limit::kQueuedMessages), 2U);
    EXPECT_THAT(broker.log(), HasSubstr("limits.max_queued_messages is reached"));
    // A 3.x client cannot be told: it is not acknowledged either.
    TestClient& old = broker.open(ProtocolVersion::kV311);
    EXPECT_EQ(old.connect("old"), kSuccess);
    EXPECT_EQ(old.publish("t", "4"), std::nullopt);
    broker.pass(1100);
    EXPECT_TRUE(old.closed);
    EXPECT_EQ(come_back(broker, "away"), "12");
    EXPECT_EQ(writer.publish("t", "5"), kSuccess);
    EXPECT_EQ(come_back(broker, "away"), "5");
  }
}

// A client of 3.x whose own queue is full, and that sends first what was refused before.
TEST(Backlog, RejectLetsAnOldClientEmptyItsOwnQueue) {
  TestBroker broker({.max_inflight_messages = 1, .max_queued_messages = 1, .queue_policy = QueuePolicy::kReject});
  TestClient& first = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(first.connect("self", false), kSuccess);
  EXPECT_EQ(first.subscribe("t"), kGrantedQos1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (const char* payload : {"1", "2"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
  EXPECT_EQ(first.publish("t", "3"), std::nullopt);
  EXPECT_FALSE(first.closed);
  EXPECT_EQ(broker.shard().counters().publish_refused.value(), 1U);
  for (const char* payload : {"1", "2"}) {
    const ReceivedMessage message = first.message();
    EXPECT_EQ(message.payload, payload);
    first.acknowledge(message);
  }
  EXPECT_EQ(first.publish("t", "4"), std::nullopt) << "it would overtake the refused one";
  EXPECT_EQ(first.messages_waiting(), 0U);
  broker.pass(1100);
  EXPECT_TRUE(first.closed);
  EXPECT_THAT(broker.log(), HasSubstr("limits.queue_policy is reject"));
  TestClient& again = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(again.connect("self", false), kSuccess);
  EXPECT_EQ(again.publish("t", "3"), kSuccess);
  EXPECT_EQ(again.message().payload, "3");
}

// The refused client's end comes a second later, however often its output blocks.
TEST(Backlog, RejectClosesAnOldClientThatReadsSlowly) {
  TestBroker broker({.max_queued_messages = 1, .queue_policy = QueuePolicy::kReject});
  leave_behind(broker, "away");
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  TestClient& old = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(old.connect("old"), kSuccess);
  EXPECT_EQ(old.subscribe("live", Qos::k0), kSuccess);
  EXPECT_EQ(old.publish("t", "2"), std::nullopt);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(old.closed) << i;
    old.reads = false;
    writer.publish("live", "x", Qos::k0);
    broker.pass(50);
    old.reads = true;
    broker.pass(49);
  }
  EXPECT_FALSE(old.closed);
  broker.pass(30);
  EXPECT_TRUE(old.closed);
}

TEST(Backlog, RejectLooksForAMemberOfASharedSubscriptionWithRoom) {
  TestBroker broker({.max_queued_messages = 1, .queue_policy = QueuePolicy::kReject});
  leave_behind(broker, "a", "$share/g/t", Qos::k1);
  leave_behind(broker, "b", "$share/g/t", Qos::k1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  EXPECT_EQ(writer.publish("t", "2"), kSuccess);
  EXPECT_EQ(writer.publish("t", "3"), kQuotaExceeded);
  const std::string a = come_back(broker, "a");
  EXPECT_EQ(a.size(), 1U);
  for (const char* payload : {"4", "5"})
    EXPECT_EQ(writer.publish("t", payload), payload[0] == '4' ? kSuccess : kQuotaExceeded);
  EXPECT_EQ(come_back(broker, "a"), "4");
}

TEST(Backlog, DropOldestKeepsTheNewestInTheStore) {
  TestBroker broker({.max_queued_messages = 3, .queue_policy = QueuePolicy::kDropOldest});
  leave_behind(broker, "away", "t", Qos::k1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (const char* payload : {"1", "2", "3", "4", "5", "6"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
  EXPECT_EQ(backlog(broker), 3U);
  EXPECT_EQ(broker.shard().counters().dropped_queue_full.value(), 3U);
  EXPECT_EQ(come_back(broker, "away"), "456");
  EXPECT_EQ(backlog(broker), 0U);
}

TEST(Backlog, BytesOfASession) {
  TestBroker broker({.max_backlog_bytes = 1024});
  leave_behind(broker, "away", "t", Qos::k1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(writer.publish("t", std::string(400, 'x')), kSuccess);
  EXPECT_EQ(broker.times_reached(Limit::kBacklogBytes), 2U);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_backlog_bytes is reached"));
  EXPECT_EQ(come_back(broker, "away").size(), 800U);
}

TEST(Backlog, TotalsOverAllSessions) {
  struct Case {
    Settings settings;
    Limit limit;
  };
  for (const Case& at : {Case{{.max_backlog_messages_total = 4}, Limit::kBacklogMessagesTotal},
                         Case{{.max_backlog_bytes_total = 1700}, Limit::kBacklogBytesTotal}}) {
    TestBroker broker(at.settings, 2);
    for (const char* client : {"a", "b", "c"}) leave_behind(broker, client, client, Qos::k1);
    TestClient& writer = broker.open();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    for (int round = 0; round < 2; ++round)
      for (const char* topic : {"a", "b", "c"}) EXPECT_EQ(writer.publish(topic, std::string(400, 'x')), kSuccess);
    EXPECT_EQ(backlog(broker), 4U);
    EXPECT_EQ(broker.times_reached(at.limit), 2U);
    EXPECT_THAT(broker.log(), HasSubstr(reached(at.limit)));
    EXPECT_EQ(come_back(broker, "a").size(), 800U);
    EXPECT_EQ(writer.publish("c", "y"), kSuccess);
    EXPECT_EQ(come_back(broker, "c").size(), 401U);
  }
}

TEST(Backlog, TheTotalRefusesWhatWouldWait) {
  TestBroker broker({.max_backlog_messages_total = 1, .queue_policy = QueuePolicy::kReject});
  leave_behind(broker, "away", "t", Qos::k1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  EXPECT_EQ(writer.publish("t", "2"), kQuotaExceeded);
  TestClient& here = broker.open();
  EXPECT_EQ(here.connect("here"), kSuccess);
  EXPECT_EQ(here.subscribe("live"), kGrantedQos1);
  EXPECT_EQ(writer.publish("live", "3"), kSuccess);
}

// It lay in the store when the queue was read, and was dropped before the page came: in the page it must not be sent.
TEST(Backlog, WhatIsDroppedDuringAReadDoesNotComeWithIt) {
  TestBroker broker({.max_backlog_bytes = 1000}, 2);
  leave_behind(broker, "away", "t", Qos::k1);
  TestClient& reader = broker.open();
  // Whoever publishes is on another thread than the reader: then the message is stored before the reader's knows of it.
  std::vector<TestClient*> writers(2);
  for (int i = 0; i < 64; ++i) {
    TestClient& client = broker.open();
    EXPECT_EQ(client.connect(std::to_string(i)), kSuccess);
    writers[client.shard_index] = &client;
  }
  for (TestClient* writer : writers) EXPECT_EQ(writer->publish("t", "small"), kSuccess);
  broker.set_mail_slow(true);
  for (TestClient* writer : writers) EXPECT_EQ(writer->publish("t", std::string(2000, 'x')), kSuccess);
  EXPECT_EQ(broker.times_reached(Limit::kBacklogBytes), 1U) << "the other one is on its way";
  broker.set_pages_slow(true);
  EXPECT_EQ(reader.connect("away", false, kHour), kSuccess);
  broker.set_mail_slow(false);
  EXPECT_EQ(broker.times_reached(Limit::kBacklogBytes), 2U);
  EXPECT_EQ(reader.messages_waiting(), 0U);
  broker.set_pages_slow(false);
  EXPECT_EQ(reader.message().payload, "small");
  EXPECT_EQ(reader.message().payload, "small");
  EXPECT_EQ(reader.messages_waiting(), 0U);
}

TEST(Backlog, MessagesWaitNoLongerThanTheirTime) {
  TestBroker broker({.message_ttl_qos1_ms = 10'000});
  leave_behind(broker, "away");
  leave_behind(broker, "never back");
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  broker.pass(6000);
  EXPECT_EQ(writer.publish("t", "2"), kSuccess);
  EXPECT_EQ(writer.publish("t", "3", Qos::k2), kSuccess);
  broker.pass(6000);
  EXPECT_EQ(come_back(broker, "away"), "23");
  EXPECT_EQ(broker.shard().counters().dropped_outstayed.value(), 2U) << "one for each session";
  broker.pass(60'000);
  EXPECT_EQ(come_back(broker, "never back"), "3");
  EXPECT_EQ(broker.shard().counters().dropped_outstayed.value(), 3U);
}

// What a slow reader has not taken yet does not grow old while it is connected.
TEST(Backlog, TheTimeCountsFromTheDisconnection) {
  TestBroker broker({.max_inflight_messages = 1, .message_ttl_qos1_ms = 10'000});
  TestClient& reader = broker.open();
  EXPECT_EQ(reader.connect("reader", true, kHour), kSuccess);
  EXPECT_EQ(reader.subscribe("t"), kGrantedQos1);
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  for (const char* payload : {"1", "2", "3"}) EXPECT_EQ(writer.publish("t", payload), kSuccess);
  broker.pass(60'000);
  reader.cut();
  broker.pass(6000);
  EXPECT_EQ(come_back(broker, "reader"), "123");
}

TEST(Backlog, SubscriptionsEndTheirTimeAfterTheClientHasLeft) {
  TestBroker broker({.subscription_ttl_ms = 10'000});
  leave_behind(broker, "away");
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  EXPECT_EQ(writer.publish("t", "1"), kSuccess);
  broker.pass(11'000);
  EXPECT_EQ(writer.publish("t", "2"), kNoMatchingSubscribers);
  EXPECT_EQ(broker.shard().counters().subscriptions_outstayed.value(), 1U);
  EXPECT_EQ(come_back(broker, "away"), "1");
}

// Many end little by little; who comes back meanwhile finds all of them ended.
TEST(Backlog, ManySubscriptionsEndLittleByLittle) {
  constexpr std::uint64_t kMany = 600;
  for (const bool comes_back : {false, true}) {
    TestBroker broker({.subscription_ttl_ms = 10'000});
    TestClient& client = broker.open();
    EXPECT_EQ(client.connect("away", true, kHour), kSuccess);
    for (std::uint64_t i = 0; i < kMany; ++i) EXPECT_EQ(client.subscribe(std::to_string(i)), kGrantedQos1);
    client.disconnect();
    const auto ended = [&] { return broker.shard().counters().subscriptions_outstayed.value(); };
    while (ended() == 0) broker.pass(100);
    EXPECT_LT(ended(), kMany / 2);
    EXPECT_THAT(broker.log(), Not(HasSubstr("subscriptions ended")));
    comes_back ? void(come_back(broker, "away")) : broker.pass(500);
    if (!comes_back) broker.pass(500);
    EXPECT_EQ(ended(), kMany);
    EXPECT_THAT(broker.log(), HasSubstr("count=600"));
    broker.pass(60'000);
    EXPECT_EQ(broker.shared().index.subscription_count(), 0U);
  }
}

TEST(Backlog, QosZeroIsQueuedWhereTheOperatorWantsIt) {
  for (const std::uint32_t shards : {1U, 3U}) {
    TestBroker broker({.queue_qos0 = true}, shards);
    leave_behind(broker, "away");
    leave_behind(broker, "low", "t", Qos::k0);
    TestClient& here = broker.open();
    EXPECT_EQ(here.connect("here", true, kHour), kSuccess);
    EXPECT_EQ(here.subscribe("t"), kGrantedQos1);
    TestClient& writer = broker.open();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    writer.publish("t", "1", Qos::k0);
    EXPECT_EQ(writer.publish("t", "2"), kSuccess);
    writer.publish("t", "3", Qos::k0);
    EXPECT_EQ(here.messages_waiting(), 3U);
    EXPECT_EQ(come_back(broker, "away"), "123");
    EXPECT_EQ(come_back(broker, "low"), "123");
    EXPECT_EQ(come_back(broker, "low"), "") << "once is enough";
    EXPECT_EQ(backlog(broker), 0U);
  }
  TestBroker broker;
  leave_behind(broker, "away");
  TestClient& writer = broker.open();
  EXPECT_EQ(writer.connect("writer"), kSuccess);
  writer.publish("t", "1", Qos::k0);
  EXPECT_EQ(come_back(broker, "away"), "");
}

}  // namespace
}  // namespace petrel::broker::test
