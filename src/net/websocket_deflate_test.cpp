#include "net/websocket_deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "net/websocket_fixture.h"

namespace petrel::net {
namespace {

using namespace std::string_literals;

class WebSocketDeflateTest : public WebSocketFixture {
 protected:
  explicit WebSocketDeflateTest(bool keeps = false) : pool_(std::make_shared<CompressionPool>(keeps)) {
    settings_.compression = pool_;
  }
  void agree(const std::string& offer = "permessage-deflate; client_max_window_bits") {
    const std::string answer = open("Sec-WebSocket-Extensions: " + offer + "\r\n");
    EXPECT_NE(answer.find("\r\nSec-WebSocket-Extensions: permessage-deflate"), std::string::npos);
  }
  void read_all(std::size_t most) {
    while (!below_->input.empty() || transport_->has_buffered()) ASSERT_NE(read(most).status, IoStatus::kError);
  }
  // The client's compressor, whose context lives on.
  std::string compressed(const std::string& text) {
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    (void)client_.compress({&piece, 1}, text.size(), keeps_);
    return std::string(client_.output());
  }
  static std::string inflated(std::string message, Inflater& inflater) {
    message += "\x00\x00\xff\xff"s;
    std::string room(1 << 20, '\0');
    const iovec piece{room.data(), room.size()};
    Gathering out({&piece, 1});
    BytesView input = message;
    EXPECT_EQ(inflater.run(input, out), Inflater::Status::kTookAll);
    EXPECT_TRUE(inflater.at_boundary());
    return room.substr(0, out.total());
  }
  // What the client reads in the output.
  std::string received() {
    const std::string output = std::exchange(below_->output, {});
    std::string all;
    Inflater kept(15, held_);
    for (const Frame& one : frames_of(output)) {
      if (!keeps_) kept.reset();
      if ((one.first_byte & 0xf) != 2) continue;
      const bool is_compressed = (one.first_byte & 0x40) != 0;
      all += is_compressed ? inflated(std::string(one.payload), kept) : one.payload;
      if (is_compressed) ++compressed_frames_;
    }
    return all;
  }
  // A binary frame of a compressed message.
  static std::string frame(std::string payload, bool first = true, bool final = true) {
    std::string text = server_frame(payload);
    text[0] = static_cast<char>((final ? 0x80 : 0) | (first ? 0x42 : 0));
    return masked(text);
  }
  void expect_failure(CloseCode code, std::string_view why) {
    got_.clear();
    IoResult result;
    do result = read();
    while (result.status == IoStatus::kOk || (result.status == IoStatus::kWouldBlock && !below_->input.empty()));
    EXPECT_EQ(result.status, IoStatus::kError);
    EXPECT_EQ(transport_->failure(result), "WebSocket: "s.append(why));
    EXPECT_EQ(below_->output, close_frame(code, why));
  }

  bool keeps_ = false;
  HeldBytes held_{0};
  Deflater client_{12, held_};
  std::shared_ptr<CompressionPool> pool_;
  int compressed_frames_ = 0;
};

class WebSocketDeflateKeeping : public WebSocketDeflateTest {
 protected:
  WebSocketDeflateKeeping() : WebSocketDeflateTest(true) { keeps_ = true; }
};

std::string chat(int number) {
  return R"({"room":"general","from":"user)" + std::to_string(number % 7) + R"(","id":)" + std::to_string(number) +
         R"(,"text":"a message of the usual kind, neither long nor short"})";
}

TEST_F(WebSocketDeflateTest, IsNotSpokenUnlessOfferedAndWanted) {
  below_->input = kRequest;
  (void)read();
  EXPECT_EQ(below_->output.find("Extensions"), std::string::npos);
  below_->output.clear();
  EXPECT_EQ(write(std::string(1000, 'a')).bytes, 1000U);
  EXPECT_EQ(below_->output, server_frame(std::string(1000, 'a')));
  below_->output.clear();
  below_->input = frame("x");
  expect_failure(CloseCode::kProtocolError, "a reserved bit is set");
  EXPECT_EQ(pool_->held_bytes(), 0U);
  EXPECT_EQ(pool_->counts.connections, 0U);
}

TEST_F(WebSocketDeflateTest, ReadsMessagesHoweverCutAndHoweverLittleRoomThereIs) {
  agree();
  std::mt19937 random(11);
  std::string sent;
  for (int i = 0; i < 300; ++i) {
    std::string payload = chat(i);
    if (i % 10 == 0) payload = std::string(random() % 50'000, static_cast<char>('a' + i % 26));
    if (i % 13 == 0) payload.clear();
    sent += payload;
    const std::string message = payload.empty() ? "\0"s : compressed(payload);
    if (i % 3 == 0) {
      below_->input += client_frame(payload);
    } else if (i % 3 == 1) {
      below_->input += frame(message);
    } else {
      const std::size_t cut = random() % (message.size() + 1);
      below_->input += frame(message.substr(0, cut), true, false) + frame("", false, false);
      below_->input += masked(control_frame(Opcode::kPing, "between")) + frame(message.substr(cut), false, true);
    }
  }
  while (!below_->input.empty() || transport_->has_buffered()) {
    below_->most_read = 1 + random() % 3000;
    ASSERT_NE(read(1 + random() % 5000).status, IoStatus::kError);
  }
  EXPECT_TRUE(got_ == sent);
  EXPECT_GT(pool_->counts.in_plain, pool_->counts.in_wire);
}

TEST_F(WebSocketDeflateTest, HoldsNothingBetweenMessages) {
  agree();
  below_->input = frame(compressed(chat(1)));
  (void)read();
  EXPECT_EQ(write(std::string(5000, 'b')).bytes, 5000U);
  const std::uint64_t held = pool_->held_bytes();
  EXPECT_GT(held, 0U) << "the pool's";
  std::vector<std::unique_ptr<WebSocketTransport>> many;
  for (int i = 0; i < 50; ++i) {
    below_->output.clear();
    many.push_back(std::move(transport_));
    connect();
    agree();
    below_->input = frame(compressed(chat(i)));
    (void)read();
    EXPECT_EQ(write(std::string(5000, 'b')).bytes, 5000U);
  }
  EXPECT_EQ(pool_->held_bytes(), held);
  EXPECT_EQ(pool_->counts.connections, 51U);
  many.clear();
  transport_.reset();
  EXPECT_EQ(pool_->counts.connections, 0U);
}

// What is read is what there is room for, however much a message stands for.
TEST_F(WebSocketDeflateTest, InflatesNoMoreThanIsAskedFor) {
  agree();
  const std::string bomb = compressed(std::string(20'000'000, '\0'));
  ASSERT_LT(bomb.size(), 30'000U);
  below_->input =
      masked("\xc2\x7e"s + static_cast<char>(bomb.size() >> 8) + static_cast<char>(bomb.size() & 0xff) + bomb);
  std::size_t total = 0;
  for (int i = 0; i < 100; ++i) {
    got_.clear();
    const IoResult result = read(4096);
    ASSERT_EQ(result.status, IoStatus::kOk);
    total += result.bytes;
    EXPECT_TRUE(transport_->has_buffered());
  }
  EXPECT_LE(total, 100U * 4096);
  EXPECT_EQ(pool_->counts.in_plain, total);
  EXPECT_LT(pool_->held_bytes(), 100'000U);
}

TEST_F(WebSocketDeflateTest, InflatesNothingOnceItHasClosed) {
  agree();
  below_->input = frame(compressed(std::string(100'000, 'a')));
  EXPECT_EQ(read(100).bytes, 100U);
  transport_->end_writing();
  below_->input += frame(compressed(chat(1))) + masked(close_frame(CloseCode::kNormal, ""));
  IoResult result;
  do result = read();
  while (result.status == IoStatus::kWouldBlock);
  EXPECT_EQ(result.status, IoStatus::kEnd);
  EXPECT_EQ(pool_->counts.in_plain, 100U);
}

TEST_F(WebSocketDeflateTest, RefusesWhatIsNoDeflate) {  // RFC 7692, 7.2.2; 6455, 7.4.1: 1007
  agree();
  below_->input = frame("\xff\xff\xff\xff junk");
  expect_failure(CloseCode::kInvalidPayload, "compressed data that cannot be read");
}

TEST_F(WebSocketDeflateTest, RefusesAMessageThatEndsInTheMiddle) {
  agree();
  const std::string whole = compressed(chat(1));
  below_->input = frame(whole.substr(0, whole.size() / 2));
  expect_failure(CloseCode::kInvalidPayload, "compressed data that cannot be read");
}

TEST_F(WebSocketDeflateTest, RefusesACompressedMessageWithoutPayload) {
  agree();
  below_->input = frame("");
  expect_failure(CloseCode::kInvalidPayload, "compressed data that cannot be read");
}

TEST_F(WebSocketDeflateTest, RefusesReferencesBeforeTheMessage) {  // no context takeover was agreed on
  agree();
  keeps_ = true;
  below_->input = frame(compressed(chat(1))) + frame(compressed(chat(1)));
  EXPECT_EQ(read(chat(1).size()).status, IoStatus::kOk);
  expect_failure(CloseCode::kInvalidPayload, "compressed data that cannot be read");
}

TEST_F(WebSocketDeflateTest, TheMarkStandsOnTheFirstFrameOfAMessageOnly) {  // RFC 7692, 6
  std::string ping = control_frame(Opcode::kPing, "x"), rsv2 = server_frame("x"), later = server_frame("x");
  ping[0] = static_cast<char>(ping[0] | 0x40);
  rsv2[0] = static_cast<char>(rsv2[0] | 0x60);
  later[0] = '\xc0';
  for (const std::string& frames : {masked(ping), masked(rsv2), frame("\x4a", true, false) + masked(later)}) {
    connect();
    agree();
    below_->input = frames;
    expect_failure(CloseCode::kProtocolError, "a reserved bit is set");
  }
}

TEST_F(WebSocketDeflateTest, TakesABlockThatSaysItIsTheLast) {  // RFC 7692, 7.2.3.4
  agree();
  below_->input = frame("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s) + frame("\xf3\x48\xcd\xc9\xc9\x07\x00\x02\x13\x00\x00"s);
  read_all(100);
  EXPECT_EQ(got_, "HelloHelloHello") << "the second refers to itself beyond a last block";
}

TEST_F(WebSocketDeflateTest, CompressesWhatIsLargeEnoughInOneWrite) {
  agree();
  EXPECT_EQ(write("small").bytes, 5U);
  EXPECT_EQ(below_->output, server_frame("small"));
  EXPECT_EQ(received(), "small");
  std::string text;
  for (int i = 0; i < 40; ++i) text += chat(i);
  below_->writes = 0;
  EXPECT_EQ(write(text).bytes, text.size());
  EXPECT_EQ(below_->writes, 1);
  EXPECT_LT(below_->output.size(), text.size() / 4);
  EXPECT_EQ(received(), text);
  EXPECT_EQ(compressed_frames_, 1);
}

TEST_F(WebSocketDeflateTest, LeavesNoiseAsItIs) {
  agree();
  std::mt19937 random(3);
  std::string noise(5000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  EXPECT_EQ(write(noise).bytes, noise.size());
  EXPECT_EQ(below_->output, server_frame(noise));
}

// Whatever the socket takes, all comes, in order, in whole frames, with pongs between them.
TEST_F(WebSocketDeflateTest, SendsAsTheSocketTakesIt) {
  agree("permessage-deflate; server_max_window_bits=9");
  std::mt19937 random(5);
  std::string sent, output;
  for (int round = 0; round < 2000; ++round) {
    if (output.size() < 30'000) {
      std::string more = chat(round);
      if (round % 50 == 0) more += std::string(random() % 100'000, 'z');
      sent += more;
      output += more;
    }
    if (random() % 9 == 0) {
      below_->input += masked(control_frame(Opcode::kPing, "p"));
      ASSERT_EQ(read().status, IoStatus::kWouldBlock);
    }
    below_->most_written = random() % (random() % 3 == 0 ? 4000 : 9);
    const std::vector<iovec> pieces = cut(output, 3000, random);
    if (random() % 5 == 0) {
      ASSERT_NE(transport_->write_pending().status, IoStatus::kError);
      continue;
    }
    const IoResult result = transport_->write_some(pieces);
    ASSERT_NE(result.status, IoStatus::kError);
    output.erase(0, result.bytes);
  }
  below_->most_written = 1 << 20;
  while (!output.empty()) output.erase(0, write(output).bytes);
  EXPECT_EQ(transport_->write_pending().status, IoStatus::kOk);
  EXPECT_FALSE(transport_->wants_write());
  EXPECT_TRUE(received() == sent);
}

TEST_F(WebSocketDeflateTest, ClosesAfterWhatWaits) {
  agree();
  below_->most_written = 5;
  EXPECT_EQ(write(std::string(1000, 'c')).bytes, 1000U);
  EXPECT_TRUE(transport_->wants_write());
  transport_->end_writing();
  EXPECT_FALSE(below_->ended);
  below_->most_written = 1000;
  EXPECT_EQ(transport_->write_pending().status, IoStatus::kOk);
  EXPECT_TRUE(below_->ended);
  EXPECT_TRUE(below_->output.ends_with(close_frame(CloseCode::kNormal, "")));
}

TEST_F(WebSocketDeflateKeeping, SmallMessagesReferToEarlierOnes) {
  agree();
  std::string sent;
  std::size_t plain_frames = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string text = chat(i);
    sent += text;
    plain_frames += server_frame(text).size();
    ASSERT_EQ(write(text).bytes, text.size());
    below_->input += frame(compressed(text));
  }
  EXPECT_LT(below_->output.size(), plain_frames / 3);
  EXPECT_TRUE(received() == sent);
  read_all(1000);
  EXPECT_TRUE(got_ == sent);
  EXPECT_LT(pool_->held_bytes(), 100'000U);
  transport_.reset();
}

TEST_F(WebSocketDeflateKeeping, WhatWasNotSentIsNotReferredTo) {
  agree();
  std::mt19937 random(9);
  std::string sent;
  for (int i = 0; i < 40; ++i) {
    std::string text = chat(i);
    if (i % 4 == 1)
      for (char& c : text) c = static_cast<char>(random());
    if (i % 4 == 3) text = sent.substr(sent.size() / 2, 500);
    sent += text;
    ASSERT_EQ(write(text).bytes, text.size());
  }
  EXPECT_TRUE(received() == sent);
}

}  // namespace
}  // namespace petrel::net
