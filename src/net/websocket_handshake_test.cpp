#include "net/websocket_handshake.h"

#include <gtest/gtest.h>

#include <map>

namespace petrel::net {
namespace {

using Outcome = WebSocketHandshake::Outcome;
using Kind = Outcome::Kind;
using namespace std::string_literals;

Outcome judge(const std::string& request, const WebSocketSettings& settings = {}) {
  return WebSocketHandshake().take(request, settings);
}

// A good request, with lines changed (by their name), added, or taken out (an empty text).
std::string request(const std::map<std::string, std::string>& changes = {},
                    const std::string& first = "GET /mqtt HTTP/1.1") {
  std::map<std::string, std::string> headers = {
      {"Host", "broker.example"},         {"Upgrade", "websocket"},
      {"Connection", "Upgrade"},          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
      {"Sec-WebSocket-Protocol", "mqtt"}, {"Sec-WebSocket-Version", "13"}};
  for (const auto& [name, value] : changes) headers[name] = value;
  std::string text = first + "\r\n";
  for (const auto& [name, value] : headers)
    if (!value.empty()) text.append(name).append(": ").append(value).append("\r\n");
  return text + "\r\n";
}

TEST(WebSocketAccept, AnswersTheExampleOfTheRfc) {  // RFC 6455, 1.3
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketHandshake, AcceptsByteByByte) {
  const std::string all = request();
  WebSocketHandshake handshake;
  for (std::size_t size = 0; size < all.size(); ++size)
    ASSERT_EQ(handshake.take(BytesView(all).substr(0, size), {}).kind, Kind::kNeedMore) << size;
  const Outcome outcome = handshake.take(all + "frames", {});
  ASSERT_EQ(outcome.kind, Kind::kAccepted) << outcome.why;
  EXPECT_EQ(outcome.consumed, all.size());
  EXPECT_EQ(outcome.answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n");
}

TEST(WebSocketHandshake, AcceptsWhatClientsWrite) {
  for (const std::string& text : {
           request({}, "GET /mqtt?client=7 HTTP/1.1"),
           request({{"Connection", "keep-alive, Upgrade"}}),
           request({{"Connection", "UPGRADE"}, {"Upgrade", "WebSocket"}}),
           request({{"Sec-WebSocket-Protocol", "chat , mqtt"}}),
           request({{"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"}}),
           request({{"Origin", "https://anywhere.example"}}),
           request({{"Cookie", std::string(4000, 'c')}}),
           request({{"Host", ""}, {"hOST", "broker"}}),
           request({{"X-Nothing", "\t "}}),
       }) {
    const Outcome outcome = judge(text);
    EXPECT_EQ(outcome.kind, Kind::kAccepted) << outcome.why << "\n" << text;
    EXPECT_EQ(outcome.subprotocol, "mqtt");
    EXPECT_EQ(outcome.answer.find("Extensions"), std::string::npos);
  }
}

TEST(WebSocketHandshake, ChoosesASubprotocol) {  // [MQTT-6.0.0-3] [MQTT-6.0.0-4]
  EXPECT_EQ(judge(request({{"Sec-WebSocket-Protocol", "mqttv3.1"}})).subprotocol, "mqttv3.1");
  EXPECT_EQ(judge(request({{"Sec-WebSocket-Protocol", "mqttv3.1, mqtt"}})).subprotocol, "mqtt");
  EXPECT_EQ(judge(request({{"Sec-WebSocket-Protocol", "chat"}, {"sec-websocket-protocol", "mqtt"}})).subprotocol,
            "mqtt");
}

TEST(WebSocketHandshake, RefusesWithTheRightStatus) {
  std::string many;
  for (int i = 0; i < 59; ++i) many += "X: 1\r\n";
  const std::string head = "GET /mqtt HTTP/1.1\r\n";
  const std::string tail = request().substr(head.size());
  struct Case {
    std::string text;
    int status;
    std::string_view why;
  };
  for (const Case& c : {
           Case{request({}, "POST /mqtt HTTP/1.1"), 405, "not GET"},
           Case{request({}, "GET /mqtt HTTP/1.0"), 505, "HTTP/1.1"},
           Case{request({}, "GET /mqtt HTTP/2.0"), 505, "HTTP/1.1"},
           Case{request({}, "GET /mqtt"), 400, "request line"},
           Case{request({}, "GET  /mqtt HTTP/1.1"), 400, "not a path"},
           Case{request({}, "GET /mq tt HTTP/1.1"), 400, "not a path"},
           Case{request({}, "GET http://broker/mqtt HTTP/1.1"), 400, "not a path"},
           Case{request({}, "GET /mqtt\x80 HTTP/1.1"), 400, "not a path"},
           Case{request({}, "G(T /mqtt HTTP/1.1"), 400, "request line"},
           Case{request({}, "GET /mqtt/ HTTP/1.1"), 404, "path"},
           Case{request({}, "GET / HTTP/1.1"), 404, "path"},
           Case{request({{"Upgrade", ""}}), 426, "not an upgrade"},
           Case{request({{"Upgrade", "h2c"}}), 426, "not an upgrade"},
           Case{request({{"Connection", ""}}), 426, "not an upgrade"},
           Case{request({{"Connection", "keep-alive"}}), 426, "not an upgrade"},
           Case{request({{"Sec-WebSocket-Version", "8"}}), 426, "version 13"},
           Case{request({{"Sec-WebSocket-Version", ""}}), 426, "version 13"},
           Case{request({{"Sec-WebSocket-Key", ""}}), 400, "16 bytes"},
           Case{request({{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ="}}), 400, "16 bytes"},
           Case{request({{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR=="}}), 400, "16 bytes"},
           Case{request({{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j==Q="}}), 400, "16 bytes"},
           Case{request({{"Sec-WebSocket-Protocol", ""}}), 400, "subprotocol"},
           Case{request({{"Sec-WebSocket-Protocol", "MQTT"}}), 400, "subprotocol"},
           Case{request({{"Host", ""}}), 400, "Host"},
           Case{request({{"host", "again"}}), 400, "Host"},
           Case{request({{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}}), 400, "twice"},
           Case{request({{"Origin", "https://a"}, {"origin", "https://b"}}), 400, "twice"},
           Case{request({{"Content-Length", "0"}}), 400, "body"},
           Case{request({{"Transfer-Encoding", "chunked"}}), 400, "body"},
           Case{head + "Host: broker\r\n folded: line\r\n" + tail, 400, "folded"},
           Case{head + "X : y\r\n" + tail, 400, "header name"},
           Case{head + ": y\r\n" + tail, 400, "header name"},
           Case{head + "nothing\r\n" + tail, 400, "colon"},
           Case{head + "X: a\rb\r\n" + tail, 400, "control character"},
           Case{head + "X: a\0b\r\n"s + tail, 400, "control character"},
           Case{head + "X: y\n" + tail, 400, "without CR"},
           Case{"GET /mqtt HTTP/1.1\n\n", 400, "without CR"},
           Case{"\n", 400, "not HTTP"},
           Case{"\r\n" + request(), 400, "not HTTP"},
           Case{"\x10\x1a\x00\x04MQTT"s, 400, "not HTTP"},
           Case{"\x16\x03\x01\x02\x00"s, 400, "not HTTP"},
           Case{head + many + tail, 431, "too many"},
           Case{request({{"Cookie", std::string(9000, 'c')}}), 431, "too long"},
           Case{std::string(8192, 'A'), 431, "too long"},
       }) {
    const Outcome outcome = judge(c.text);
    ASSERT_EQ(outcome.kind, Kind::kRefused) << c.text;
    EXPECT_EQ(outcome.status, c.status) << c.text;
    EXPECT_NE(outcome.why.find(c.why), std::string::npos) << outcome.why << "\n" << c.text;
    EXPECT_TRUE(outcome.answer.starts_with("HTTP/1.1 " + std::to_string(c.status) + " ")) << outcome.answer;
    EXPECT_NE(outcome.answer.find("\r\n\r\n" + std::string(outcome.why) + "\n"), std::string::npos);
  }
  EXPECT_NE(judge(request({{"Upgrade", ""}})).answer.find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
}

TEST(WebSocketHandshake, LetsOnlyListedPagesConnect) {  // RFC 6455, 10.2
  WebSocketSettings settings;
  settings.origins = {"https://app.example", "http://localhost:8080"};
  EXPECT_EQ(judge(request({{"Origin", "https://APP.example"}}), settings).status, 101);
  EXPECT_EQ(judge(request({{"Origin", "http://localhost:8080"}}), settings).status, 101);
  EXPECT_EQ(judge(request(), settings).status, 101) << "not a browser";
  EXPECT_EQ(judge(request({{"Origin", "http://app.example"}}), settings).status, 403);
  EXPECT_EQ(judge(request({{"Origin", "https://app.example.evil"}}), settings).status, 403);
  EXPECT_EQ(judge(request({{"Origin", "null"}}), settings).status, 403);
}

TEST(WebSocketHandshake, KeepsForeignPagesOutWhereOnlyThisMachineIsMeant) {
  WebSocketSettings settings;
  EXPECT_EQ(judge(request({{"Origin", "https://anywhere.example"}}), settings).status, 101);
  settings.local_pages_only = true;
  EXPECT_EQ(judge(request(), settings).status, 101) << "not a browser";
  for (const char* origin : {"http://localhost", "https://LOCALHOST:8443", "http://127.0.0.1:8080", "http://127.8.9.1",
                             "http://[::1]", "http://[::1]:3000", "http://::1:3000"})
    EXPECT_EQ(judge(request({{"Origin", origin}}), settings).status, 101) << origin;
  for (const char* origin :
       {"https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://192.0.2.7",
        "http://[2001:db8::1]", "http://[::1", "http://[", "http://[]", "http://::1", "http://", "http:", "null",
        "localhost", "http://localhost@evil.example", "http://evil.example:80/localhost", "file://"})
    EXPECT_EQ(judge(request({{"Origin", origin}}), settings).status, 403) << origin;
  settings.origins = {"https://chat.example"};
  EXPECT_EQ(judge(request({{"Origin", "https://chat.example"}}), settings).status, 101);
  EXPECT_EQ(judge(request({{"Origin", "http://localhost"}}), settings).status, 403) << "what is told goes";
  settings.origins = {"*"};
  EXPECT_EQ(judge(request({{"Origin", "https://evil.example"}}), settings).status, 101);
}

TEST(WebSocketHandshake, TakesThePathItIsTold) {
  WebSocketSettings settings;
  settings.path = "/ws/broker";
  EXPECT_EQ(judge(request({}, "GET /ws/broker HTTP/1.1"), settings).status, 101);
  EXPECT_EQ(judge(request(), settings).status, 404);
  settings.path = "";
  EXPECT_EQ(judge(request({}, "GET /anything HTTP/1.1"), settings).status, 101);
}

}  // namespace
}  // namespace petrel::net
