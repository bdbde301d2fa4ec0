// How much a mail weighs in its receiver's mailbox.
#include "broker/mail.h"

#include <gtest/gtest.h>

namespace petrel::broker {
namespace {

Ref<const wire::Message> message(std::size_t payload_bytes) {
  const std::string payload(payload_bytes, 'x');
  return wire::Message::create({.topic = "t", .payload = payload});
}

std::size_t weight_of_one(RoutedMessage routed) {
  Mail mail;
  mail.push(std::move(routed));
  return mail.weight();
}

TEST(MailWeight, ASmallMessageForOneCountsAsOne) { EXPECT_EQ(weight_of_one({message(10), {}, 0, nullptr}), 1U); }

TEST(MailWeight, ALargeMessageCountsByItsBytes) {
  EXPECT_EQ(weight_of_one({message(100 * Mail::kBytesPerWeight), {}, 0, nullptr}), 101U);
}

TEST(MailWeight, AMessageForManyCountsByItsReceivers) {
  RoutedMessage routed{message(10), {}, 0, nullptr};
  routed.receivers = 100 * Mail::kReceiversPerWeight;
  EXPECT_EQ(weight_of_one(std::move(routed)), 101U);
}

TEST(MailWeight, AMessageForAMemberOfASharedSubscriptionCountsToo) {
  SharedDelivery shared;
  shared.delivery.message = message(100 * Mail::kBytesPerWeight);
  EXPECT_EQ(weight_of_one({{}, {}, 0, std::make_unique<SharedDelivery>(std::move(shared))}), 101U);
}

TEST(MailWeight, AQuestionCountsAsOne) {
  EXPECT_EQ(weight_of_one({{}, {}, 0, std::make_unique<SharedDelivery>()}), 1U);
}

}  // namespace
}  // namespace petrel::broker
