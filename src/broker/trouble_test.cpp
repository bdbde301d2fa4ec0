// While the store takes nothing: what needs it is refused, all else is served, and nothing is acknowledged too early.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::PacketType;
using wire::Qos;

const storage::StoreError kFull{"the disk is full", true};

// A client with a session that lasts, one that listens, and one that publishes, both without.
struct Trouble : testing::Test {
  Trouble() {
    EXPECT_EQ(lasting.connect("lasting", false, 3600), kSuccess);
    EXPECT_EQ(lasting.subscribe("stored"), kGrantedQos1);
    EXPECT_EQ(listener.connect("listener"), kSuccess);
    EXPECT_EQ(listener.subscribe("live"), kGrantedQos1);
    EXPECT_EQ(writer.connect("writer"), kSuccess);
    EXPECT_EQ(other.connect("other"), kSuccess);
  }
  TestBroker broker;
  TestClient &lasting = broker.open(), &listener = broker.open(), &writer = broker.open(), &other = broker.open();
};

TEST_F(Trouble, RefusesWhatNeedsTheStoreAndServesTheRest) {
  broker.set_store_trouble(kFull);
  EXPECT_EQ(writer.publish("stored", "x"), kQuotaExceeded);
  EXPECT_EQ(writer.publish("kept", "x", Qos::k1, true), kQuotaExceeded);
  EXPECT_EQ(broker.open().connect("new", false, 3600), kServerUnavailable);
  EXPECT_EQ(broker.open().connect("passing"), kSuccess);
  for (const Qos qos : {Qos::k1, Qos::k2}) EXPECT_EQ(writer.publish("live", "x", qos), kSuccess);
  EXPECT_EQ(listener.message().payload, "x");
  broker.set_store_trouble(std::nullopt);
  EXPECT_EQ(writer.publish("stored", "y"), kSuccess);
  EXPECT_EQ(lasting.message().payload, "y");
}

// What /readyz, the metrics and $SYS say.
TEST_F(Trouble, IsKnownToOperators) {
  const StoreHealth& health = broker.shared().store_health;
  EXPECT_FALSE(health.trouble().has_value());
  EXPECT_EQ(sys_totals(broker.shared()).store_writable, 1U);
  broker.set_store_trouble(kFull);
  ASSERT_TRUE(health.trouble().has_value());
  EXPECT_EQ(health.trouble()->what, kFull.what);
  EXPECT_EQ(sys_totals(broker.shared()).store_writable, 0U);
  broker.set_store_trouble(storage::StoreError{"the disk is broken"});
  EXPECT_EQ(health.trouble()->what, "the disk is broken");
  broker.set_store_trouble(std::nullopt);
  EXPECT_FALSE(health.trouble().has_value());
  EXPECT_EQ(sys_totals(broker.shared()).store_writable, 1U);
}

// One shard in trouble is enough.
TEST(StoreHealth, IsThatOfAllShards) {
  StoreHealth health(2);
  health.set(0, kFull);
  health.set(1, kFull);
  health.set(0, std::nullopt);
  EXPECT_TRUE(health.trouble().has_value());
  health.set(1, std::nullopt);
  EXPECT_FALSE(health.trouble().has_value());
}

// A change that was on its way when the trouble began does not stop those who have nothing to do with it.
TEST_F(Trouble, WhatWaitsForTheStoreHoldsUpItsOwnSessionOnly) {
  broker.set_store_trouble(kFull);
  listener.disconnect();
  lasting.disconnect();  // a change that waits
  EXPECT_EQ(writer.publish("live", "x"), kNoMatchingSubscribers);
  EXPECT_EQ(writer.publish("stored", "x"), kQuotaExceeded);
  EXPECT_EQ(broker.open().connect("passing"), kSuccess);
  broker.set_store_trouble(std::nullopt);
  EXPECT_EQ(writer.publish("stored", "y"), kSuccess);
  TestClient& back = broker.open();
  EXPECT_EQ(back.connect("lasting", false, 3600), kSuccess);
  EXPECT_EQ(back.message().payload, "y");
}

// Replies that no acknowledged change is needed for wait behind one that is. Whoever asks for ever more is not read.
TEST_F(Trouble, RepliesToOneClientThatWaitForTheStoreAreBounded) {
  broker.set_store_trouble(kFull);
  EXPECT_EQ(lasting.unsubscribe("stored"), std::nullopt);  // a change that waits
  std::string releases;
  for (int i = 0; i < 10'000; ++i) releases += std::string("\x62\x02\x7f\xff", 4);  // PUBREL that nobody waits for
  lasting.send_bytes(releases);
  EXPECT_TRUE(lasting.is_paused);
  EXPECT_LT(lasting.held_replies, 5'000U);
  EXPECT_EQ(writer.publish("live", "x"), kSuccess);
  broker.set_store_trouble(std::nullopt);
  broker.run();
  EXPECT_FALSE(lasting.is_paused);
  EXPECT_EQ(lasting.held_replies, 0U);
  int answered = 0;
  while (lasting.take(PacketType::kPubcomp)) ++answered;
  EXPECT_EQ(answered, 10'000);
}

// Also without a change that is waited for.
TEST_F(Trouble, WhoSendsMuchAtOnceIsReadOn) {
  std::string releases;
  for (int i = 0; i < 10'000; ++i) releases += std::string("\x62\x02\x7f\xff", 4);
  lasting.send_bytes(releases);
  EXPECT_FALSE(lasting.is_paused);
  int answered = 0;
  while (lasting.take(PacketType::kPubcomp)) ++answered;
  EXPECT_EQ(answered, 10'000);
}

}  // namespace
}  // namespace petrel::broker::test
