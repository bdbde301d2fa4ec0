#include "base/log.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace petrel {
namespace {

TEST(Log, WritesALineForPeople) {
  EXPECT_EQ(
      Log::format(LogFormat::kHuman, 1'000'000'000'123, LogLevel::kInfo, "started",
                  {{"address", "tcp://127.0.0.1:1883"}, {"threads", 2}, {"reason", "two words"}, {"empty", ""}}),
      "2001-09-09T01:46:40.123Z INFO  started address=tcp://127.0.0.1:1883 threads=2 reason=\"two words\" empty=\"\"");
}

TEST(Log, WritesJson) {
  EXPECT_EQ(
      Log::format(LogFormat::kJson, 0, LogLevel::kError, "bad \"event\"", {{"n", -5}, {"s", "a\n\x7f\\"}}),
      R"({"time":"1970-01-01T00:00:00.000Z","level":"error","event":"bad \"event\"","n":-5,"s":"a\u000a\u007f\\"})");
}

TEST(Log, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(Log::format(LogFormat::kJson, 0, LogLevel::kInfo, "e", {{"s", "\xc3\xa9|\xff|\xed\xa0\x80|\xe2\x82"}}),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"event\":\"e\","
            "\"s\":\"\xc3\xa9|\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\"}");
}

TEST(Log, EscapesTheControlCharactersAboveAscii) {
  EXPECT_EQ(Log::format(LogFormat::kJson, 0, LogLevel::kInfo, "e", {{"s", "\xc2\x9b|\xc2\xa0"}}),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"event\":\"e\",\"s\":\"\\u009b|\xc2\xa0\"}");
}

TEST(Log, WritesTheWholeRangeOfNumbers) {
  EXPECT_EQ(Log::format(LogFormat::kHuman, 0, LogLevel::kInfo, "e",
                        {{"most", ~std::uint64_t{0}}, {"least", std::numeric_limits<std::int64_t>::min()}}),
            "1970-01-01T00:00:00.000Z INFO  e most=18446744073709551615 least=-9223372036854775808");
}

TEST(Log, TellsTheBeginningOfALongText) {
  EXPECT_EQ(Log::format(LogFormat::kHuman, 0, LogLevel::kInfo, "e", {{"s", std::string(65'535, 'x')}}),
            "1970-01-01T00:00:00.000Z INFO  e s=\"" + std::string(512, 'x') + "... (65535 bytes)\"");
}

class LogLimiterTest : public testing::Test {
 protected:
  ~LogLimiterTest() override { std::fclose(file_); }
  // What was written since the last call.
  std::vector<std::string> lines() {
    std::vector<std::string> lines;
    std::string line;
    std::fseek(file_, at_, SEEK_SET);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
      if (c != '\n') {
        line += static_cast<char>(c);
      } else {
        lines.push_back(std::exchange(line, {}));
      }
    }
    at_ = std::ftell(file_);
    return lines;
  }
  std::FILE* file_ = std::tmpfile();
  long at_ = 0;
  Log log_{file_};
  LogLimiter limited_{log_};
};

TEST_F(LogLimiterTest, TellsOnlySoMuchOfOneEvent) {
  for (int i = 0; i < 1000; ++i) limited_.info("refused", {{"n", i}});
  limited_.info("other", {});
  EXPECT_EQ(lines().size(), LogLimiter::kLinesPerInterval + 1);
}

TEST_F(LogLimiterTest, TellsHowMuchItLeftOutThoughTheEventNeverComesAgain) {
  limited_.advance(5'000);
  for (int i = 0; i < 100; ++i) limited_.info("refused", {{"n", i}});
  EXPECT_EQ(limited_.next_report(), 5'000 + LogLimiter::kIntervalMs);
  (void)lines();
  limited_.advance(5'000 + LogLimiter::kIntervalMs - 1);
  EXPECT_TRUE(lines().empty());
  limited_.advance(5'000 + LogLimiter::kIntervalMs);
  const auto told = lines();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("refused left_out=80"), std::string::npos) << told[0];
  EXPECT_EQ(limited_.next_report(), kNever);
}

TEST_F(LogLimiterTest, FinishTellsTheRest) {
  for (int i = 0; i < 21; ++i) limited_.warning("dropped", {});
  (void)lines();
  limited_.finish();
  const auto told = lines();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("WARN  dropped left_out=1"), std::string::npos) << told[0];
}

}  // namespace
}  // namespace petrel
