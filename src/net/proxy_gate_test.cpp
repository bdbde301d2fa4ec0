#include "net/proxy_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "net/proxy_test_support.h"
#include "net/test_support.h"
#include "net/told_transport.h"

namespace petrel::net {
namespace {

using testing::HasSubstr;

constexpr TimeMs kTimeoutMs = 5000;

// A gate for the peers of Unix sockets, which a pair of sockets is.
struct Gate {
  explicit Gate(const char* range = "unix") : ranges(*AddressRanges::parse({range})) {}

  void take(TimeMs now = 1) {
    int both[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), 0);
    client = Descriptor(both[0]);
    gate.take(both[1], now);
  }
  void send(const std::string& bytes) const {
    ASSERT_EQ(::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void run_until(const std::function<bool()>& done) { const TurnsUntil turns(loop, done); }
  // What is left to read for whoever has got the descriptor.
  std::string rest() const {
    char room[100];
    const ssize_t n = recv(passed.get(), room, sizeof room, 0);
    return {room, n < 0 ? 0 : static_cast<std::size_t>(n)};
  }

  EventLoop loop;
  AddressRanges ranges;
  Descriptor client, passed;
  ProxyHeader header;
  TimeMs since = 0;
  std::vector<std::string> refusals;
  ProxyGate gate{loop, ranges, kTimeoutMs,
                 [this](int fd, const ProxyHeader& h, TimeMs s) {
                   passed = Descriptor(fd);
                   header = h;
                   since = s;
                 },
                 [this](int, std::string_view why) { refusals.emplace_back(why); }};
};

TEST(ProxyGate, PassesAHeaderThatIsThereAtOnce) {
  Gate gate;
  int both[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), 0);
  gate.client = Descriptor(both[0]);
  gate.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\nMQTT");
  gate.gate.take(both[1], 77);
  ASSERT_GE(gate.passed.get(), 0);
  EXPECT_EQ(gate.header.source.to_string(), "192.0.2.7:4711");
  EXPECT_EQ(gate.since, 77);
  EXPECT_EQ(gate.rest(), "MQTT") << "what follows is untouched";
  EXPECT_EQ(gate.gate.next_deadline(), kNever);
}

TEST(ProxyGate, GathersAHeaderByteForByte) {
  Gate gate;
  gate.take();
  const std::string header =
      proxy_v2(0x21, 0x21, proxy_ip6("2001:db8::7", 4711) + proxy_tlv(0x20, proxy_ssl(3, 0, proxy_tlv(0x22, "dev"))));
  std::size_t sent = 0;
  gate.run_until([&] {
    if (sent == header.size()) return gate.passed.get() >= 0;
    EXPECT_LT(gate.passed.get(), 0);
    gate.send(header.substr(sent++, 1));
    if (sent == header.size()) gate.send("more");
    return false;
  });
  EXPECT_EQ(gate.header.source.to_string(), "[2001:db8::7]:4711");
  EXPECT_EQ(gate.header.common_name, "dev");
  EXPECT_EQ(gate.rest(), "more");
}

TEST(ProxyGate, ClosesWhatIsWrongAndSaysWhy) {
  Gate gate;
  gate.take();
  gate.send("GET / HTTP/1.1\r\n");
  gate.run_until([&] { return !gate.refusals.empty(); });
  EXPECT_EQ(gate.refusals.front(), "PROXY header: the connection does not begin with one");
  EXPECT_EQ(gate.gate.waiting(), 0U);
  char byte = 0;
  EXPECT_LE(recv(gate.client.get(), &byte, 1, 0), 0);
}

TEST(ProxyGate, ListensToTrustedPeersOnly) {
  Gate gate("10.0.0.0/8");
  gate.take();
  ASSERT_EQ(gate.refusals.size(), 1U);
  EXPECT_THAT(gate.refusals.front(), HasSubstr("trusted"));
}

TEST(ProxyGate, WaitsNoLongerThanItMay) {
  Gate gate;
  gate.take(100);
  gate.send("PROXY ");
  int turns = 0;
  gate.run_until([&] { return ++turns > 1; });
  EXPECT_EQ(gate.gate.next_deadline(), 100 + kTimeoutMs);
  gate.gate.advance(100 + kTimeoutMs - 1);
  EXPECT_TRUE(gate.refusals.empty());
  gate.gate.advance(100 + kTimeoutMs);
  ASSERT_EQ(gate.refusals.size(), 1U);
  EXPECT_THAT(gate.refusals.front(), HasSubstr("connect_timeout_s"));
}

TEST(ProxyGate, IsSilentAboutThoseThatOnlyLook) {
  Gate gate;
  gate.take();
  gate.client = Descriptor();
  gate.run_until([&] { return gate.gate.waiting() == 0; });
  EXPECT_TRUE(gate.refusals.empty());
  Gate other;
  other.take();
  other.send("PROXY");
  other.client = Descriptor();
  other.run_until([&] { return other.gate.waiting() == 0; });
  ASSERT_EQ(other.refusals.size(), 1U);
  EXPECT_THAT(other.refusals.front(), HasSubstr("before it was complete"));
}

ProxyHeader told(const Address& source) {
  ProxyHeader header;
  header.source = source;
  return header;
}

TEST(ToldTransport, NamesWhomTheProxyNames) {
  const auto name = [](const ProxyHeader* header) {
    int both[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
    const Descriptor other(both[0]);
    return ToldTransport<TcpTransport>(header, both[1]).peer_name();
  };
  const ProxyHeader nothing;
  EXPECT_THAT(name(nullptr), HasSubstr("unix user"));
  EXPECT_THAT(name(&nothing), HasSubstr("unix user"));
  const ProxyHeader ip4 = told(*Address::parse_ip("192.0.2.7", 4711));
  const ProxyHeader ip6 = told(*Address::parse_ip("2001:db8::7", 4711));
  const ProxyHeader without_port = told(*Address::parse_ip("2001:db8::7"));
  const ProxyHeader local = told(Address::of_unix("/run/app"));
  EXPECT_EQ(name(&ip4), "192.0.2.7:4711");
  EXPECT_EQ(name(&ip6), "[2001:db8::7]:4711");
  EXPECT_EQ(name(&without_port), "2001:db8::7");
  EXPECT_EQ(name(&local), "unix /run/app");
}

TEST(ToldTransport, HasTheNameThatTheProxyHasVerified) {
  int both[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  const Descriptor other(both[0]);
  ProxyHeader header;
  header.common_name = "device 7";
  header.tls_version = "TLSv1.3";
  const ToldTransport<TcpTransport> transport(&header, both[1]);
  EXPECT_EQ(transport.identity().name(IdentityFrom::kCommonName), "device 7");
  EXPECT_EQ(transport.identity().name(IdentityFrom::kSubject), "");
  EXPECT_EQ(transport.identity().protocol, "TLSv1.3");
}

}  // namespace
}  // namespace petrel::net
