#include "base/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace petrel {
namespace {

TEST(Ring, AgreesWithADeque) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    Ring<std::unique_ptr<int>> ring;
    std::deque<int> model;
    for (int step = 0; step < 12'000; ++step) {
      // Grows and shrinks in turns, so that it wraps, doubles, breaks up and empties.
      const bool growing = (step / (seed % 2 == 0 ? 2000 : 500)) % 2 == 0;
      const bool grow = random() % 100 < (growing ? 70U : 25U);
      if (grow) {
        model.push_back(step);
        EXPECT_EQ(*ring.push_back(std::make_unique<int>(step)), step);
      } else if (!model.empty()) {
        ASSERT_EQ(*ring.pop_front(), model.front());
        model.pop_front();
      }
      ASSERT_EQ(ring.size(), model.size());
      ASSERT_EQ(ring.empty(), model.empty());
      if (!model.empty()) {
        const std::size_t at = random() % model.size();
        ASSERT_EQ(*ring[at], model[at]);
        ASSERT_EQ(*ring.front(), model.front());
        ASSERT_EQ(*ring.back(), model.back());
      }
    }
    Ring<std::unique_ptr<int>> moved = std::move(ring);
    EXPECT_EQ(moved.size(), model.size());
    EXPECT_TRUE(ring.empty());  // NOLINT(bugprone-use-after-move): what is tested
    moved.clear();
    EXPECT_TRUE(moved.empty());
  }
}

}  // namespace
}  // namespace petrel
