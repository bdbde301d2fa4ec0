#include "wire/message.h"

#include <gtest/gtest.h>

#include <string>

namespace petrel::wire {
namespace {

TEST(Message, HoldsCopiesOfItsParts) {
  std::string topic = "a/b", payload = "payload", properties = "\x01\x01";
  Message::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.forwarded_properties = properties;
  parts.qos = Qos::k2;
  parts.retain = true;
  parts.expires_at = 5000;
  parts.publisher = 77;
  const Ref<const Message> message = Message::create(parts);
  topic = payload = properties = "overwritten";
  EXPECT_EQ(message->topic(), "a/b");
  EXPECT_EQ(message->payload(), "payload");
  EXPECT_EQ(message->forwarded_properties(), "\x01\x01");
  EXPECT_EQ(message->qos(), Qos::k2);
  EXPECT_TRUE(message->retain());
  EXPECT_EQ(message->expires_at(), 5000);
  EXPECT_EQ(message->publisher(), 77U);
  EXPECT_EQ(message->block_bytes(), sizeof(Message) + 3 + 7 + 2);
}

TEST(Message, LargestTopicAndEmptyParts) {
  Message::Parts parts;
  const std::string topic(65'535, 't');
  parts.topic = topic;
  EXPECT_EQ(Message::create(parts)->topic(), topic);
  parts.topic = "t";
  const auto message = Message::create(parts);
  EXPECT_EQ(message->payload(), "");
  EXPECT_EQ(message->forwarded_properties(), "");
}

TEST(Message, RemainingExpiry_MQTT_3_3_2_6) {
  Message::Parts parts;
  parts.topic = "t";
  parts.expires_at = 10'000;
  const auto message = Message::create(parts);
  EXPECT_EQ(message->remaining_expiry_s(0), 10U);
  EXPECT_EQ(message->remaining_expiry_s(1), 10U);
  EXPECT_EQ(message->remaining_expiry_s(1000), 9U);
  EXPECT_EQ(message->remaining_expiry_s(9999), 1U);
  EXPECT_FALSE(message->expired(9999));
  EXPECT_TRUE(message->expired(10'000));
  EXPECT_EQ(message->remaining_expiry_s(10'000), 0U);
  parts.expires_at = kNever;
  EXPECT_FALSE(Message::create(parts)->expired(kNever - 1));
}

TEST(Message, OutlivesItsCreatorWhileReferred) {
  Message::Parts parts;
  parts.topic = "t";
  Ref<const Message> second;
  {
    const auto first = Message::create(parts);
    second = first;
  }
  EXPECT_EQ(second->topic(), "t");
}

}  // namespace
}  // namespace petrel::wire
