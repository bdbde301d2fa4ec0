#include "http/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace petrel::http {
namespace {

// Every line is what Prometheus' text format allows, and every value has its family's lines before it.
TEST(Metrics, AreWellFormed) {
  const ListenerCounts listeners[] = {{.name = "tcp://127.0.0.1:1883", .accepted = 3, .refused = 1},
                                      {.name = "odd \"\\"}};
  Timings timings;
  timings.turns.resize(2);
  timings.turns[1].counts[2] = 3;
  timings.turns[1].counts.back() = 1;
  timings.turns[1].sum_us = 2'500'000;
  broker::SysTotals totals;
  totals.clients_connected = 7;
  const std::string text = metrics_text(totals, {.queue_full = 5}, listeners, timings, "petrel 1", 65'000);
  std::istringstream lines(text);
  std::set<std::string> families;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string mark, kind, family, type;
    if (line.starts_with("# TYPE ")) {
      words >> mark >> kind >> family >> type;
      EXPECT_TRUE(families.insert(family).second) << line;
      EXPECT_THAT(type, testing::AnyOf("counter", "gauge", "histogram")) << line;
    } else if (line.starts_with("# HELP petrel_")) {
      EXPECT_TRUE(line.ends_with('.')) << line;
    } else {
      std::string name = line.substr(0, line.find_first_of("{ "));
      for (const std::string_view part : {"_bucket", "_sum", "_count"})
        if (name.find("_seconds_") != std::string::npos && name.ends_with(part)) name.erase(name.size() - part.size());
      EXPECT_TRUE(families.contains(name)) << line;
      const std::string value = line.substr(line.rfind(' ') + 1);
      EXPECT_FALSE(value.empty()) << line;
      EXPECT_EQ(value.find_first_not_of("0123456789."), std::string::npos) << line;
    }
  }
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_clients_connected 7\n"));
  EXPECT_THAT(text, testing::HasSubstr(R"(petrel_listener_accepted_total{listener="odd \"\\"} 0)"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_uptime_seconds 65\n"));
  for (const char* line : {R"(bucket{thread="1",le="0.0001"} 0)", R"(bucket{thread="1",le="0.00025"} 3)",
                           R"(bucket{thread="1",le="1"} 3)", R"(bucket{thread="1",le="+Inf"} 4)",
                           R"(sum{thread="1"} 2.5)", R"(count{thread="1"} 4)", R"(count{thread="0"} 0)"})
    EXPECT_THAT(text, testing::HasSubstr(std::string("\npetrel_loop_turn_seconds_") + line + "\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_store_writable 1\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_dropped_total{reason=\"queue_full\"} 5\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_listener_accepted_total{listener=\"tcp://127.0.0.1:1883\"} 3\n"));
}

}  // namespace
}  // namespace petrel::http
