#include "net/tcp_settings.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

#include "net/listener.h"
#include "net/test_support.h"

namespace petrel::net {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}
int tcp_option(int fd, int name) { return option(fd, IPPROTO_TCP, name); }

std::string congestion_control_of(int fd) {
  std::array<char, 16> name{};
  socklen_t size = name.size();
  EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
  return name.data();
}

// What has been accepted from a listening socket that was told `settings`, and its client.
struct Accepted {
  explicit Accepted(const TcpSettings& settings) {
    const auto listening = listen_on(*parse_endpoint("tcp://127.0.0.1:0"), Claim::kFirst, settings);
    EXPECT_TRUE(listening.has_value());
    if (!listening.has_value()) return;
    const Descriptor listener(*listening);
    client = connect_to(local_address(*listening));
    // The listening socket does not block, and a connect on loopback is over when it returns.
    connection = Descriptor(accept4(*listening, nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_GE(connection.get(), 0);
  }
  int fd() const { return connection.get(); }
  Descriptor client, connection;
};

// [MQTT-3.1.2-24]
TEST(TcpSettings, ALinkIsDeadAfterOneAndAHalfKeepAlivesWithinBounds) {
  const TcpSettings usual;
  EXPECT_EQ(user_timeout_ms(usual, 60), 90'000U);
  EXPECT_EQ(user_timeout_ms(usual, 5), 30'000U);
  EXPECT_EQ(user_timeout_ms(usual, 65535), 300'000U);
  EXPECT_EQ(user_timeout_ms(usual, 0), 300'000U);
  TcpSettings longer;
  longer.dead_link_max_s = 86'400;
  EXPECT_EQ(user_timeout_ms(longer, 65535), 86'400'000U);
  TcpSettings none;
  none.dead_link_max_s = 0;
  EXPECT_EQ(user_timeout_ms(none, 60), 0U);
}

TEST(TcpSettings, ConnectionsInheritWhatTheListenerWasTold) {
  const Accepted usual{TcpSettings{}};
  EXPECT_EQ(tcp_option(usual.fd(), TCP_NODELAY), 1);
  EXPECT_EQ(tcp_option(usual.fd(), TCP_USER_TIMEOUT), 90'000);
  EXPECT_EQ(tcp_option(usual.fd(), TCP_THIN_LINEAR_TIMEOUTS), 0);
  EXPECT_EQ(tcp_option(usual.fd(), TCP_KEEPIDLE), 150);
  EXPECT_EQ(tcp_option(usual.fd(), TCP_KEEPINTVL), 25);
  EXPECT_EQ(tcp_option(usual.fd(), TCP_KEEPCNT), 6);
  EXPECT_EQ(option(usual.fd(), SOL_SOCKET, SO_KEEPALIVE), 0) << "only who sends no PINGREQ is probed";

  TcpSettings settings;
  settings.max_unsent_bytes = 16'384;
  settings.fast_open_queue = 64;
  settings.quick_resend = true;
  settings.dead_link_max_s = 0;
  const Accepted told(settings);
  EXPECT_EQ(tcp_option(told.fd(), TCP_NODELAY), 1);
  EXPECT_EQ(tcp_option(told.fd(), TCP_NOTSENT_LOWAT), 16'384);
  EXPECT_EQ(tcp_option(told.fd(), TCP_THIN_LINEAR_TIMEOUTS), 1);
  EXPECT_EQ(tcp_option(told.fd(), TCP_USER_TIMEOUT), 0);
}

TEST(TcpSettings, FastOpenIsAskedForOnTheListeningSocket) {
  TcpSettings settings;
  settings.fast_open_queue = 64;
  const auto listening = listen_on(*parse_endpoint("tcp://127.0.0.1:0"), Claim::kFirst, settings);
  ASSERT_TRUE(listening.has_value());
  const Descriptor listener(*listening);
  EXPECT_EQ(tcp_option(listener.get(), TCP_FASTOPEN), 64);
}

TEST(TcpSettings, ConnectionsInheritTheCongestionControl) {
  ASSERT_FALSE(congestion_controls().empty());
  for (const std::string& name : congestion_controls()) {
    if (!congestion_control_mistake(name).empty()) continue;  // for privileged programs
    TcpSettings settings;
    settings.congestion_control = name;
    EXPECT_EQ(congestion_control_of(Accepted(settings).fd()), name);
  }
}

TEST(TcpSettings, ACongestionControlThatIsNotThereIsRefusedWithThoseThatAre) {
  TcpSettings settings;
  settings.congestion_control = "pigeon";
  const auto listening = listen_on(*parse_endpoint("tcp://127.0.0.1:0"), Claim::kFirst, settings);
  ASSERT_FALSE(listening.has_value());
  EXPECT_NE(listening.error().what.find("no congestion control \"pigeon\"; it has "), std::string::npos);
  for (const std::string& name : congestion_controls())
    EXPECT_NE(listening.error().what.find(name), std::string::npos) << listening.error().what;
  EXPECT_EQ(congestion_control_mistake("pigeon").find("the system has no"), 0U);
}

TEST(TcpSettings, TheKeepAliveDecidesWhenALinkIsDead) {
  const TcpSettings usual;
  const Accepted accepted(usual);
  adapt_to_keep_alive(accepted.fd(), usual, 20);
  EXPECT_EQ(tcp_option(accepted.fd(), TCP_USER_TIMEOUT), 30'000);
  EXPECT_EQ(option(accepted.fd(), SOL_SOCKET, SO_KEEPALIVE), 0);
  adapt_to_keep_alive(accepted.fd(), usual, 0);
  EXPECT_EQ(tcp_option(accepted.fd(), TCP_USER_TIMEOUT), 300'000);
  EXPECT_EQ(option(accepted.fd(), SOL_SOCKET, SO_KEEPALIVE), 1);
}

TEST(TcpSettings, TheUsualKeepAliveChangesNothing) {
  const TcpSettings usual;
  // An invalid descriptor: a system call would fail, and set errno.
  errno = 0;
  adapt_to_keep_alive(-1, usual, kUsualKeepAliveS);
  EXPECT_EQ(errno, 0);
  TcpSettings none;
  none.dead_link_max_s = 0;
  adapt_to_keep_alive(-1, none, 0);
  EXPECT_EQ(errno, 0);
}

}  // namespace
}  // namespace petrel::net
