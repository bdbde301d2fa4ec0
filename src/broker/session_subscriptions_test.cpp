// The subscriptions of a session with few and with very many of them.
#include "broker/session_subscriptions.h"

#include <gtest/gtest.h>

#include <string>

namespace petrel::broker {
namespace {

TEST(SessionSubscriptions, AreFoundAndRemovedInAnyOrder) {
  topics::SubscriptionIndex index;
  std::vector<topics::SubscriptionIndex::Node*> nodes;
  SessionSubscriptions subscriptions;
  for (int i = 0; i < 5000; ++i) {
    nodes.push_back(index.subscribe(std::to_string(i), topics::make_subscriber_id(0, 0, 1), {}).node);
    subscriptions.add({nodes.back(), {}});
  }
  ASSERT_EQ(subscriptions.size(), 5000U);
  for (int i = 4999; i >= 0; i = i > 2500 ? i - 1 : i - 2) {
    const auto at = static_cast<std::size_t>(i);
    SessionSubscription* found = subscriptions.find(nodes[at]);
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(found->node, nodes[at]);
    subscriptions.remove(found);
    ASSERT_FALSE(subscriptions.contains(nodes[at]));
  }
  ASSERT_EQ(subscriptions.size(), 1250U);
  for (const SessionSubscription& left : subscriptions) EXPECT_TRUE(subscriptions.contains(left.node));
  EXPECT_EQ(subscriptions.take_all().size(), 1250U);
  EXPECT_EQ(subscriptions.size(), 0U);
  EXPECT_EQ(subscriptions.find(nodes[1]), nullptr);
}

}  // namespace
}  // namespace petrel::broker
