#include "base/release_memory.h"

#include <gtest/gtest.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <vector>

namespace petrel {
namespace {

TEST(ReleaseMemory, EmptiesAndGivesTheRoomBack) {
  std::string text(1000, 'x');
  std::vector<int> numbers(1000);
  boost::unordered_flat_map<int, int> table;
  for (int i = 0; i < 1000; ++i) table[i] = i;
  release_memory(text);
  release_memory(numbers);
  release_memory(table);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text.capacity(), std::string().capacity());
  EXPECT_EQ(numbers.capacity(), 0U);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.bucket_count(), (boost::unordered_flat_map<int, int>().bucket_count()));
}

}  // namespace
}  // namespace petrel
