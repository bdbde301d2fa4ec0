// WebSocket over TLS: what one layer holds back, the other must tell.
#include <gtest/gtest.h>

#include <array>

#include "net/tls_test_support.h"
#include "net/websocket_test_support.h"
#include "net/websocket_transport.h"

namespace petrel::net {
namespace {

class WebSocketOverTlsTest : public testing::Test {
 protected:
  WebSocketOverTlsTest() {
    const Identity server({"broker", "", nullptr});
    settings_.certificates = {
        {folder_.write("c.pem", server.certificate_pem()), folder_.write("c.key", server.key_pem()), ""}};
    settings_.alpn = {"http/1.1"};
    auto context = TlsContext::create(settings_);
    EXPECT_TRUE(context.has_value()) << context.error().what;
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    far_ = Descriptor(ends[1]);
    transport_ = std::make_unique<WebSocketTransport>(std::make_unique<TlsTransport>(ends[0], *context), websocket_);
  }
  // As a server drives it: reads until there is nothing to be had, and writes what waits.
  IoResult move(std::size_t room_bytes = 4096) {
    client_.advance();
    const std::string out = client_.outgoing();
    EXPECT_EQ(send(far_.get(), out.data(), out.size(), MSG_NOSIGNAL), static_cast<ssize_t>(out.size()));
    IoResult result;
    do {
      std::string room(room_bytes, '.');
      const iovec piece{room.data(), room.size()};
      result = transport_->read_some({&piece, 1});
      received_.append(room, 0, result.bytes);
    } while (result.status == IoStatus::kOk || (result.status == IoStatus::kWouldBlock && transport_->has_buffered()));
    take();
    while (transport_->wants_write()) {
      if (transport_->write_pending().status == IoStatus::kError) break;
      take();
    }
    return result;
  }
  void take() {
    std::array<char, 20'000> in;
    for (ssize_t n = 0; (n = recv(far_.get(), in.data(), in.size(), 0)) > 0;)
      client_.incoming({in.data(), static_cast<std::size_t>(n)});
    client_.advance();
  }
  void open() {
    move();
    move();
    client_.write(kRequest);
    move();
    ASSERT_TRUE(transport_->established());
    ASSERT_TRUE(client_.received.starts_with("HTTP/1.1 101 ")) << client_.received;
    client_.received.clear();
  }

  Folder folder_;
  TlsSettings settings_;
  WebSocketSettings websocket_;
  TlsClient client_{{}};
  Descriptor far_;
  std::unique_ptr<Transport> transport_;
  std::string received_;
};

TEST_F(WebSocketOverTlsTest, CarriesBytesBothWays) {
  open();
  const std::string much(30'000, 'm');
  client_.write(client_frame("hello ") + client_frame(much));
  move(100);
  EXPECT_EQ(received_, "hello " + much);
  std::string first = "wel", second(50'000, 'c');
  const iovec pieces[] = {{first.data(), first.size()}, {second.data(), second.size()}};
  std::size_t sent = transport_->write_some(pieces).bytes;
  move();
  EXPECT_EQ(sent, first.size() + second.size());
  EXPECT_EQ(client_.received, server_frame(first + second));
  EXPECT_EQ(transport_->identity().subprotocol, "mqtt");
  EXPECT_EQ(transport_->identity().protocol, "TLSv1.3");
}

TEST_F(WebSocketOverTlsTest, EndsBothLayersInOrder) {
  open();
  transport_->end_writing();
  move();
  EXPECT_EQ(client_.received, close_frame(CloseCode::kNormal, ""));
  EXPECT_TRUE(client_.ended) << "close_notify follows the Close frame";
}

TEST_F(WebSocketOverTlsTest, TellsWhichLayerFailed) {
  open();
  client_.write("\x81\x80" + std::string(4, '\0'));
  const IoResult result = move();
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(transport_->failure(result), "WebSocket: a text frame");
  EXPECT_EQ(client_.received, close_frame(CloseCode::kUnsupportedData, "a text frame"));
}

TEST_F(WebSocketOverTlsTest, RefusesPlainHttp) {
  const std::string request = "GET /mqtt HTTP/1.1\r\n\r\n";
  ASSERT_EQ(send(far_.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  char room[100];
  const iovec piece{room, sizeof room};
  const IoResult result = transport_->read_some({&piece, 1});
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(transport_->failure(result), "TLS handshake: the client speaks HTTP without TLS");
}

}  // namespace
}  // namespace petrel::net
