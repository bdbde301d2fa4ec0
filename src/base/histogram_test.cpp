#include "base/histogram.h"

#include <gtest/gtest.h>

namespace petrel {
namespace {

TEST(Histogram, CountsByUpperBound) {
  Histogram histogram;
  for (const std::uint64_t duration_us : {0, 50, 51, 1000, 1'000'000, 1'000'001, 90'000'000})
    histogram.add(duration_us);
  const Histogram::Values values = histogram.values();
  EXPECT_EQ(values.counts[0], 2U);
  EXPECT_EQ(values.counts[1], 1U);
  EXPECT_EQ(values.counts[4], 1U);
  EXPECT_EQ(values.counts[Histogram::kBoundsUs.size() - 1], 1U);
  EXPECT_EQ(values.counts.back(), 2U);
  EXPECT_EQ(values.sum_us, 92'001'102U);
}

}  // namespace
}  // namespace petrel
