#include "load/sequence.h"

#include <gtest/gtest.h>

#include "load/histogram.h"

namespace petrel::load {
namespace {

using Verdict = Sequence::Verdict;

TEST(Sequence, TellsNewLateAndDuplicate) {
  Sequence sequence;
  EXPECT_EQ(sequence.note(0), Verdict::kNew);
  EXPECT_EQ(sequence.note(3), Verdict::kNew);
  EXPECT_EQ(sequence.note(3), Verdict::kDuplicate);
  EXPECT_EQ(sequence.note(1), Verdict::kLate);
  EXPECT_EQ(sequence.note(1), Verdict::kDuplicate);
  EXPECT_EQ(sequence.note(4), Verdict::kNew);
  EXPECT_EQ(sequence.note(2), Verdict::kLate);
}

TEST(Sequence, MembersOfAGroupShareTheNumbers) {
  SharedSequence sequence;
  EXPECT_TRUE(sequence.note(100'000));
  EXPECT_TRUE(sequence.note(0));
  EXPECT_FALSE(sequence.note(100'000));
}

TEST(Histogram, PercentilesAreWithinOnePercent) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100'000; ++value) histogram.add(value * 1000);
  EXPECT_EQ(histogram.count(), 100'000U);
  EXPECT_NEAR(static_cast<double>(histogram.at(0.5)), 50e6, 50e4);
  EXPECT_NEAR(static_cast<double>(histogram.at(0.99)), 99e6, 99e4);
  EXPECT_EQ(histogram.at(1), 100'000'000U);
  EXPECT_EQ(histogram.max(), 100'000'000U);
}

TEST(Histogram, TakesAnyNumber) {
  Histogram histogram;
  EXPECT_EQ(histogram.at(0.5), 0U);
  for (unsigned bit = 0; bit < 64; ++bit) histogram.add(std::uint64_t{1} << bit);
  histogram.add(0);
  histogram.add(~std::uint64_t{0});
  EXPECT_EQ(histogram.at(1), ~std::uint64_t{0});
}

}  // namespace
}  // namespace petrel::load
