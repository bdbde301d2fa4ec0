#include "base/log.h"

#include <gtest/gtest.h>

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

TEST(LogLimiter, TellsOnlySoMuchOfOneEvent) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  Log log(file);
  LogLimiter limited(log);
  for (int i = 0; i < 1000; ++i) limited.info("refused", {{"n", i}});
  limited.info("other", {});
  std::rewind(file);
  std::uint32_t lines = 0;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) lines += c == '\n' ? 1U : 0U;
  EXPECT_EQ(lines, LogLimiter::kLinesPerInterval + 1);
  std::fclose(file);
}

}  // namespace
}  // namespace petrel
