#include "http/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
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
  const std::regex type(R"(# TYPE (petrel_[a-z_]+) (counter|gauge))"), help(R"(# HELP petrel_[a-z_]+ .+\.)"),
      value(R"re((petrel_[a-z_]+)(\{[a-z]+="([^"\\]|\\.)*"\})? [0-9]+)re");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, type)) {
      EXPECT_TRUE(families.insert(match[1]).second) << line;
    } else if (!std::regex_match(line, help)) {
      ASSERT_TRUE(std::regex_match(line, match, value)) << line;
      EXPECT_TRUE(families.contains(match[1])) << line;
    }
  }
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_clients_connected 7\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_uptime_seconds 65\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_dropped_total{reason=\"queue_full\"} 5\n"));
  EXPECT_THAT(text, testing::HasSubstr("\npetrel_listener_accepted_total{listener=\"tcp://127.0.0.1:1883\"} 3\n"));
}

}  // namespace
}  // namespace petrel::http
