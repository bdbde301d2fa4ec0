#include "net/tls_tickets.h"

#include <gtest/gtest.h>

namespace petrel::net {
namespace {

bool same(const TicketKeys::Key& a, const TicketKeys::Key& b) {
  return a.name == b.name && a.cipher == b.cipher && a.mac == b.mac;
}

TEST(TicketKeys, RotateByTheTimeTheyAreTold) {
  TicketKeys keys(1000);
  const TicketKeys::Key first = keys.current();
  keys.advance(50'000);
  EXPECT_EQ(keys.next_rotation(), 51'000);
  keys.advance(50'999);
  EXPECT_TRUE(same(keys.current(), first));
  keys.advance(51'000);
  const TicketKeys::Key second = keys.current();
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  EXPECT_NE(second.mac, first.mac);
  ASSERT_TRUE(keys.find(first.name.data()).has_value());
  EXPECT_FALSE(keys.find(first.name.data())->is_current);
  EXPECT_TRUE(same(keys.find(first.name.data())->key, first));
  EXPECT_TRUE(keys.find(second.name.data())->is_current);
  keys.advance(52'000);
  EXPECT_FALSE(keys.find(first.name.data()).has_value()) << "two periods old";
  EXPECT_TRUE(keys.find(second.name.data()).has_value());
}

TEST(TicketKeys, ForgetBothAfterALongSilence) {
  TicketKeys keys(1000);
  const TicketKeys::Key first = keys.current();
  keys.advance(1);
  keys.advance(10'000);
  EXPECT_FALSE(keys.find(first.name.data()).has_value());
}

}  // namespace
}  // namespace petrel::net
