#include "http/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace petrel::http {
namespace {

using Status = ParsedRequest::Status;

TEST(Request, ReadsAHead) {
  const std::string text = "GET /a%20b?q=1 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"1\"\r\n\r\nGET /next";
  const ParsedRequest parsed = parse_request(text);
  ASSERT_EQ(parsed.status, Status::kDone) << parsed.why;
  EXPECT_EQ(text.substr(parsed.consumed), "GET /next");
  EXPECT_EQ(parsed.request.method, "GET");
  EXPECT_EQ(parsed.request.path, "/a b");
  ASSERT_NE(parsed.request.header("if-none-match"), nullptr);
  EXPECT_EQ(*parsed.request.header("if-none-match"), "\"1\"");
  EXPECT_EQ(parsed.request.header("range"), nullptr);
  EXPECT_TRUE(parsed.request.keep_alive);
  EXPECT_FALSE(parsed.request.is_upgrade);
}

TEST(Request, ComesInPieces) {
  const std::string text = "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_EQ(parse_request(text.substr(0, size)).status, Status::kNeedMore) << size;
  const ParsedRequest parsed = parse_request(text);
  ASSERT_EQ(parsed.status, Status::kDone);
  EXPECT_FALSE(parsed.request.keep_alive);
}

TEST(Request, KnowsAnUpgrade) {
  const ParsedRequest parsed = parse_request(
      "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_EQ(parsed.status, Status::kDone);
  EXPECT_TRUE(parsed.request.is_upgrade);
}

// As load balancers ask for health: HAProxy's "OPTIONS / HTTP/1.0", "GET /readyz HTTP/1.0".
TEST(Request, MayBeOfHttp10) {
  const ParsedRequest plain = parse_request("GET /readyz HTTP/1.0\r\n\r\n");
  ASSERT_EQ(plain.status, Status::kDone) << plain.why;
  EXPECT_TRUE(plain.request.is_1_0);
  EXPECT_FALSE(plain.request.keep_alive);
  const ParsedRequest kept = parse_request("HEAD / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_EQ(kept.status, Status::kDone) << kept.why;
  EXPECT_TRUE(kept.request.keep_alive);
  // Upgrades there are none (RFC 9110, 7.8).
  const ParsedRequest upgrade = parse_request(
      "GET / HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_EQ(upgrade.status, Status::kDone) << upgrade.why;
  EXPECT_FALSE(upgrade.request.is_upgrade);
}

// What two programs could read in two ways, and what is not wanted.
TEST(Request, RefusesWhatIsDoubtful) {
  struct Case {
    std::string text;
    int status;
  };
  const std::string end = "\r\n\r\n";
  for (const Case& c :
       {Case{"\x10\x0c", 400}, Case{"GET / HTTP/1.0\r\nHost: x\r\nHost: y" + end, 400},
        Case{"POST / HTTP/1.0\r\nContent-Length: 3" + end, 413},
        Case{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked" + end, 413}, Case{"GET / HTTP/1.1\r\nA: b" + end, 400},
        Case{"GET / HTTP/1.1\r\nHost: x\r\nHost: y" + end, 400},
        Case{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3" + end, 413},
        Case{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked" + end, 413},
        Case{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked" + end, 400},
        Case{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4" + end, 400},
        Case{"GET / HTTP/1.1\r\nHost : x" + end, 400}, Case{"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c" + end, 400},
        Case{"GET / HTTP/1.1\nHost: x\n\r\n\r\n", 400}, Case{"GET http://x/ HTTP/1.1\r\nHost: x" + end, 400},
        Case{"GET /../etc HTTP/1.1\r\nHost: x" + end, 400},
        Case{"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(9000, 'a') + end, 431}}) {
    const ParsedRequest parsed = parse_request(c.text);
    ASSERT_EQ(parsed.status, Status::kRefused) << c.text.substr(0, 60);
    EXPECT_THAT(parsed.refusal, testing::AnyOf(c.status, 400)) << c.text.substr(0, 60);
    EXPECT_FALSE(parsed.why.empty());
  }
  for (const char* version : {"HTTP/0.9", "HTTP/1.2", "HTTP/2.0"})
    EXPECT_EQ(parse_request(std::string("GET / ") + version + "\r\nHost: x" + end).refusal, 505) << version;
}

TEST(DecodePath, NeverLeadsOut) {
  for (const char* target : {"", "a", "*", "/..", "/a/../b", "/./a", "/%2e%2e/a", "/a/%2E%2e", "/a%2fb", "/a%00b",
                             "/a%0d%0ab", "/a\\b", "/%5c", "/%", "/%2", "/%zz", "/a/.."})
    EXPECT_EQ(decode_path(target), std::nullopt) << target;
  EXPECT_EQ(decode_path("/"), "/");
  EXPECT_EQ(decode_path("/a//b/"), "/a//b/");
  EXPECT_EQ(decode_path("/a...b/..c?x=/../"), "/a...b/..c");
  EXPECT_EQ(decode_path("/%c3%a4"), "/\xc3\xa4");
}

}  // namespace
}  // namespace petrel::http
