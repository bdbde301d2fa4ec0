#include "net/address_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace petrel::net {
namespace {

bool holds(const std::vector<std::string>& ranges, const char* address) {
  const auto parsed = AddressRanges::parse(ranges);
  EXPECT_TRUE(parsed.has_value());
  return parsed->contains(*Address::parse_ip(address, 1883));
}

TEST(AddressRanges, HoldWhatTheirPrefixSays) {
  EXPECT_TRUE(holds({"10.0.0.0/8"}, "10.255.3.4"));
  EXPECT_FALSE(holds({"10.0.0.0/8"}, "11.0.0.0"));
  EXPECT_TRUE(holds({"192.0.2.7"}, "192.0.2.7"));
  EXPECT_FALSE(holds({"192.0.2.7"}, "192.0.2.6"));
  EXPECT_TRUE(holds({"172.16.0.0/12"}, "172.31.255.255"));
  EXPECT_FALSE(holds({"172.16.0.0/12"}, "172.32.0.0"));
  EXPECT_TRUE(holds({"0.0.0.0/0"}, "203.0.113.9"));
  EXPECT_FALSE(holds({"0.0.0.0/0"}, "2001:db8::1"));
  EXPECT_TRUE(holds({"192.0.2.7", "2001:db8::/33"}, "2001:db8:7fff::1"));
  EXPECT_FALSE(holds({"192.0.2.7", "2001:db8::/33"}, "2001:db8:8000::1"));
  EXPECT_FALSE(holds({}, "192.0.2.7"));
}

TEST(AddressRanges, KnowIPv4InIPv6) {
  EXPECT_TRUE(holds({"10.0.0.0/8"}, "::ffff:10.1.2.3"));
  EXPECT_TRUE(holds({"::ffff:10.0.0.0/104"}, "10.1.2.3"));
  EXPECT_FALSE(holds({"::ffff:10.0.0.0/104"}, "11.1.2.3"));
  EXPECT_FALSE(AddressRanges::parse({"::ffff:10.0.0.0/8"}).has_value());
}

TEST(AddressRanges, KnowUnixSockets) {
  EXPECT_TRUE(AddressRanges::parse({"unix"})->contains(Address::of_unix("/run/s")));
  EXPECT_FALSE(AddressRanges::parse({"0.0.0.0/0"})->contains(Address::of_unix("/run/s")));
  EXPECT_FALSE(holds({"unix"}, "127.0.0.1"));
  EXPECT_FALSE(AddressRanges::parse({"unix"})->empty());
}

TEST(AddressRanges, RefuseWhatIsNone) {
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0", "2001:db8::/129",
                           "localhost", "10.0.0.0/8 ", "[::1]", "127.0.0.1:80"}) {
    const auto parsed = AddressRanges::parse({text});
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_THAT(parsed.error().what, testing::HasSubstr("write for example"));
  }
}

}  // namespace
}  // namespace petrel::net
