#include "topics/topic.h"

#include <gtest/gtest.h>

#include <string>

namespace petrel::topics {
namespace {

TEST(Topic, NamesHaveACharacterAndNoNull_MQTT_4_7_3_1_and_2) {
  EXPECT_FALSE(is_valid_name(""));
  EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_valid_name("/"));
  EXPECT_TRUE(is_valid_name("a b//c"));
  EXPECT_TRUE(is_valid_name(std::string(65535, 'x')));
  EXPECT_FALSE(is_valid_name(std::string(65536, 'x')));
}

TEST(Topic, NamesHaveNoWildcards_MQTT_3_3_2_2) {
  EXPECT_FALSE(is_valid_name("a/+"));
  EXPECT_FALSE(is_valid_name("#"));
  EXPECT_FALSE(is_valid_name("a+b"));
}

TEST(Topic, WildcardsStandAlone_MQTT_4_7_1_1_and_2) {
  for (const char* good : {"#", "+", "a/#", "+/+/#", "/+", "+/", "a/+/b", "/", "//#", "$SYS/#"}) {
    EXPECT_TRUE(is_valid_filter(good)) << good;
  }
  for (const char* bad : {"", "a#", "a/#/b", "#/", "a+", "+a", "a/b+/c", "##", "++", "a/+#"}) {
    EXPECT_FALSE(is_valid_filter(bad)) << bad;
  }
}

TEST(Topic, SharedFilters_MQTT_4_8_2_1_and_2) {
  const auto shared = parse_shared("$share/group/a/+/#");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->share_name, "group");
  EXPECT_EQ(shared->filter, "a/+/#");
  EXPECT_EQ(parse_shared("$share/g//x")->filter, "/x");
  for (const char* bad :
       {"$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/#/a", "$share/g/a#"}) {
    EXPECT_FALSE(parse_shared(bad)) << bad;
    EXPECT_FALSE(is_valid_filter(bad)) << bad;
  }
  EXPECT_FALSE(parse_shared("a/b"));
  EXPECT_TRUE(is_valid_filter("$share"));
}

TEST(Topic, MatchesTheExamplesOfTheSpecification_4_7_1) {
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1"));
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
  EXPECT_TRUE(matches("sport/#", "sport"));
  EXPECT_TRUE(matches("#", "a/b"));
  EXPECT_TRUE(matches("sport/tennis/+", "sport/tennis/player1"));
  EXPECT_FALSE(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
  EXPECT_FALSE(matches("sport/+", "sport"));
  EXPECT_TRUE(matches("sport/+", "sport/"));
  EXPECT_TRUE(matches("+/+", "/finance"));
  EXPECT_TRUE(matches("/+", "/finance"));
  EXPECT_FALSE(matches("+", "/finance"));
  EXPECT_FALSE(matches("a/+/#", "a"));
  EXPECT_TRUE(matches("a/+/#", "a/"));
}

TEST(Topic, LeadingWildcardsDoNotMatchDollarNames_MQTT_4_7_2_1) {
  EXPECT_FALSE(matches("#", "$SYS/a"));
  EXPECT_FALSE(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
  EXPECT_TRUE(matches("$SYS/#", "$SYS/a"));
  EXPECT_TRUE(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
}

TEST(Topic, CountsEmptyLevels_MQTT_4_7_1_1) {
  EXPECT_EQ(level_count("a"), 1u);
  EXPECT_EQ(level_count("/"), 2u);
  EXPECT_EQ(level_count("a//b"), 3u);
}

}  // namespace
}  // namespace petrel::topics
