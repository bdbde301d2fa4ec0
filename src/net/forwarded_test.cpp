#include "net/forwarded.h"

#include <gtest/gtest.h>

#include <vector>

namespace petrel::net {
namespace {

const AddressRanges& proxies() {
  static const AddressRanges kProxies = *AddressRanges::parse({"10.0.0.0/8", "2001:db8::/32"});
  return kProxies;
}

std::string client(const char* peer, const std::vector<std::string_view>& values,
                   ForwardedHeader header = ForwardedHeader::kXForwardedFor) {
  return forwarded_client(*Address::parse_ip(peer), header, values, proxies()).peer_text();
}

TEST(XForwardedFor, IsReadFromItsEnd) {
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9"}), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9, 10.0.0.2"}), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {"198.51.100.66, 203.0.113.9"}), "203.0.113.9") << "what stands before may be made up";
  EXPECT_EQ(client("10.0.0.1", {"198.51.100.66", " 203.0.113.9 ,10.3.3.3"}), "203.0.113.9") << "two headers";
  EXPECT_EQ(client("10.0.0.1", {"10.0.0.3, 10.0.0.2"}), "10.0.0.3") << "all are proxies";
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9,,"}), "203.0.113.9");
}

TEST(XForwardedFor, IsForProxiesAlone) {
  EXPECT_EQ(client("203.0.113.9", {"198.51.100.66"}), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {""}), "10.0.0.1");
}

TEST(XForwardedFor, EndsWhereItCannotBeRead) {
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9, unknown"}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9, evil, 10.0.0.2"}), "10.0.0.2");
  EXPECT_EQ(client("10.0.0.1", {"\"", "203.0.113.9"}), "203.0.113.9") << "an open quotation mark hides nothing";
  EXPECT_EQ(client("10.0.0.1", {"\", 203.0.113.9"}), "203.0.113.9");
}

TEST(XForwardedFor, MayHavePorts) {
  EXPECT_EQ(client("10.0.0.1", {"203.0.113.9:4711"}), "203.0.113.9:4711");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db9::7]:4711"}), "[2001:db9::7]:4711");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db9::7]"}), "2001:db9::7");
  EXPECT_EQ(client("10.0.0.1", {"2001:db9::7"}), "2001:db9::7");
  EXPECT_EQ(client("10.0.0.1", {"[203.0.113.9]"}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db9::7"}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db9::7]x"}), "10.0.0.1");
}

TEST(Forwarded, HasItsClientInFor) {
  constexpr auto kForwarded = ForwardedHeader::kForwarded;
  EXPECT_EQ(client("10.0.0.1", {"for=203.0.113.9;proto=https;by=10.0.0.1"}, kForwarded), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {"proto=https; For=\"[2001:db9::7]:4711\""}, kForwarded), "[2001:db9::7]:4711");
  EXPECT_EQ(client("10.0.0.1", {"for=198.51.100.66, for=203.0.113.9", "for=10.0.0.9"}, kForwarded), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {"for=203.0.113.9:_hidden"}, kForwarded), "203.0.113.9");
  EXPECT_EQ(client("10.0.0.1", {"for=_hidden"}, kForwarded), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"for=203.0.113.9, proto=http"}, kForwarded), "10.0.0.1") << "the last tells nobody";
  EXPECT_EQ(client("10.0.0.1", {"x=\"a, for=203.0.113.9"}, kForwarded), "203.0.113.9");
}

}  // namespace
}  // namespace petrel::net
