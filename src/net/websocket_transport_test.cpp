#include "net/websocket_transport.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <random>

#include "net/websocket_fixture.h"

namespace petrel::net {
namespace {

using namespace std::string_literals;

class WebSocketTransportTest : public WebSocketFixture {};

TEST_F(WebSocketTransportTest, OpensByteByByteAndTellsTheSubprotocol) {
  below_->most_read = 1;
  below_->input = kRequest;
  for (std::size_t i = 0; i < kRequest.size(); ++i) {
    EXPECT_FALSE(transport_->established());
    EXPECT_EQ(write("early").status, IoStatus::kWouldBlock);
    EXPECT_EQ(read().status, IoStatus::kWouldBlock);
  }
  EXPECT_TRUE(transport_->established());
  EXPECT_FALSE(transport_->wants_write());
  EXPECT_EQ(transport_->identity().subprotocol, "mqtt");
}

TEST_F(WebSocketTransportTest, KeepsFramesThatCameWithTheRequest) {
  below_->input = kRequest + client_frame("abcdefgh") + client_frame("ijkl");
  EXPECT_EQ(read(10).bytes, 4U) << "ten bytes hold a header of six and four of payload";
  while (transport_->has_buffered()) (void)read(10);
  EXPECT_EQ(got_, "abcdefghijkl");
  EXPECT_EQ(read().status, IoStatus::kWouldBlock);
}

TEST_F(WebSocketTransportTest, RefusesARequestAndSaysSo) {
  below_->input = "GET /else HTTP/1.1\r\nHost: b\r\n\r\n";
  const IoResult result = read();
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(result.error, EPROTO);
  EXPECT_EQ(transport_->failure(result),
            "WebSocket handshake: another path; WebSocket is at the listener's path, by default /mqtt");
  EXPECT_TRUE(below_->output.starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_TRUE(below_->ended);
}

TEST_F(WebSocketTransportTest, SendsItsAnswerAsTheSocketTakesIt) {
  below_->input = kRequest;
  below_->most_written = 7;
  EXPECT_EQ(read().status, IoStatus::kWouldBlock);
  EXPECT_TRUE(transport_->wants_write());
  EXPECT_EQ(write("packet").bytes, 0U);
  while (transport_->write_pending().status == IoStatus::kWouldBlock) {
  }
  EXPECT_FALSE(transport_->wants_write());
  EXPECT_TRUE(below_->output.ends_with("Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
}

TEST_F(WebSocketTransportTest, WritesOneFrameInOneWrite) {
  open();
  std::string first = "abc", second(200, 'd');
  const iovec pieces[] = {{first.data(), first.size()}, {second.data(), second.size()}};
  EXPECT_EQ(transport_->write_some(pieces).bytes, 203U);
  EXPECT_EQ(below_->output, server_frame(first + second));
  EXPECT_EQ(below_->writes, 1);
}

// Whatever the socket takes, what is announced is what follows, and frames are whole.
TEST_F(WebSocketTransportTest, FinishesAFrameWithTheBytesAnnounced) {
  open();
  std::mt19937 random(42);
  std::string sent, output, data;
  for (int round = 0; round < 3000; ++round) {
    if (output.size() < 2000) {
      std::string packet(1 + random() % 300, static_cast<char>('a' + round % 26));
      sent += packet;
      output += packet;
    }
    if (random() % 5 == 0) {
      below_->input += masked(control_frame(Opcode::kPing, std::string(random() % 126, 'i')));
      EXPECT_EQ(read().status, IoStatus::kWouldBlock);
    }
    below_->most_written = random() % (random() % 4 == 0 ? 1000 : 12);
    const std::vector<iovec> pieces = cut(output, 200, random);
    if (pieces.empty() || random() % 6 == 0) {
      EXPECT_NE(transport_->write_pending().status, IoStatus::kError);
      continue;
    }
    const IoResult result = transport_->write_some(pieces);
    ASSERT_NE(result.status, IoStatus::kError);
    output.erase(0, result.bytes);
  }
  below_->most_written = 1 << 20;
  while (!output.empty()) output.erase(0, write(output).bytes);
  EXPECT_EQ(transport_->write_pending().status, IoStatus::kOk);
  for (const Frame& frame : frames_of(below_->output))
    if ((frame.first_byte & 0xf) == 2) data += frame.payload;
  EXPECT_EQ(data, sent);
  EXPECT_FALSE(transport_->wants_write());
}

TEST_F(WebSocketTransportTest, ReadsFramesIntoPiecesInPlace) {
  std::mt19937 random(7);
  open();
  std::string sent, got;
  for (int i = 0; i < 400; ++i) {
    std::string payload(random() % 700, static_cast<char>('a' + i % 26));
    sent += payload;
    below_->input += client_frame(payload);
    if (i % 9 == 0) below_->input += masked(control_frame(Opcode::kPong, "unasked"));
  }
  while (!below_->input.empty()) {
    below_->most_read = 1 + random() % 2000;
    std::string first(1 + random() % 300, '.'), second(1 + random() % 300, '.');
    const iovec room[] = {{first.data(), first.size()}, {second.data(), second.size()}};
    const IoResult result = transport_->read_some(room);
    ASSERT_NE(result.status, IoStatus::kError);
    got += (first + second).substr(0, std::min(result.bytes, first.size()));
    if (result.bytes > first.size()) got += second.substr(0, result.bytes - first.size());
  }
  EXPECT_EQ(got, sent);
}

TEST_F(WebSocketTransportTest, AnswersPings) {  // RFC 6455, 5.5.2
  open();
  below_->input = masked(control_frame(Opcode::kPing, "are you there"));
  EXPECT_EQ(read().status, IoStatus::kWouldBlock);
  EXPECT_EQ(below_->output, control_frame(Opcode::kPong, "are you there"));
}

TEST_F(WebSocketTransportTest, AnswersAPingAfterTheFrameUnderWay) {  // 5.4: a frame is not cut by another
  open();
  below_->most_written = 4;
  EXPECT_EQ(write("packet").bytes, 2U);
  below_->input = masked(control_frame(Opcode::kPing, "1")) + masked(control_frame(Opcode::kPing, "2"));
  EXPECT_EQ(read().status, IoStatus::kWouldBlock);
  EXPECT_FALSE(transport_->wants_write()) << "only the rest of the packet may be written";
  below_->most_written = 1000;
  EXPECT_EQ(write("cketnext").bytes, 8U);
  EXPECT_EQ(below_->output, server_frame("packet") + control_frame(Opcode::kPong, "2") + server_frame("next"));
}

TEST_F(WebSocketTransportTest, AnswersACloseAndEnds) {  // 5.5.1, 7.1.5
  open();
  below_->input = client_frame("last") + masked(close_frame(CloseCode::kGoingAway, "bye")) + client_frame("ignored");
  EXPECT_EQ(read().bytes, 4U);
  EXPECT_TRUE(transport_->has_buffered()) << "the socket may stay silent";
  EXPECT_EQ(read().status, IoStatus::kEnd);
  EXPECT_EQ(got_, "last");
  EXPECT_EQ(below_->output, close_frame(CloseCode::kGoingAway, ""));
  EXPECT_TRUE(below_->ended);
  EXPECT_EQ(write("too late").status, IoStatus::kError);
}

TEST_F(WebSocketTransportTest, ClosesWithACodeWhenTheRulesAreBroken) {  // 7.4.1
  open();
  below_->input = client_frame("good") + masked("\x81\x04text");
  EXPECT_EQ(read().bytes, 4U);
  const IoResult result = read();
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(transport_->failure(result), "WebSocket: a text frame");
  EXPECT_EQ(below_->output, close_frame(CloseCode::kUnsupportedData, "a text frame"));
}

TEST_F(WebSocketTransportTest, ClosesInOrder) {  // 7.1.1
  open();
  transport_->end_writing();
  EXPECT_EQ(below_->output, close_frame(CloseCode::kNormal, ""));
  EXPECT_TRUE(below_->ended);
  below_->input = client_frame("on its way") + masked(close_frame(CloseCode::kNormal, ""));
  EXPECT_EQ(read().bytes, 10U);
  EXPECT_EQ(read().status, IoStatus::kEnd);
  EXPECT_EQ(below_->output, close_frame(CloseCode::kNormal, "")) << "one Close frame";
}

TEST_F(WebSocketTransportTest, ClosesWhenTheSocketTakesIt) {
  open();
  below_->most_written = 0;
  transport_->end_writing();
  EXPECT_TRUE(transport_->wants_write());
  EXPECT_FALSE(below_->ended);
  below_->most_written = 100;
  EXPECT_EQ(transport_->write_pending().status, IoStatus::kOk);
  EXPECT_EQ(below_->output, close_frame(CloseCode::kNormal, ""));
  EXPECT_TRUE(below_->ended);
}

TEST_F(WebSocketTransportTest, PassesOnEndsAndErrorsOfTheSocket) {
  open();
  below_->broken = true;
  const IoResult result = write("x");
  EXPECT_EQ(result.error, EPIPE);
  EXPECT_EQ(transport_->failure(result), "Broken pipe");
  below_->input_ended = true;
  EXPECT_EQ(read().status, IoStatus::kEnd);
}

}  // namespace
}  // namespace petrel::net
