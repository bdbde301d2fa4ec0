// What happens when limits.max_memory_bytes is reached.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/memory_ledger.h"
#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using testing::HasSubstr;
using wire::ProtocolVersion;
using wire::Qos;

constexpr std::size_t kRoom = 200'000;
constexpr TimeMs kMoment = 20;  // until shards have looked at the sum

Settings settings() {
  Settings made;
  made.max_memory_bytes = MemoryLedger::total_bytes() + kRoom;
  made.max_inflight_messages = 5;
  return made;
}

std::string body() { return std::string(10'000, 'x'); }

// A broker whose memory is used up by what waits for an absent client.
struct FullBroker {
  explicit FullBroker(std::uint32_t shards = 1) : broker(settings(), shards), writer(broker.open()) {
    TestClient& hoarder = broker.open();
    EXPECT_EQ(hoarder.connect("hoarder", false, 3600), kSuccess);
    EXPECT_EQ(hoarder.subscribe("hoard"), kGrantedQos1);
    hoarder.disconnect();
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    for (int i = 0; i < 100; ++i) {
      broker.pass(kMoment);
      if (writer.publish("hoard", body()) == kQuotaExceeded) return;
      ++hoarded;
    }
    ADD_FAILURE() << "memory has no bound";
  }
  // The absent client returns and takes what waits.
  std::string drain(std::string_view client_id = "hoarder") {
    TestClient& back = broker.open();
    EXPECT_EQ(back.connect(client_id, false, 3600), kSuccess);
    int heard = 0;
    for (; back.messages_waiting() > 0; ++heard) back.acknowledge(back.message());
    broker.pass(kMoment);
    return std::to_string(heard);
  }

  TestBroker broker;
  TestClient& writer;
  int hoarded = 0;
};

TEST(Memory, WhatWouldWaitIsRefusedAndNothingAcknowledgedIsLost) {
  FullBroker full;
  EXPECT_GE(full.hoarded, 15);
  EXPECT_LE(full.hoarded, 20);
  EXPECT_EQ(full.writer.publish("hoard", "x", Qos::k2), kQuotaExceeded);
  EXPECT_EQ(full.writer.publish("other", body(), Qos::k1, true), kQuotaExceeded) << "retained";
  EXPECT_EQ(full.writer.publish("other", body()), kNoMatchingSubscribers) << "takes no memory";
  EXPECT_GE(full.broker.times_reached(Limit::kMemoryBytes), 3U);
  EXPECT_THAT(full.broker.log(), HasSubstr("limits.max_memory_bytes is reached"));
  EXPECT_EQ(full.drain(), std::to_string(full.hoarded));
  EXPECT_THAT(full.broker.log(), HasSubstr("memory is free again"));
  EXPECT_EQ(full.writer.publish("hoard", body()), kSuccess);
}

TEST(Memory, HoldsForAllShards) {
  FullBroker full(3);
  EXPECT_EQ(full.drain(), std::to_string(full.hoarded));
  EXPECT_EQ(full.writer.publish("hoard", body()), kSuccess);
}

// What the other shard saw first holds, though a little was given back since.
TEST(Memory, IsUsedUpForAllShardsAtOnce) {
  TestBroker broker(settings(), 2);
  TestClient& hoarder = broker.open();
  EXPECT_EQ(hoarder.connect("hoarder", false, 3600), kSuccess);
  EXPECT_EQ(hoarder.subscribe("hoard"), kGrantedQos1);
  hoarder.disconnect();
  TestClient& old = broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(old.connect("old"), kSuccess);
  LedgerShare<MemoryLedger::Use::kInput> input;
  input.set(kRoom);
  broker.shard(1 - old.shard_index).begin_turn(broker.now() + 1);
  input.set(kRoom - kRoom / 20);
  ASSERT_LT(MemoryLedger::total_bytes(), broker.shared().settings.max_memory_bytes);
  EXPECT_EQ(old.publish("hoard", "waits"), std::nullopt);
  EXPECT_TRUE(old.is_paused);
  EXPECT_THAT(broker.log(), HasSubstr("publisher is not read"));
  input.set(0);
  broker.pass(kMoment);
  EXPECT_TRUE(old.take(wire::PacketType::kPuback).has_value());
}

TEST(Memory, ReadersThatKeepUpAreServed) {
  FullBroker full;
  TestClient& reader = full.writer;
  EXPECT_EQ(reader.subscribe("live"), kGrantedQos1);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(full.writer.publish("live", body()), kSuccess);
    reader.acknowledge(reader.message());
    full.broker.pass(kMoment);
  }
  // A window that is full is not.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(full.writer.publish("live", "x"), kSuccess);
  EXPECT_EQ(full.writer.publish("live", "x"), kQuotaExceeded);
}

TEST(Memory, NewClientsAreRefusedAndKnownOnesAreNot) {
  FullBroker full;
  TestClient& stranger = full.broker.open();
  EXPECT_EQ(stranger.connect("stranger"), kQuotaExceeded);
  EXPECT_TRUE(stranger.closed);
  EXPECT_EQ(full.broker.open(ProtocolVersion::kV311).connect("stranger"), static_cast<wire::ReasonCode>(3));
  EXPECT_EQ(full.broker.open().connect("writer"), kSuccess);
  EXPECT_EQ(full.drain(), std::to_string(full.hoarded));
  EXPECT_EQ(full.broker.open().connect("stranger"), kSuccess);
}

TEST(Memory, QosZeroToSlowReadersIsDropped) {
  FullBroker full;
  TestClient& slow = full.writer;
  EXPECT_EQ(slow.subscribe("t", Qos::k0), kSuccess);
  TestClient& again = full.broker.open();
  EXPECT_EQ(again.connect("hoarder", false, 3600), kSuccess);
  ASSERT_GT(again.messages_waiting(), 0U);  // not acknowledged: memory stays used up
  slow.reads = false;
  const std::uint64_t before = full.broker.times_reached(Limit::kMemoryBytes);
  for (int i = 0; i < 10; ++i) again.publish("t", body(), Qos::k0);
  // 16 KiB of output are allowed, not limits.max_output_bytes: references to two messages.
  EXPECT_EQ(full.broker.times_reached(Limit::kMemoryBytes), before + 8);
  EXPECT_EQ(full.broker.shard().counters().dropped_slow_consumer.value(), 8U);
}

// Who comes back may, for he takes messages away; what he does not read waits where it takes no more memory.
TEST(Memory, WhoComesBackIsSentLittleAtATime) {
  FullBroker full;
  TestClient& back = full.broker.open();
  back.reads = false;
  EXPECT_EQ(back.connect("hoarder", false, 3600), std::nullopt);
  EXPECT_GE(back.output.size(), body().size());
  EXPECT_LT(back.output.size(), 2 * body().size());
  back.reads = true;
  EXPECT_EQ(full.drain(), std::to_string(full.hoarded));
}

// What clients may make long in tables counts, and is not made longer.
struct MemoryOfTables : testing::Test {
  static wire::Connect with_will(std::string_view client_id, std::string_view payload) {
    wire::Connect packet;
    packet.client_id = client_id;
    wire::Will will;
    will.topic = "will";
    will.payload = payload;
    will.delay_interval_s = 10;
    packet.session_expiry_interval_s = 3600;
    packet.will = will;
    return packet;
  }
  static std::string long_text() { return std::string(60'000, 'x'); }
  // Uses it up by `more`, which makes 60 kB more each time; how often it could.
  template <class More>
  int use_up(More more) {
    for (int times = 0; times < 10; ++times) {
      broker.pass(kMoment);
      if (!more(times)) return times;
    }
    return 10;
  }
  TestBroker broker{settings()};
};

TEST_F(MemoryOfTables, Wills) {
  std::vector<TestClient*> clients;
  EXPECT_EQ(use_up([&](int number) {
              const std::string id = std::to_string(number), payload = long_text();
              clients.push_back(&broker.open());
              return clients.back()->connect(with_will(id, payload)) == kSuccess;
            }),
            4);
  const std::string payload = long_text();
  EXPECT_EQ(broker.open().connect(with_will("0", payload)), kQuotaExceeded) << "it may come back, but not so";
  EXPECT_EQ(broker.open().connect(with_will("0", "short")), kSuccess);
  for (const int number : {1, 2, 3}) clients[static_cast<std::size_t>(number)]->disconnect();
  broker.pass(kMoment);
  EXPECT_EQ(broker.open().connect(with_will("new", payload)), kSuccess);
}

TEST_F(MemoryOfTables, Filters) {
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("client"), kSuccess);
  const auto filter = [](int number) { return std::to_string(number) + "/" + long_text(); };
  EXPECT_EQ(use_up([&](int number) { return client.subscribe(filter(number)) == kGrantedQos1; }), 4);
  EXPECT_EQ(client.subscribe("$share/" + long_text() + "/short"), kQuotaExceeded);
  EXPECT_EQ(client.subscribe(filter(0)), kGrantedQos1) << "renewed";
  EXPECT_EQ(client.subscribe("short"), kGrantedQos1);
  EXPECT_THAT(broker.log(), HasSubstr("limits.max_memory_bytes is reached"));
  for (const int number : {0, 1}) EXPECT_EQ(client.unsubscribe(filter(number)), kSuccess);
  broker.pass(kMoment);
  EXPECT_EQ(client.subscribe("$share/" + long_text() + "/short"), kGrantedQos1);
  client.disconnect();
}

TEST_F(MemoryOfTables, TopicAliases) {
  TestClient& client = broker.open();
  EXPECT_EQ(client.connect("client"), kSuccess);
  const auto define = [&](int number, const std::string& topic) {
    wire::Publish packet;
    packet.topic = topic;
    packet.topic_alias = static_cast<std::uint16_t>(number + 1);
    client.send(packet);
    return !client.closed;
  };
  EXPECT_EQ(use_up([&](int number) { return define(number, std::to_string(number) + long_text()); }), 4);
  EXPECT_EQ(client.disconnect_reason(), kQuotaExceeded);
}

TEST(Memory, LargePacketsAreNotWaitedFor) {
  FullBroker full;
  full.writer.send_bytes({"\x30\xff\xff\x7f\x00", 5});
  EXPECT_TRUE(full.writer.closed);
  EXPECT_EQ(full.writer.disconnect_reason(), kQuotaExceeded);
}

// MQTT 3.1.1 knows no refusal of a PUBLISH: its sender is not read until there is memory again.
TEST(Memory, OldPublishersAreNotReadUntilMemoryIsFree) {
  FullBroker full;
  TestClient& old = full.broker.open(ProtocolVersion::kV311);
  EXPECT_EQ(full.drain(), std::to_string(full.hoarded));
  EXPECT_EQ(old.connect("old"), kSuccess);
  full.broker.open().connect("hoarder", false, 3600);
  TestClient& hoarder = full.broker.open();
  EXPECT_EQ(hoarder.connect("hoarder", false, 3600), kSuccess);
  hoarder.disconnect();
  while (full.writer.publish("hoard", body()) == kSuccess) full.broker.pass(kMoment);
  EXPECT_EQ(old.publish("other", "x"), kSuccess) << "takes no memory";
  EXPECT_EQ(old.publish("hoard", "waits"), std::nullopt);
  EXPECT_TRUE(old.is_paused);
  EXPECT_FALSE(old.closed);
  EXPECT_THAT(full.broker.log(), HasSubstr("publisher is not read"));
  TestClient& back = full.broker.open();
  EXPECT_EQ(back.connect("hoarder", false, 3600), kSuccess);
  std::string last;
  while (back.messages_waiting() > 0) {
    const ReceivedMessage message = back.message();
    last = message.payload;
    back.acknowledge(message);
    full.broker.pass(kMoment);
  }
  EXPECT_EQ(last, "waits");
  EXPECT_TRUE(old.take(wire::PacketType::kPuback).has_value());
  EXPECT_FALSE(old.is_paused);
}

TEST(Memory, AnOldPublisherThatWaitsTooLongIsEnded) {
  FullBroker full;
  TestClient& old = full.broker.open(ProtocolVersion::kV311);
  full.drain();
  wire::Connect packet;
  packet.client_id = "old";
  packet.keep_alive_s = 2;
  EXPECT_EQ(old.connect(packet), kSuccess);
  while (full.writer.publish("hoard", body()) == kSuccess) {
    // The hoarder came back above and acknowledges nothing any more.
    full.broker.pass(kMoment);
  }
  EXPECT_EQ(old.publish("hoard", "waits"), std::nullopt);
  full.broker.pass(10'000);
  EXPECT_FALSE(old.closed) << "its keep alive cannot be told while it is not read";
  full.broker.pass(full.broker.shared().settings.write_timeout_ms);
  EXPECT_TRUE(old.closed);
  EXPECT_THAT(full.broker.log(), HasSubstr("nothing was taken from this publisher"));
}

// Others are served between the ends of thousands.
TEST(Memory, OldPublishersThatWaitTooLongAreEndedAFewAtATime) {
  constexpr std::size_t kMany = 100;
  FullBroker full;
  std::vector<TestClient*> waiting;
  full.drain();
  for (std::size_t i = 0; i < kMany; ++i) {
    waiting.push_back(&full.broker.open(ProtocolVersion::kV311));
    EXPECT_EQ(waiting.back()->connect(std::to_string(i)), kSuccess);
  }
  while (full.writer.publish("hoard", body()) == kSuccess) full.broker.pass(kMoment);
  for (TestClient* old : waiting) EXPECT_EQ(old->publish("hoard", "waits"), std::nullopt);
  const auto ended = [&] {
    return std::count_if(waiting.begin(), waiting.end(), [](auto* old) { return old->closed; });
  };
  while (ended() == 0) full.broker.pass(kMoment);
  EXPECT_LT(ended(), kMany);
  for (int i = 0; i < 3; ++i) full.broker.pass(kMoment);
  EXPECT_EQ(ended(), kMany);
}

TEST(Memory, APublisherThatLeavesWhileItWaitsIsForgotten) {
  FullBroker full;
  TestClient& old = full.broker.open(ProtocolVersion::kV311);
  full.drain();
  EXPECT_EQ(old.connect("old"), kSuccess);
  while (full.writer.publish("hoard", body()) == kSuccess) full.broker.pass(kMoment);
  EXPECT_EQ(old.publish("hoard", "waits"), std::nullopt);
  old.cut();
  full.broker.pass(full.broker.shared().settings.write_timeout_ms + 1000);
  EXPECT_EQ(full.broker.shared().clients.load(), 2U);
}

}  // namespace
}  // namespace petrel::broker::test
