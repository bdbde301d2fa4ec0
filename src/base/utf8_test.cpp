#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace petrel {
namespace {

std::string encode(unsigned cp) {
  std::string s;
  if (cp < 0x80) {
    s += static_cast<char>(cp);
  } else if (cp < 0x800) {
    s += static_cast<char>(0xc0 | (cp >> 6));
    s += static_cast<char>(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    s += static_cast<char>(0xe0 | (cp >> 12));
    s += static_cast<char>(0x80 | ((cp >> 6) & 0x3f));
    s += static_cast<char>(0x80 | (cp & 0x3f));
  } else {
    s += static_cast<char>(0xf0 | (cp >> 18));
    s += static_cast<char>(0x80 | ((cp >> 12) & 0x3f));
    s += static_cast<char>(0x80 | ((cp >> 6) & 0x3f));
    s += static_cast<char>(0x80 | (cp & 0x3f));
  }
  return s;
}

TEST(Utf8, AcceptsEveryCodePointButZeroAndSurrogates_MQTT_1_5_4) {
  for (unsigned cp = 0; cp <= 0x110000; ++cp) {
    const bool valid = cp != 0 && !(cp >= 0xd800 && cp <= 0xdfff) && cp <= 0x10ffff;
    ASSERT_EQ(is_mqtt_utf8(encode(cp)), valid) << cp;
    if (cp % 97 == 0) {
      ASSERT_EQ(is_mqtt_utf8("12345678" + encode(cp) + "12345678"), valid) << cp;
    }
  }
}

TEST(Utf8, RefusesOverlongAndTruncatedForms) {
  for (const std::string_view bad : {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xc3", "\xe2\x82",
                                     "\xf0\x9f\x98", "\x80", "\xff", "abc\xbf", "\xf5\x80\x80\x80"})
    EXPECT_FALSE(is_mqtt_utf8(bad));
  EXPECT_TRUE(is_mqtt_utf8(""));
  EXPECT_FALSE(is_mqtt_utf8(std::string_view("12345678\0", 9)));
  EXPECT_FALSE(is_mqtt_utf8(std::string_view("abcd\0xyz", 8)));
}

}  // namespace
}  // namespace petrel
