#include "base/output_buffer.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace petrel {
namespace {

int released = 0;
void count_release(const void*) { ++released; }

std::string all(const OutputBuffer& buffer) {
  std::array<OutputBuffer::Piece, 512> pieces{};
  std::string out;
  const std::size_t count = buffer.gather(pieces);
  for (std::size_t i = 0; i < count; ++i) out.append(pieces[i].data, pieces[i].size);
  return out;
}

TEST(OutputBuffer, IsEmptyUntilWrittenAndAfterAllIsSent) {
  BufferPool pool;
  OutputBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  buffer.append(pool, "abc");
  EXPECT_EQ(buffer.size(), 3U);
  buffer.consume(3);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0U);
}

TEST(OutputBuffer, TellsWhatIsLeftOfTheLargestReference) {
  BufferPool pool;
  OutputBuffer buffer;
  EXPECT_EQ(buffer.largest_reference_bytes(), 0U);
  buffer.append(pool, "abc");
  EXPECT_EQ(buffer.largest_reference_bytes(), 0U);
  const std::string large(5000, 'x');
  const auto refer = [&](std::size_t bytes) {
    buffer.append_reference(pool, std::string_view(large).substr(0, bytes), nullptr, [](const void*) {});
  };
  for (const std::size_t bytes : {2000, 5000, 4000}) refer(bytes);
  buffer.append(pool, std::string(5000, 'y'));  // into another block
  EXPECT_EQ(buffer.largest_reference_bytes(), 5000U);
  buffer.consume(3 + 2000);
  EXPECT_EQ(buffer.largest_reference_bytes(), 5000U);
  buffer.consume(4999);
  EXPECT_EQ(buffer.largest_reference_bytes(), 1U);
  buffer.consume(1);
  EXPECT_EQ(buffer.largest_reference_bytes(), 0U);
  refer(3000);
  EXPECT_EQ(buffer.largest_reference_bytes(), 3000U) << "of those that came since";
  buffer.consume(4000 + 5000 + 2999);
  EXPECT_EQ(buffer.largest_reference_bytes(), 1U);
  buffer.consume(1);
  EXPECT_TRUE(buffer.empty());
}

TEST(OutputBuffer, GrowsAndKeepsOrder) {
  BufferPool pool;
  OutputBuffer buffer;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string part = std::to_string(i) + ";";
    buffer.append(pool, part);
    expected += part;
  }
  EXPECT_EQ(all(buffer), expected);
}

// Whatever the mix of copied and referenced bytes and of partial writes: what leaves is what was put in, in order.
TEST(OutputBuffer, AgreesWithAStringUnderRandomUse) {
  const std::string large(5000, 'L');
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    BufferPool pool;
    OutputBuffer buffer;
    std::string model;
    released = 0;
    int referenced = 0;
    for (int step = 0; step < 200; ++step) {
      const auto what = random() % 4;
      if (what == 0) {
        const std::string part(random() % 700, static_cast<char>('a' + random() % 26));
        buffer.append(pool, part);
        model += part;
      } else if (what == 1) {
        const std::size_t size = 1 + random() % large.size();
        buffer.append_reference(pool, std::string_view(large).substr(0, size), nullptr, count_release);
        ++referenced;
        model.append(size, 'L');
      } else if (!model.empty()) {
        const std::size_t size = 1 + random() % std::min<std::size_t>(model.size(), 4000);
        buffer.consume(size);
        model.erase(0, size);
      }
      ASSERT_EQ(buffer.size(), model.size()) << "seed " << seed;
      ASSERT_EQ(all(buffer), model) << "seed " << seed;
    }
    buffer.clear();
    EXPECT_EQ(released, referenced) << "seed " << seed;
  }
}

}  // namespace
}  // namespace petrel
