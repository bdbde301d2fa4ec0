#include "net/tls_psk.h"

#include <gtest/gtest.h>

namespace petrel::net {
namespace {

using namespace std::string_literals;

TEST(PskTable, ReadsLines) {
  const auto table = PskTable::parse("# keys\n\nsensor-1:00ff10\r\nsensor 2:ABcd\nlast:01");
  ASSERT_TRUE(table.has_value()) << table.error();
  EXPECT_EQ(table->size(), 3U);
  EXPECT_EQ(*table->find("sensor-1"), "\x00\xff\x10"s);
  EXPECT_EQ(*table->find("sensor 2"), "\xab\xcd");
  EXPECT_EQ(*table->find("last"), "\x01");
  EXPECT_EQ(table->find("sensor"), nullptr);
  EXPECT_EQ(table->find("# keys"), nullptr);
}

TEST(PskTable, NamesTheLineThatIsWrong) {
  struct Case {
    std::string text;
    std::string_view why;
  };
  for (const Case& c :
       {Case{"a:01\nsecret", "line 2: there is no colon"}, Case{":01", "line 1: the identity must have"},
        Case{std::string(129, 'i') + ":01", "1 to 128 bytes"}, Case{"a\0b:01"s, "1 to 128 bytes"},
        Case{"a:", "even number of hex"}, Case{"a:012", "even number of hex"}, Case{"a:0g", "even number of hex"},
        Case{"a:" + std::string(514, '0'), "more than 256 bytes"},
        Case{"a:01\nb:02\na:03", "line 3: identity \"a\" comes twice"}}) {
    const auto table = PskTable::parse(c.text);
    ASSERT_FALSE(table.has_value()) << c.text;
    EXPECT_NE(table.error().find(c.why), std::string::npos) << table.error();
    EXPECT_EQ(table.error().find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace petrel::net
