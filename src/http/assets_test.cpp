#include "http/assets.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace petrel::http {
namespace {

TEST(Assets, AreTheSameCompressed) {
  for (const char* path : {"/", "/start.js", "/start.css", "/mqtt.js"}) {
    const Asset* const asset = find_asset(path);
    ASSERT_NE(asset, nullptr) << path;
    EXPECT_LT(asset->gzip.size(), asset->bytes.size());
    EXPECT_NE(asset->etag, asset->gzip_etag);
    std::string inflated(asset->bytes.size(), '\0');
    z_stream stream{};
    constexpr int kGzip = 31;
    ASSERT_EQ(inflateInit2(&stream, kGzip), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(asset->gzip.data()));
    stream.avail_in = static_cast<uInt>(asset->gzip.size());
    stream.next_out = reinterpret_cast<Bytef*>(inflated.data());
    stream.avail_out = static_cast<uInt>(inflated.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END) << path;
    EXPECT_TRUE(inflated == asset->bytes) << path;
    inflateEnd(&stream);
  }
  EXPECT_EQ(find_asset("/else"), nullptr);
}

}  // namespace
}  // namespace petrel::http
