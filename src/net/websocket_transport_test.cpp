#include "net/websocket_transport.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <random>

namespace petrel::net {
namespace {

using namespace std::string_literals;

// The transport below: takes and gives as many bytes a call as the test allows.
class Below final : public Transport {
 public:
  IoResult read_some(std::span<const iovec> into) override {
    std::size_t taken = 0;
    for (const iovec& piece : into) {
      const std::size_t size = std::min({piece.iov_len, input.size(), most_read - taken});
      input.copy(static_cast<char*>(piece.iov_base), size);
      input.erase(0, size);
      taken += size;
    }
    if (taken != 0) return {taken, IoStatus::kOk, 0};
    return {0, input_ended ? IoStatus::kEnd : IoStatus::kWouldBlock, 0};
  }
  IoResult write_some(std::span<const iovec> from) override {
    ++writes;
    if (broken) return {0, IoStatus::kError, EPIPE};
    std::size_t taken = 0;
    for (const iovec& piece : from) {
      const std::size_t size = std::min(piece.iov_len, most_written - taken);
      output.append(static_cast<const char*>(piece.iov_base), size);
      taken += size;
    }
    return {taken, taken == 0 ? IoStatus::kWouldBlock : IoStatus::kOk, 0};
  }
  void end_writing() override { ended = true; }
  int fd() const override { return 7; }

  std::string input, output;
  std::size_t most_read = 1 << 20, most_written = 1 << 20;
  int writes = 0;
  bool input_ended = false, ended = false, broken = false;
};

std::string masked(std::string frame) {
  const std::uint8_t length = byte_at(frame, 1);
  const std::size_t header = length == 127 ? 10 : length == 126 ? 4 : 2;
  frame[1] = static_cast<char>(length | 0x80);
  for (std::size_t i = header; i < frame.size(); ++i) frame[i] = static_cast<char>(frame[i] ^ "key!"[(i - header) % 4]);
  return frame.insert(header, "key!");
}

std::string server_frame(BytesView payload) {
  std::array<char, kMaxFrameHeaderBytes> header;
  const char* const end = put_frame_header(header.data(), Opcode::kBinary, payload.size());
  return std::string(header.data(), static_cast<std::size_t>(end - header.data())).append(payload);
}
std::string client_frame(BytesView payload) { return masked(server_frame(payload)); }

const std::string kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

class WebSocketTransportTest : public testing::Test {
 protected:
  WebSocketTransportTest() {
    auto owned = std::make_unique<Below>();
    below_ = owned.get();
    transport_ = std::make_unique<WebSocketTransport>(std::move(owned), settings_);
  }
  void open() {
    below_->input = kRequest;
    EXPECT_EQ(read().status, IoStatus::kWouldBlock);
    EXPECT_TRUE(transport_->established());
    EXPECT_TRUE(below_->output.starts_with("HTTP/1.1 101 ")) << below_->output;
    below_->output.clear();
    below_->writes = 0;
  }
  IoResult read(std::size_t most = 1 << 16) {
    std::string room(most, '.');
    const iovec piece{room.data(), room.size()};
    const IoResult result = transport_->read_some({&piece, 1});
    got_.append(room, 0, result.bytes);
    return result;
  }
  IoResult write(std::string text) {
    const iovec piece{text.data(), text.size()};
    return transport_->write_some({&piece, 1});
  }

  WebSocketSettings settings_;
  Below* below_ = nullptr;
  std::unique_ptr<WebSocketTransport> transport_;
  std::string got_;
};

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
  EXPECT_EQ(transport_->failure(result), "WebSocket handshake: another path");
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
  std::string sent, output, frames;
  const auto decode_frames = [&] {
    std::string data;
    std::string_view rest = frames;
    while (!rest.empty()) {
      const std::uint8_t opcode = byte_at(rest, 0) & 0xf, length = byte_at(rest, 1);
      const std::size_t header = length == 127 ? 10 : length == 126 ? 4 : 2;
      const std::size_t size = length == 126 ? get_u16(rest.data() + 2) : length;
      EXPECT_NE(length, 127);
      EXPECT_LE(header + size, rest.size()) << "a frame is cut";
      if (opcode == 2) data += rest.substr(header, size);
      rest.remove_prefix(std::min(rest.size(), header + size));
    }
    return data;
  };
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
    std::vector<iovec> pieces;
    for (std::size_t at = 0; at < output.size();) {
      const std::size_t size = std::min<std::size_t>(output.size() - at, 1 + random() % 200);
      pieces.push_back({output.data() + at, size});
      at += size;
    }
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
  frames = below_->output;
  EXPECT_EQ(decode_frames(), sent);
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
