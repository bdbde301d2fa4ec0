#include "net/address.h"

#include <gtest/gtest.h>

namespace petrel::net {
namespace {

TEST(Address, ReadsHostsAndPorts) {
  struct Case {
    std::string_view url, printed;
    bool loopback;
  };
  for (const Case& c :
       {Case{"tcp://127.0.0.1:1883", "127.0.0.1:1883", true}, Case{"tcp://127.9.9.9:0", "127.9.9.9:0", true},
        Case{"tcp://0.0.0.0:65535", "0.0.0.0:65535", false}, Case{"tcp://192.0.2.7:1", "192.0.2.7:1", false},
        Case{"tcp://[::1]:1883", "[::1]:1883", true}, Case{"tcp://[2001:db8::7]:8883", "[2001:db8::7]:8883", false},
        Case{"tcp://[::]:1883", "[::]:1883", false}}) {
    const auto address = parse_address(c.url);
    ASSERT_TRUE(address.has_value()) << c.url << ": " << address.error().what;
    EXPECT_EQ(address->to_string(), c.printed);
    EXPECT_EQ(address->is_loopback(), c.loopback) << c.url;
  }
}

TEST(Address, SaysWhatIsWrongAndWhatToWrite) {
  struct Case {
    std::string_view url, why;
  };
  for (const Case& c :
       {Case{"", "does not begin with tcp://"}, Case{"localhost:1883", "does not begin with tcp://"},
        Case{"tls://127.0.0.1:1", "does not begin with tcp://"}, Case{"tcp://127.0.0.1", "the port is missing"},
        Case{"tcp://[::1]", "the port is missing"}, Case{"tcp://127.0.0.1:", "not a number"},
        Case{"tcp://127.0.0.1:65536", "not a number"}, Case{"tcp://127.0.0.1:18x", "not a number"},
        Case{"tcp://127.0.0.1:-1", "not a number"}, Case{"tcp://::1:1883", "stands in brackets"},
        Case{"tcp://:1883", "the host is missing"}, Case{"tcp://[]:1883", "the host is missing"},
        Case{"tcp://256.1.1.1.1:1883", "host \"256.1.1.1.1\""}}) {
    const auto address = parse_address(c.url);
    ASSERT_FALSE(address.has_value()) << c.url;
    EXPECT_NE(address.error().what.find(c.why), std::string::npos) << address.error().what;
    EXPECT_NE(address.error().what.find("tcp://HOST:PORT"), std::string::npos) << address.error().what;
  }
}

}  // namespace
}  // namespace petrel::net
