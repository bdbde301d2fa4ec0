#include "server/partial_packet.h"

#include <gtest/gtest.h>

#include <string>

namespace petrel::server {
namespace {

// Feeds `size` bytes of a packet in reads of `step` and returns what was gathered and how much room was ever made.
std::size_t gather(std::size_t size, std::size_t step, std::size_t first) {
  std::string packet(size, '\0');
  for (std::size_t i = 0; i < size; ++i) packet[i] = static_cast<char>(i * 31 >> 3);
  PartialPacket partial;
  partial.append(std::string_view(packet).substr(0, first), size);
  std::size_t most = 0;
  while (!partial.complete()) {
    const iovec room = partial.room();
    EXPECT_GT(room.iov_len, 0U);
    EXPECT_LE(room.iov_len, partial.missing_bytes());
    const std::size_t have = partial.bytes().size();
    most = std::max(most, have + room.iov_len);
    const std::size_t n = std::min(room.iov_len, step);
    std::memcpy(room.iov_base, packet.data() + have, n);
    partial.commit(n);
    EXPECT_LE(most, std::max<std::size_t>(64 * 1024, 4 * (have + n) + 4 * first));
    if (testing::Test::HasFailure()) return 0;
  }
  EXPECT_EQ(partial.bytes(), packet);
  EXPECT_EQ(partial.missing_bytes(), 0U);
  return most;
}

TEST(PartialPacket, IsAPointerWhileEmpty) {
  EXPECT_EQ(sizeof(PartialPacket), sizeof(void*));
  PartialPacket partial;
  EXPECT_TRUE(partial.empty());
  EXPECT_FALSE(partial.is_large());
  EXPECT_FALSE(partial.complete());
  EXPECT_TRUE(partial.bytes().empty());
}

TEST(PartialPacket, GathersPacketsOfAllSizes) {
  for (const std::size_t size : {8'192U, 65'536U, 65'537U, 1'000'000U, 16'000'000U})
    for (const std::size_t step : {1'447U, 65'536U, 10'000'000U}) gather(size, step, 5);
}

TEST(PartialPacket, MakesNoRoomForMerePromises) { gather(200'000'000, 1'000'000, 5); }

TEST(PartialPacket, KeepsWhatIsOfNoKnownSize) {
  PartialPacket partial;
  partial.append("ab", 0);
  partial.append("", 0);
  partial.append("cd", 0);
  EXPECT_EQ(partial.bytes(), "abcd");
  EXPECT_FALSE(partial.is_large());
  EXPECT_EQ(partial.missing_bytes(), 0U);
  const PartialPacket taken = std::move(partial);
  EXPECT_TRUE(partial.empty());
  EXPECT_EQ(taken.bytes(), "abcd");
}

}  // namespace
}  // namespace petrel::server
