#include "net/websocket_frames.h"

#include <gtest/gtest.h>

#include <random>

#include "net/websocket_test_support.h"

namespace petrel::net {
namespace {

using Event = FrameDecoder::Event;
using namespace std::string_literals;

std::string client_frame(std::uint8_t first_byte, BytesView payload, std::string_view mask = "\1\2\3\4") {
  std::string frame = server_frame(payload);
  frame[0] = static_cast<char>(first_byte);
  return masked(frame, mask);
}

struct Seen {
  std::string data, events;  // events: a letter each, with the payload of control frames
  CloseCode code = CloseCode::kNoStatus;
};

// Feeds pieces of at most `most` bytes, each in a buffer of its own.
Seen decode(const std::string& bytes, std::size_t most, std::uint64_t limit = 1 << 20) {
  FrameDecoder decoder(limit);
  Seen seen;
  for (std::size_t at = 0; at < bytes.size(); at += most) {
    std::string piece = bytes.substr(at, most);
    std::span<char> rest(piece);
    for (;;) {
      const FrameDecoder::Step step = decoder.next(rest);
      rest = rest.subspan(step.consumed);
      if (step.event == Event::kNeedMore && rest.empty()) break;
      if (step.event == Event::kData) seen.data += step.payload;
      if (step.event == Event::kPing) seen.events += "i(" + std::string(step.payload) + ")";
      if (step.event == Event::kPong) seen.events += "o(" + std::string(step.payload) + ")";
      if (step.event == Event::kClose || step.event == Event::kFailed) {
        seen.events += (step.event == Event::kClose ? "c(" : "f(") +
                       std::string(step.event == Event::kClose ? step.payload : step.why) + ")";
        seen.code = step.code;
        return seen;
      }
    }
  }
  return seen;
}

TEST(FrameDecoder, TakesTheExampleOfTheRfc) {  // RFC 6455, 5.7, as a binary frame
  EXPECT_EQ(decode("\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"s, 100).data, "Hello");
}

TEST(FrameDecoder, TakesLengthsOfEveryForm) {  // 5.2
  for (const std::size_t size : {0U, 1U, 7U, 8U, 9U, 125U, 126U, 127U, 65'535U, 65'536U, 70'001U}) {
    const std::string payload(size, 'p');
    for (const std::size_t most : {1UL, 3UL, 1000UL, 1'000'000UL})
      EXPECT_EQ(decode(client_frame(0x82, payload), most).data, payload) << size << " by " << most;
  }
}

TEST(FrameDecoder, HandsOutFragmentsWithControlFramesBetweenThem) {  // 5.4
  const std::string bytes = client_frame(0x02, "one ") + client_frame(0x89, "ping") + client_frame(0x00, "two ") +
                            client_frame(0x8a, "") + client_frame(0x80, "three") + client_frame(0x82, " four") +
                            client_frame(0x88,
                                         "\x03\xe9"
                                         "bye"s);
  for (std::size_t most = 1; most <= bytes.size(); ++most) {
    const Seen seen = decode(bytes, most);
    EXPECT_EQ(seen.data, "one two three four") << most;
    EXPECT_EQ(seen.events, "i(ping)o()c(bye)") << most;
    EXPECT_EQ(seen.code, CloseCode::kGoingAway);
  }
}

TEST(FrameDecoder, RefusesWhatTheRulesForbid) {
  struct Case {
    const char* section;
    std::string bytes;
    std::string_view why;
    CloseCode code;
  };
  const std::string begun = client_frame(0x02, "begun");
  for (const Case& c : {
           Case{"5.1", "\x82\x05Hello"s, "not masked", CloseCode::kProtocolError},
           Case{"5.1", "\x89\x00"s, "not masked", CloseCode::kProtocolError},
           Case{"5.2 RSV1", client_frame(0xc2, "x"), "reserved bit", CloseCode::kProtocolError},
           Case{"5.2 RSV2", client_frame(0xa2, "x"), "reserved bit", CloseCode::kProtocolError},
           Case{"5.2 RSV3", client_frame(0x92, "x"), "reserved bit", CloseCode::kProtocolError},
           Case{"5.2 opcode 3", client_frame(0x83, "x"), "unknown kind", CloseCode::kProtocolError},
           Case{"5.2 opcode 7", client_frame(0x87, "x"), "unknown kind", CloseCode::kProtocolError},
           Case{"5.2 opcode 11", client_frame(0x8b, "x"), "unknown kind of control", CloseCode::kProtocolError},
           Case{"5.2 opcode 15", client_frame(0x8f, "x"), "unknown kind of control", CloseCode::kProtocolError},
           Case{"5.2 length",
                "\x82\xfe\x00\x7d"
                "maskx"s,
                "more bytes than it needs", CloseCode::kProtocolError},
           Case{"5.2 length",
                "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"
                "mask"s,
                "more bytes than it needs", CloseCode::kProtocolError},
           Case{"5.2 length",
                "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"
                "mask"s,
                "63 bits", CloseCode::kProtocolError},
           Case{"5.4 nothing to continue", client_frame(0x80, "x"), "continuation", CloseCode::kProtocolError},
           Case{"5.4 nothing to continue", client_frame(0x82, "x") + client_frame(0x00, "x"), "continuation",
                CloseCode::kProtocolError},
           Case{"5.4 inside", begun + client_frame(0x82, "x"), "inside of another", CloseCode::kProtocolError},
           Case{"5.4 inside", begun + client_frame(0x81, "x"), "inside of another", CloseCode::kProtocolError},
           Case{"5.5 fragmented ping", client_frame(0x09, "x"), "fragmented", CloseCode::kProtocolError},
           Case{"5.5 long ping", client_frame(0x89, std::string(126, 'x')), "too long", CloseCode::kProtocolError},
           Case{"5.5.1 half a code", client_frame(0x88, "\x03"), "half", CloseCode::kProtocolError},
           Case{"5.5.1 reason", client_frame(0x88, "\x03\xe8\xc3"s), "UTF-8", CloseCode::kInvalidPayload},
           Case{"7.4.1 code 999", client_frame(0x88, "\x03\xe7"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.1 code 1004", client_frame(0x88, "\x03\xec"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.1 code 1005", client_frame(0x88, "\x03\xed"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.1 code 1006", client_frame(0x88, "\x03\xee"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.1 code 1015", client_frame(0x88, "\x03\xf7"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.2 code 2999", client_frame(0x88, "\x0b\xb7"s), "close code", CloseCode::kProtocolError},
           Case{"7.4.2 code 5000", client_frame(0x88, "\x13\x88"s), "close code", CloseCode::kProtocolError},
           Case{"[MQTT-6.0.0-1]", client_frame(0x81, "text"), "text frame", CloseCode::kUnsupportedData},
           Case{"10.4", client_frame(0x82, std::string(1001, 'x')), "too big", CloseCode::kMessageTooBig},
       }) {
    for (const std::size_t most : {1UL, 100'000UL}) {
      const Seen seen = decode(c.bytes, most, 1000);
      EXPECT_EQ(seen.events.substr(0, 2), "f(") << c.section;
      EXPECT_NE(seen.events.find(c.why), std::string::npos) << c.section << ": " << seen.events;
      EXPECT_EQ(seen.code, c.code) << c.section;
    }
  }
}

TEST(FrameDecoder, TakesEveryCloseThatMayBeSent) {  // 7.4
  EXPECT_EQ(decode(client_frame(0x88, ""), 100).code, CloseCode::kNoStatus);
  for (const int code : {1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999}) {
    const std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    const Seen seen = decode(client_frame(0x88, payload), 1);
    EXPECT_EQ(seen.events, "c()") << code;
    EXPECT_EQ(static_cast<int>(seen.code), code);
  }
}

TEST(FrameDecoder, LosesNothingHoweverItIsCut) {
  std::mt19937 random(6455);
  const auto up_to = [&](std::size_t most) { return random() % (most + 1); };
  for (int round = 0; round < 300; ++round) {
    std::string bytes, data;
    bool in_message = false;
    for (std::size_t frames = 1 + up_to(12); frames > 0; --frames) {
      if (up_to(4) == 0) bytes += client_frame(0x89, std::string(up_to(125), 'i'));
      std::string payload(up_to(up_to(9) == 0 ? 70'000 : 300), '\0');
      for (char& c : payload) c = static_cast<char>(random());
      const bool final = up_to(1) == 0;
      const std::string mask = {static_cast<char>(random()), static_cast<char>(random()), static_cast<char>(random()),
                                static_cast<char>(random())};
      bytes += client_frame(static_cast<std::uint8_t>((final ? 0x80 : 0) | (in_message ? 0 : 2)), payload, mask);
      data += payload;
      in_message = !final;
    }
    EXPECT_EQ(decode(bytes, 1 + up_to(up_to(1) == 0 ? 20 : 5000)).data, data) << "round " << round;
  }
}

TEST(FrameHeader, TakesTheFewestBytes) {  // 5.2
  struct Case {
    std::uint64_t payload;
    std::string bytes;
  };
  for (const Case& c : {Case{0, "\x82\x00"s}, Case{125, "\x82\x7d"s}, Case{126, "\x82\x7e\x00\x7e"s},
                        Case{65'535, "\x82\x7e\xff\xff"s}, Case{65'536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s},
                        Case{0x123456789aULL, "\x82\x7f\x00\x00\x00\x12\x34\x56\x78\x9a"s}}) {
    std::array<char, kMaxFrameHeaderBytes> out;
    const char* const end = put_frame_header(out.data(), Opcode::kBinary, c.payload);
    EXPECT_EQ(std::string(out.data(), static_cast<std::size_t>(end - out.data())), c.bytes);
  }
}

TEST(ControlFrame, IsNeverTooLong) {  // 5.5
  EXPECT_EQ(control_frame(Opcode::kPong, "abc"),
            "\x8a\x03"
            "abc");
  EXPECT_EQ(close_frame(CloseCode::kNormal, "bye"),
            "\x88\x05\x03\xe8"
            "bye"s);
  EXPECT_EQ(close_frame(CloseCode::kNoStatus, "bye"), "\x88\x00"s);
  EXPECT_EQ(close_frame(CloseCode::kNormal, std::string(500, 'x')).size(), 2 + kMaxControlPayloadBytes);
}

}  // namespace
}  // namespace petrel::net
