#include "http/static_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace petrel::http {
namespace {

using testing::HasSubstr;
using testing::Not;

class StaticFolderTest : public testing::Test {
 protected:
  StaticFolderTest() {
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    folder_ = root_ + "/site";
    std::filesystem::create_directories(folder_ + "/sub/empty");
    write("a.txt", "0123456789");
    write("sub/index.html", "<p>hi</p>");
    write(".hidden", "secret");
    std::ofstream(root_ + "/outside.txt") << "outside";
    EXPECT_EQ(symlink((root_ + "/outside.txt").c_str(), (folder_ + "/link").c_str()), 0);
    EXPECT_EQ(symlink(root_.c_str(), (folder_ + "/up").c_str()), 0);
    EXPECT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  }
  ~StaticFolderTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }
  static Request get(std::vector<std::pair<std::string, std::string>> headers, std::string method = "GET") {
    Request request;
    request.method = std::move(method);
    request.headers = std::move(headers);
    return request;
  }
  Response asked(std::vector<std::pair<std::string, std::string>> headers) {
    Response response = *serve_file(folder_, "/a.txt");
    response.apply_conditions(get(std::move(headers)));
    return response;
  }

  std::string root_ = testing::TempDir() + "petrel-XXXXXX";
  std::string folder_;
};

TEST_F(StaticFolderTest, ServesFilesWithTypeAndTag) {
  const auto file = serve_file(folder_, "/a.txt");
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->body_bytes(), 10U);
  EXPECT_THAT(file->head(true), HasSubstr("Content-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\nETag: \""));
  EXPECT_THAT(file->head(true), Not(HasSubstr("Connection: close")));
  const auto index = serve_file(folder_, "/sub/");
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->content_type, "text/html; charset=utf-8");
  const auto redirect = serve_file(folder_, "/sub");
  ASSERT_TRUE(redirect.has_value());
  EXPECT_EQ(redirect->status, 301);
  EXPECT_EQ(redirect->headers, "Location: /sub/\r\n");
}

TEST_F(StaticFolderTest, NothingOutsideIsFound) {
  for (const char* path : {"/link", "/up/outside.txt", "/.hidden", "/pipe", "/nothing", "/a.txt/", "/a.txt/b",
                           "/sub/empty/", "//sub", "/../outside.txt"})
    EXPECT_FALSE(serve_file(folder_, path).has_value()) << path;
  EXPECT_FALSE(serve_file(folder_ + "/nothing", "/a.txt").has_value());
}

TEST_F(StaticFolderTest, RangesOfFiles) {
  struct Case {
    const char* range;
    int status;
    std::uint64_t offset, size;
  };
  for (const Case& c :
       {Case{"bytes=2-4", 206, 2, 3}, Case{"bytes=7-", 206, 7, 3}, Case{"bytes=-4", 206, 6, 4},
        Case{"bytes=-40", 206, 0, 10}, Case{"bytes=5-500", 206, 5, 5}, Case{"bytes=10-", 416, 0, 0},
        Case{"bytes=-0", 416, 0, 0}, Case{"bytes=4-2", 200, 0, 10}, Case{"bytes=1-2,4-5", 200, 0, 10},
        Case{"lines=1-2", 200, 0, 10}, Case{"bytes=x-", 200, 0, 10}, Case{"bytes=99999999999999999999-", 200, 0, 10}}) {
    const Response response = asked({{"range", c.range}});
    EXPECT_EQ(response.status, c.status) << c.range;
    if (c.status == 416) continue;
    EXPECT_EQ(response.offset, c.offset) << c.range;
    EXPECT_EQ(response.size, c.size) << c.range;
  }
  EXPECT_THAT(asked({{"range", "bytes=2-4"}}).head(true), HasSubstr("Content-Range: bytes 2-4/10\r\n"));
  EXPECT_THAT(asked({{"range", "bytes=10-"}}).head(true), HasSubstr("Content-Range: bytes */10\r\n"));
  EXPECT_EQ(asked({{"range", "bytes=2-4"}, {"if-range", "\"other\""}}).status, 200);
}

TEST_F(StaticFolderTest, WhatTheClientHasIsNotSentAgain) {
  const std::string tag = serve_file(folder_, "/a.txt")->etag;
  EXPECT_EQ(asked({{"if-none-match", tag}}).status, 304);
  EXPECT_EQ(asked({{"if-none-match", "\"x\", W/" + tag}}).status, 304);
  EXPECT_EQ(asked({{"if-none-match", "*"}}).status, 304);
  EXPECT_EQ(asked({{"if-none-match", "\"x\""}}).status, 200);
  EXPECT_EQ(asked({{"range", "bytes=0-1"}, {"if-range", tag}}).status, 206);
}

// Each form of a file is a representation of its own: with its tag, its length and its ranges (RFC 9110, 8.8.3).
TEST_F(StaticFolderTest, CompressedForms) {
  write("a.txt.gz", "gzipped");
  write("a.txt.br", "brotli");
  const auto ask = [&](const std::string& encodings, std::vector<std::pair<std::string, std::string>> more = {}) {
    more.emplace_back("accept-encoding", encodings);
    const Request request = get(std::move(more));
    Response response = *serve_file(folder_, "/a.txt", AcceptedEncodings(request));
    response.apply_conditions(request);
    return response;
  };
  const Response gzip = ask("gzip"), brotli = ask("gzip, br"), plain = ask("deflate");
  EXPECT_THAT(gzip.head(true), HasSubstr("Content-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n"));
  EXPECT_THAT(gzip.head(true), HasSubstr("\r\nContent-Encoding: gzip\r\n"));
  EXPECT_THAT(brotli.head(true), HasSubstr("\r\nContent-Encoding: br\r\n"));
  EXPECT_THAT(plain.head(true), Not(HasSubstr("Content-Encoding")));
  for (const Response* response : {&gzip, &brotli, &plain})
    EXPECT_THAT(response->head(true), HasSubstr("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_NE(gzip.etag, brotli.etag);
  EXPECT_NE(gzip.etag, plain.etag);
  EXPECT_EQ(ask("gzip", {{"if-none-match", gzip.etag}}).status, 304);
  EXPECT_THAT(ask("gzip", {{"if-none-match", gzip.etag}}).head(true), HasSubstr("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_EQ(ask("gzip", {{"if-none-match", plain.etag}}).status, 200);
  const Response part = ask("gzip", {{"range", "bytes=2-4"}, {"if-range", gzip.etag}});
  EXPECT_EQ(part.status, 206);
  EXPECT_THAT(part.head(true), HasSubstr("Content-Range: bytes 2-4/7\r\n"));
  EXPECT_THAT(part.head(true), HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_EQ(ask("gzip", {{"range", "bytes=2-4"}, {"if-range", plain.etag}}).status, 200);
  const Response beyond = ask("gzip", {{"range", "bytes=8-9"}});
  EXPECT_THAT(beyond.head(true), HasSubstr("Content-Range: bytes */7\r\n"));
  EXPECT_THAT(beyond.head(true), Not(HasSubstr("Content-Encoding")));
  EXPECT_EQ(ask("identity;q=0, deflate").status, 406);
}

TEST_F(StaticFolderTest, CompressedFormsThatAreNot) {
  const auto head = [&] {
    const Request request = get({{"accept-encoding", "gzip, br"}});
    return serve_file(folder_, "/a.txt", AcceptedEncodings(request))->head(true);
  };
  EXPECT_THAT(head(), Not(HasSubstr("Vary"))) << "there is one form only";
  write("a.txt.gz", "old");
  std::filesystem::last_write_time(folder_ + "/a.txt.gz",
                                   std::filesystem::last_write_time(folder_ + "/a.txt") - std::chrono::seconds(1));
  std::filesystem::create_directory(folder_ + "/a.txt.br");
  EXPECT_THAT(head(), Not(HasSubstr("Encoding")));
  std::filesystem::remove(folder_ + "/a.txt.gz");
  EXPECT_EQ(symlink((root_ + "/outside.txt").c_str(), (folder_ + "/a.txt.gz").c_str()), 0);
  EXPECT_THAT(head(), Not(HasSubstr("Encoding")));
}

TEST(ContentType, ByEnding) {
  EXPECT_EQ(content_type_of("/x.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(content_type_of("/x"), "application/octet-stream");
}

}  // namespace
}  // namespace petrel::http
