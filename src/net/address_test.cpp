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
        Case{"tcp://[::]:1883", "[::]:1883", false}, Case{"tls://127.0.0.1:8883", "127.0.0.1:8883", true},
        Case{"ws://[::1]:80", "[::1]:80", true}, Case{"wss://192.0.2.7:443", "192.0.2.7:443", false},
        Case{"http://127.0.0.1:8080", "127.0.0.1:8080", true}, Case{"https://[::]:443", "[::]:443", false},
        Case{"unix:///run/petrel.sock", "/run/petrel.sock", true}}) {
    const auto endpoint = parse_endpoint(c.url);
    ASSERT_TRUE(endpoint.has_value()) << c.url << ": " << endpoint.error().what;
    EXPECT_EQ(endpoint->address.to_string(), c.printed);
    EXPECT_EQ(endpoint->address.is_loopback(), c.loopback) << c.url;
    EXPECT_EQ(endpoint->to_string(), c.url);
  }
}

TEST(Address, SaysWhatIsWrongAndWhatToWrite) {
  struct Case {
    std::string_view url, why;
  };
  for (const Case& c :
       {Case{"", "does not begin with tcp://"}, Case{"localhost:1883", "does not begin with tcp://"},
        Case{"mqtt://127.0.0.1:1", "as mqtt:// is called here"}, Case{"mqtts://127.0.0.1:1", "begin with tls://"},
        Case{"tcp://127.0.0.1", "the port is missing"}, Case{"tcp://[::1]", "the port is missing"},
        Case{"tcp://127.0.0.1:", "not a number"}, Case{"tcp://127.0.0.1:65536", "not a number"},
        Case{"tcp://127.0.0.1:18x", "not a number"}, Case{"tcp://127.0.0.1:-1", "not a number"},
        Case{"tcp://::1:1883", "stands in brackets"}, Case{"tcp://:1883", "the host is missing"},
        Case{"tcp://[]:1883", "the host is missing"}, Case{"tcp://256.1.1.1.1:1883", "host \"256.1.1.1.1\""},
        Case{"ws://127.0.0.1:80/mqtt", "a path does not belong"},
        Case{"unix://petrel.sock", "does not begin with a slash"}, Case{"unix:///", "ends with one"}}) {
    const auto address = parse_endpoint(c.url);
    ASSERT_FALSE(address.has_value()) << c.url;
    EXPECT_NE(address.error().what.find(c.why), std::string::npos) << address.error().what;
    EXPECT_NE(address.error().what.find("tcp://HOST:PORT"), std::string::npos) << address.error().what;
  }
}

TEST(Endpoint, KnowsWhatItsClientsSpeak) {
  EXPECT_TRUE(parse_endpoint("wss://127.0.0.1:1")->is_tls());
  EXPECT_TRUE(parse_endpoint("wss://127.0.0.1:1")->is_websocket());
  EXPECT_TRUE(parse_endpoint("https://127.0.0.1:1")->is_http());
  EXPECT_FALSE(parse_endpoint("tcp://127.0.0.1:1")->is_tls());
  EXPECT_EQ(parse_endpoint("unix:///a/b")->address.path(), "/a/b");
}

TEST(Endpoint, PathsOfUnixSocketsHaveAnEnd) {
  EXPECT_TRUE(parse_endpoint("unix:///" + std::string(100, 'p')).has_value());
  const auto longer = parse_endpoint("unix:///" + std::string(200, 'p'));
  ASSERT_FALSE(longer.has_value());
  EXPECT_NE(longer.error().what.find("longer than the system allows"), std::string::npos);
}

}  // namespace
}  // namespace petrel::net
