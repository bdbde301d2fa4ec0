#include "http/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace petrel::http {
namespace {

// Every line is what Prometheus' text format allows, and every value has its family's lines before it.
TEST(Metrics, AreWellFormed) {
  const ListenerCounts listeners[] = {{"tcp://127.0.0.1:1883", 3, 1, 2, 0}, {"odd \"\\", 0, 0, 0, 0}};
  broker::SysTotals totals;
  totals.clients_connected = 7;
  const std::string text = metrics_text(totals, {.queue_full = 5}, listeners, "petrel 1", 65'000);
  std::istringstream lines(text);
  std::set<std::string> families;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string mark, kind, family, type;
    if (line.starts_with("# TYPE ")) {
      words >> mark >> kind >> family >> type;
      EXPECT_TRUE(families.insert(family).second) << line;
      EXPECT_THAT(type, testing::AnyOf("counter", "gauge")) << line;
    } else if (line.starts_with("# HELP petrel_")) {
      EXPECT_TRUE(line.ends_with('.')) << line;
    } else {
      EXPECT_TRUE(families.contains(line.substr(0, line.find_first_of("{ ")))) << line;
      const std::string value = line.substr(line.rfind(' ') + 1);
      EXPECT_FALSE(value.empty()) << line;
      EXPECT_EQ(value.find_first_not_of("0123456789"), std::string::npos) << line;
    }
  }
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_clients_connected 7\n"));
  EXPECT_THAT(text, testing::HasSubstr(R"(petrel_listener_accepted_total{listener="odd \"\\"} 0)"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_uptime_seconds 65\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_dropped_total{reason=\"queue_full\"} 5\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_listener_accepted_total{listener=\"tcp://127.0.0.1:1883\"} 3\n"));
}

}  // namespace
}  // namespace petrel::http
