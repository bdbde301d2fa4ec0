#include "net/local_pages.h"

#include <gtest/gtest.h>

namespace petrel::net {
namespace {

TEST(LocalPages, AdmitAllWithoutARule) {
  EXPECT_TRUE(LocalPages().admits_host("rebound.evil.example"));
  EXPECT_TRUE(LocalPages().admits_origin("https://evil.example"));
}

TEST(LocalPages, AreThoseOfThisMachine) {
  const LocalPages pages({"Desk", "desk.example.com"}, {});
  for (const char* host :
       {"localhost", "LOCALHOST:8080", "localhost.", "petrel.localhost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]",
        "[::1]:8080", "192.0.2.7:8080", "desk", "DESK:8080", "desk.example.com:8080"})
    EXPECT_TRUE(pages.admits_host(host)) << host;
  for (const char* host :
       {"evil.example", "evil.example:8080", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "[::1",
        "[", "[]", "", ":8080", "desk.evil.example", ".localhost.evil", "localhost@evil.example"})
    EXPECT_FALSE(pages.admits_host(host)) << host;
  EXPECT_TRUE(pages.admits_origin("http://localhost:3000"));
  EXPECT_FALSE(pages.admits_origin("http://evil.example"));
  EXPECT_FALSE(pages.admits_origin("null"));
}

TEST(LocalPages, AreThoseThatAreNamedToo) {
  const LocalPages named({}, {"https://chat.example.com", "http://[2001:db8::1]:8080", "null"});
  EXPECT_TRUE(named.admits_host("chat.example.com"));
  EXPECT_TRUE(named.admits_host("Chat.Example.com:443"));
  EXPECT_TRUE(named.admits_host("localhost"));
  EXPECT_FALSE(named.admits_host("example.com"));
  EXPECT_FALSE(named.admits_host(""));
  EXPECT_TRUE(named.admits_origin("https://chat.example.com"));
  EXPECT_TRUE(named.admits_origin("http://127.0.0.1"));
  EXPECT_FALSE(named.admits_origin("http://chat.example.com"));
  EXPECT_TRUE(LocalPages({}, {"*"}).admits_host("evil.example"));
  EXPECT_TRUE(LocalPages({}, {"*"}).admits_origin("https://evil.example"));
}

}  // namespace
}  // namespace petrel::net
