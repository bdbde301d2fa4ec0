#include "net/tls_transport.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <thread>

#include "net/tls_fixture.h"

namespace petrel::net {
namespace {

using namespace std::string_literals;

class TlsTransportTest : public TlsFixture {};

INSTANTIATE_TEST_SUITE_P(Versions, TlsTransportTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), tls_version_name);

TEST_P(TlsTransportTest, CarriesBytesBothWays) {
  options_.server_name = "broker.example";
  TlsLink link(context(), options_);
  EXPECT_FALSE(link.server->established());
  EXPECT_EQ(link.write("early").status, IoStatus::kWouldBlock);
  ASSERT_TRUE(link.shake_hands()) << link.why() << link.client.failure;
  link.client.write("hello");
  link.to_server();
  EXPECT_EQ(link.received, "hello");
  std::string first = "wel", second(40'000, 'c'), third = "ome";
  const iovec pieces[] = {{first.data(), 3}, {first.data(), 0}, {second.data(), second.size()}, {third.data(), 3}};
  EXPECT_EQ(link.server->write_some(pieces).bytes, 40'006U);
  link.to_client();
  EXPECT_EQ(link.client.received, first + second + third);
  const PeerIdentity peer = link.server->identity();
  EXPECT_EQ(peer.protocol, is_13() ? "TLSv1.3" : "TLSv1.2");
  EXPECT_NE(peer.cipher.find(is_13() ? "TLS_" : "ECDHE-ECDSA-"), std::string::npos) << peer.cipher;
  EXPECT_EQ(peer.server_name, "broker.example");
  EXPECT_FALSE(peer.has_certificate());
  EXPECT_EQ(peer.name(IdentityFrom::kCommonName), "");
}

TEST_P(TlsTransportTest, ShakesHandsByteByByte) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands(1)) << link.why() << link.client.failure;
  link.client.write("hello");
  link.to_server(1);
  EXPECT_EQ(link.received, "hello");
}

// The socket takes little at a time: what is sealed goes first, and nothing is lost or sent twice.
TEST_P(TlsTransportTest, MovesMuchThroughSmallSockets) {
  TlsLink link(context(), options_);
  const int small = 4096;
  setsockopt(link.server->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  ASSERT_TRUE(link.shake_hands()) << link.why();
  std::string sent;
  for (int i = 0; sent.size() < 3'000'000; ++i) sent += std::to_string(i) + ",";
  std::size_t at = 0, blocked = 0;
  while (link.client.received.size() < sent.size()) {
    iovec pieces[3];
    std::size_t offered = 0, count = 0;
    for (const std::size_t size : {100UL, 70'000UL, 300UL}) {
      const std::size_t here = std::min(size, sent.size() - at - offered);
      pieces[count++] = {sent.data() + at + offered, here};
      offered += here;
    }
    if (offered != 0) {
      const IoResult written = link.server->write_some(pieces);
      ASSERT_NE(written.status, IoStatus::kError);
      blocked += written.bytes < offered ? 1 : 0;
      at += written.bytes;
    } else {
      ASSERT_NE(link.server->write_pending().status, IoStatus::kError);
    }
    link.to_client();
  }
  EXPECT_EQ(link.client.received, sent);
  EXPECT_GT(blocked, 0U);
  EXPECT_FALSE(link.server->wants_write());
}

// What fitted no room stays within OpenSSL, where epoll sees nothing of it.
TEST_P(TlsTransportTest, TellsOfInputThatTheSocketDoesNotShow) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  std::string sent(50'000, 'x');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 23);
  link.client.write(sent);
  const std::string bytes = link.client.outgoing();
  ASSERT_EQ(send(link.far.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  std::string got;
  do {
    char first[11], second[100];
    const iovec room[] = {{first, sizeof first}, {second, sizeof second}};
    const IoResult result = link.server->read_some(room);
    if (result.status != IoStatus::kOk) break;
    got.append(first, std::min(result.bytes, sizeof first));
    if (result.bytes > sizeof first) got.append(second, result.bytes - sizeof first);
  } while (link.server->has_buffered() || got.size() < sent.size());
  EXPECT_EQ(got, sent);
  EXPECT_FALSE(link.server->has_buffered());
}

TEST_P(TlsTransportTest, EndsInOrder) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  EXPECT_EQ(link.write("last words").bytes, 10U);
  link.server->end_writing();
  link.to_client();
  EXPECT_EQ(link.client.received, "last words");
  EXPECT_TRUE(link.client.ended) << "close_notify";
  EXPECT_EQ(link.write("too late").status, IoStatus::kError);
  link.client.write("goodbye");
  SSL_shutdown(link.client.ssl());
  const std::string bytes = link.client.outgoing();
  ASSERT_EQ(send(link.far.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  char room[100];
  const iovec piece{room, sizeof room};
  EXPECT_EQ(link.server->read_some({&piece, 1}).bytes, 7U) << "reading goes on";
  EXPECT_TRUE(link.server->has_buffered()) << "the end has come with it";
  EXPECT_EQ(link.server->read_some({&piece, 1}).status, IoStatus::kEnd);
}

TEST_P(TlsTransportTest, EndsWhenItIsAllSent) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  const std::string much(1 << 20, 'm');
  const std::size_t taken = link.write(much).bytes;
  EXPECT_LT(taken, much.size());
  EXPECT_TRUE(link.server->wants_write());
  link.server->end_writing();
  while (link.server->wants_write()) {
    link.to_client();
    ASSERT_NE(link.server->write_pending().status, IoStatus::kError);
  }
  link.to_client();
  EXPECT_EQ(link.client.received.size(), taken);
  EXPECT_TRUE(link.client.ended);
}

TEST_P(TlsTransportTest, TakesALostConnectionForItsEnd) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  link.far = Descriptor();
  EXPECT_EQ(link.read().status, IoStatus::kEnd);
  TlsLink early(context(), options_);
  early.far = Descriptor();
  EXPECT_EQ(early.read().status, IoStatus::kEnd);
}

TEST_P(TlsTransportTest, RefusesWhatIsNotTls) {
  struct Case {
    std::string bytes;
    std::string_view why;
  };
  for (const Case& c :
       {Case{"\x10\x1a\x00\x04MQTT\x04\x02\x00\x3c\x00\x0egarbage-client"s, "does not speak TLS"},
        Case{"GET /mqtt HTTP/1.1\r\n\r\n", "HTTP without TLS"}, Case{std::string(600, '\xff'), "does not speak TLS"},
        Case{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"s, "length"},
        Case{"\x16\x03\x01\xff\xff"s + std::string(70'000, 'x'), "length"}}) {
    TlsLink link(context(), options_);
    (void)send(link.far.get(), c.bytes.data(), c.bytes.size(), 0);
    EXPECT_EQ(link.read().status, IoStatus::kError);
    EXPECT_EQ(link.result.error, EPROTO);
    EXPECT_TRUE(link.why().starts_with("TLS handshake: ")) << link.why();
    EXPECT_NE(link.why().find(c.why), std::string::npos) << link.why();
    EXPECT_EQ(link.read().status, IoStatus::kError) << "for good";
    EXPECT_EQ(link.write("x").status, IoStatus::kError);
  }
}

TEST_P(TlsTransportTest, RefusesAChangedRecord) {
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  link.client.write("hello");
  std::string bytes = link.client.outgoing();
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  ASSERT_EQ(send(link.far.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(link.read().status, IoStatus::kError);
  EXPECT_EQ(link.received, "");
  EXPECT_TRUE(link.why().starts_with("TLS: ")) << link.why();
}

TEST_P(TlsTransportTest, GivesItsPlaceBackAfterTheHandshake) {
  PlaceLimit limit(2);
  TlsLink first(context(), options_, limit.enter());
  {
    TlsLink second(context(), options_, limit.enter());
    EXPECT_FALSE(limit.enter()) << "both are taken";
    EXPECT_EQ(limit.taken(), 2U);
  }
  EXPECT_EQ(limit.taken(), 1U);
  ASSERT_TRUE(first.shake_hands());
  EXPECT_EQ(limit.taken(), 0U);
  TlsLink third(context(), options_, limit.enter());
  EXPECT_EQ(send(third.far.get(), "garbage", 7, 0), 7);
  EXPECT_EQ(third.read().status, IoStatus::kError);
  EXPECT_EQ(limit.taken(), 0U);
}

// Clients that are idle are many. (Sanitizers' allocators tell nothing, so nothing is kept there.)
TEST_P(TlsTransportTest, KeepsNoBufferOfWhatItHasSent) {
  const auto allocated = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands()) << link.why() << link.client.failure;
  std::string text(60'000, 'c');
  const iovec piece{text.data(), text.size()};
  const auto send = [&] {
    EXPECT_EQ(link.server->write_some({&piece, 1}).bytes, text.size());
    EXPECT_FALSE(link.server->wants_write());
  };
  const std::size_t before = allocated();
  send();
  EXPECT_LT(allocated(), before + 1000);
}

TEST_P(TlsTransportTest, MovesBetweenThreads) {
  TlsLink link(context(), options_);
  link.to_server();
  std::thread([&] { EXPECT_TRUE(link.shake_hands()) << link.why(); }).join();
  link.client.write("hello");
  link.to_server();
  EXPECT_EQ(link.received, "hello");
}

TEST_P(TlsTransportTest, DoesNotRenegotiate) {
  if (is_13()) options_.version = TLS1_2_VERSION;  // TLS 1.3 has no such thing
  TlsLink link(context(), options_);
  ASSERT_TRUE(link.shake_hands());
  EXPECT_EQ(SSL_renegotiate(link.client.ssl()), 1);
  link.to_server();
  link.to_client();
  EXPECT_EQ(link.client.failure, "no renegotiation");
}

// Records without payload do not keep the loop busy for as long as they come.
TEST_P(TlsTransportTest, TakesABoundedAmountACall) {
  if (!is_13()) options_.version = TLS1_3_VERSION;  // its key updates are such records
  TlsLink link(context(), options_);
  const int large = 4 << 20;
  setsockopt(link.far.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
  ASSERT_TRUE(link.shake_hands());
  std::size_t waiting = 0;
  for (std::string bytes; waiting < 2 * TlsTransport::kMaxTakenBytes; waiting += bytes.size()) {
    for (int i = 0; i < 1000; ++i) {
      SSL_key_update(link.client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
      SSL_do_handshake(link.client.ssl());
    }
    bytes = link.client.outgoing();
    if (send(link.far.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) break;
  }
  const auto left = [&] {
    std::string room(4 << 20, '.');
    return recv(link.server->fd(), room.data(), room.size(), MSG_PEEK);
  };
  const ssize_t before = left();
  ASSERT_GT(before, 0);
  EXPECT_EQ(link.read().status, IoStatus::kWouldBlock);
  const auto most = static_cast<ssize_t>(TlsTransport::kMaxTakenBytes + 20'000);
  EXPECT_GE(left(), before - most);
}

// A peer that makes the broker answer and takes no answer costs a bounded amount of memory.
TEST(TlsTransportLimits, GivesUpAPeerThatOnlyAsks) {
  Folder folder;
  const Identity authority({"CA", "", nullptr});
  TlsSettings settings;
  settings.certificates = {
      {folder.write("c.pem", authority.certificate_pem()), folder.write("c.key", authority.key_pem()), ""}};
  auto context = TlsContext::create(settings);
  ASSERT_TRUE(context.has_value()) << context.error().what;
  TlsClient::Options options;
  options.version = TLS1_3_VERSION;
  TlsLink link(*context, options);
  const int small = 4096;
  setsockopt(link.server->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  ASSERT_TRUE(link.shake_hands());
  IoResult result;
  for (int i = 0; i < 200'000 && result.status != IoStatus::kError; ++i) {
    SSL_key_update(link.client.ssl(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(link.client.ssl());
    const std::string bytes = link.client.outgoing();
    ASSERT_EQ(send(link.far.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    result = link.read();
  }
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(link.why(), "No buffer space available");
}

}  // namespace
}  // namespace petrel::net
