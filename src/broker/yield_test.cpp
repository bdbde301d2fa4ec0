// A client whose bytes make much work gives way to others when the turn is long.
#include <gtest/gtest.h>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;
using Then = Shard::Received::Then;

constexpr int kMessages = 3000;

std::string many_publishes() {
  std::string bytes;
  for (int i = 0; i < kMessages; ++i) {
    const std::string payload = std::to_string(i);
    wire::Publish packet;
    packet.topic = "much";
    packet.payload = payload;
    const std::size_t at = bytes.size();
    bytes.resize(at + wire::encoded_size(wire::ProtocolVersion::kV5, packet));
    wire::encode(wire::ProtocolVersion::kV5, packet, bytes.data() + at);
  }
  return bytes;
}

class YieldTest : public testing::Test {
 protected:
  YieldTest() : publisher_(broker_.open()), subscriber_(broker_.open()) {
    EXPECT_EQ(publisher_.connect("publisher"), kSuccess);
    EXPECT_EQ(subscriber_.connect("subscriber"), kSuccess);
    EXPECT_EQ(subscriber_.subscribe("much", Qos::k0), kSuccess);
  }

  TestBroker broker_;
  TestClient& publisher_;
  TestClient& subscriber_;
};

TEST_F(YieldTest, InAShortTurnAllIsTakenAtOnce) {
  const std::string bytes = many_publishes();
  const Shard::Received received = broker_.shard().receive(publisher_, bytes);
  EXPECT_EQ(received.then, Then::kContinue);
  EXPECT_EQ(received.consumed, bytes.size());
}

TEST_F(YieldTest, InALongTurnAPartIsTakenAndNothingIsLostOrOvertaken) {
  broker_.set_turns_long(true);
  const std::string bytes = many_publishes();
  std::size_t taken = 0;
  int parts = 0;
  for (; taken < bytes.size(); ++parts) {
    const Shard::Received received = broker_.shard().receive(publisher_, std::string_view(bytes).substr(taken));
    ASSERT_GT(received.consumed, 0U);
    taken += received.consumed;
    EXPECT_EQ(received.then, taken < bytes.size() ? Then::kYield : Then::kContinue);
    broker_.run();
  }
  EXPECT_GT(parts, 10);
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(subscriber_.message().payload, std::to_string(i));
}

TEST_F(YieldTest, WhoSaysLittleNeverWaits) {
  broker_.set_turns_long(true);
  const std::string bytes = std::string(wire::kPingreq);
  EXPECT_EQ(broker_.shard().receive(publisher_, bytes).then, Then::kContinue);
}

}  // namespace
}  // namespace petrel::broker::test
