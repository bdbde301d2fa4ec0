#include "server/heap_trimmer.h"

#include <gtest/gtest.h>

namespace petrel::server {
namespace {

int times_given_back = 0;

TEST(HeapTrimmer, GivesBackAfterABusyTimeAndSeldomerAndSeldomer) {
  times_given_back = 0;
  HeapTrimmer trimmer([] { ++times_given_back; });
  TimeMs now = 1'000'000;
  std::uint64_t work = 0;
  trimmer.look(now, work);
  for (int i = 0; i < 5; ++i) trimmer.look(now = trimmer.next_look(), work += HeapTrimmer::kBusyWork + 1);
  EXPECT_EQ(times_given_back, 0);
  trimmer.look(now = trimmer.next_look(), work += 10);
  EXPECT_EQ(times_given_back, 1);
  trimmer.look(now + 1, work);
  EXPECT_EQ(times_given_back, 1);
  for (int i = 0; i < 1000; ++i) trimmer.look(now = trimmer.next_look(), work);
  EXPECT_EQ(times_given_back, 7);
  trimmer.look(now = trimmer.next_look(), work += HeapTrimmer::kBusyWork + 1);
  trimmer.look(now = trimmer.next_look(), work);
  EXPECT_EQ(times_given_back, 8);
}

TEST(HeapTrimmer, WhoHasDoneLittleKeepsWhatItHas) {
  times_given_back = 0;
  HeapTrimmer trimmer([] { ++times_given_back; });
  TimeMs now = 1'000'000;
  for (std::uint64_t work = 0; work < 100; ++work) trimmer.look(now += HeapTrimmer::kLookMs, work);
  EXPECT_EQ(times_given_back, 0);
}

}  // namespace
}  // namespace petrel::server
