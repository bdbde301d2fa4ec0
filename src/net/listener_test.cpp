#include "net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "net/test_support.h"

namespace petrel::net {
namespace {

Endpoint loopback() { return *parse_endpoint("tcp://127.0.0.1:0"); }

TEST(ListenOn, JoinsOnlyThoseOfItsOwn) {
  const auto first = listen_on(loopback(), Claim::kFirst);
  ASSERT_TRUE(first.has_value()) << first.error().what;
  const Descriptor first_fd(*first);
  const Endpoint bound{Scheme::kTcp, local_address(*first)};
  EXPECT_NE(bound.address.port(), 0);
  const auto joined = listen_on(bound, Claim::kJoin);
  ASSERT_TRUE(joined.has_value()) << joined.error().what;
  const Descriptor joined_fd(*joined);
  const auto stranger = listen_on(bound, Claim::kFirst);
  ASSERT_FALSE(stranger.has_value());
  EXPECT_NE(stranger.error().what.find("is another broker running there?"), std::string::npos) << stranger.error().what;
}

TEST(ListenOn, SaysWhyNot) {
  const auto elsewhere = listen_on(*parse_endpoint("tcp://192.0.2.1:1883"), Claim::kFirst);
  ASSERT_FALSE(elsewhere.has_value());
  EXPECT_NE(elsewhere.error().what.find("this machine does not have that address"), std::string::npos);
}

TEST(ListenOn, ReplacesTheSocketOfADeadProcessOnly) {
  std::string folder = testing::TempDir() + "petrel-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/socket";
  const Endpoint endpoint = *parse_endpoint("unix://" + path);
  {
    const auto first = listen_on(endpoint, Claim::kFirst);
    ASSERT_TRUE(first.has_value()) << first.error().what;
    const Descriptor first_fd(*first);
    EXPECT_FALSE(listen_on(endpoint, Claim::kFirst).has_value()) << "somebody listens there";
    const Descriptor client = connect_to(endpoint.address);
    const Descriptor accepted(accept4(*first, nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(peer_name(accepted.get()).starts_with("unix user ")) << peer_name(accepted.get());
  }
  const auto again = listen_on(endpoint, Claim::kFirst);
  ASSERT_TRUE(again.has_value()) << again.error().what;
  const Descriptor again_fd(*again);
  unlink(path.c_str());
  std::ofstream(path) << "a file of somebody's";
  EXPECT_FALSE(listen_on(endpoint, Claim::kFirst).has_value());
  std::filesystem::remove_all(folder);
}

TEST(Listener, AcceptsAStormAtItsPace) {
  EventLoop loop;
  const auto fd = listen_on(loopback(), Claim::kFirst);
  ASSERT_TRUE(fd.has_value());
  const Address address = local_address(*fd);
  std::vector<Descriptor> accepted;
  Listener listener(
      loop, *fd, [&](int connection) { accepted.emplace_back(connection); }, [](int) { FAIL(); });
  std::vector<Descriptor> clients;
  for (int i = 0; i < 3 * Listener::kAcceptsPerTurn; ++i) clients.push_back(connect_to(address));
  std::size_t most = 0, before = 0;
  const TurnsUntil turns(loop, [&] {
    most = std::max(most, accepted.size() - before);
    before = accepted.size();
    return accepted.size() == clients.size();
  });
  EXPECT_EQ(most, static_cast<std::size_t>(Listener::kAcceptsPerTurn));
  for (const Descriptor& connection : accepted) EXPECT_NE(fcntl(connection.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(Listener, LeavesConnectionsInTheSystemsQueueWhileItIsHeld) {
  EventLoop loop;
  const auto fd = listen_on(loopback(), Claim::kFirst);
  ASSERT_TRUE(fd.has_value());
  std::vector<Descriptor> accepted;
  Listener listener(
      loop, *fd, [&](int connection) { accepted.emplace_back(connection); }, [](int) { FAIL(); });
  listener.hold(true);
  const Descriptor client = connect_to(local_address(*fd));
  int turns = 0;
  const TurnsUntil held(loop, [&] { return ++turns >= 3; });
  EXPECT_TRUE(accepted.empty());

  EventLoop second;  // a stopped loop does not run again
  Listener other(
      second, dup(*fd), [&](int connection) { accepted.emplace_back(connection); }, [](int) { FAIL(); });
  other.hold(true);
  other.hold(false);
  const TurnsUntil taken(second, [&] { return accepted.size() == 1; });
  EXPECT_EQ(accepted.size(), 1U);
}

TEST(Listener, ClosesWhatItHasNoDescriptorForAndGoesOnLater) {
  EventLoop loop;
  const auto fd = listen_on(loopback(), Claim::kFirst);
  ASSERT_TRUE(fd.has_value());
  const Address address = local_address(*fd);
  std::vector<Descriptor> accepted;
  int error = 0;
  Listener listener(
      loop, *fd, [&](int connection) { accepted.emplace_back(connection); }, [&](int e) { error = e; });
  Descriptor client = connect_to(address);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const Descriptor next(dup(0));  // the lowest free number: the limit allows nothing from there on
  const rlimit none{static_cast<rlim_t>(next.get()), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const TurnsUntil paused(loop, [&] { return error != 0; });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(error, EMFILE);
  EXPECT_TRUE(accepted.empty());
  EXPECT_NE(listener.resumes_at(), kNever);
  char byte = 0;
  EXPECT_EQ(recv(client.get(), &byte, 1, 0), 0) << "the client is told by the end of its connection";

  const Descriptor later = connect_to(address);
  EventLoop second;  // a stopped loop does not run again
  listener.resume_if_due(listener.resumes_at());
  EXPECT_EQ(listener.resumes_at(), kNever);
  listener.on_events(EPOLLIN);
  EXPECT_EQ(accepted.size(), 1U);
}

}  // namespace
}  // namespace petrel::net
