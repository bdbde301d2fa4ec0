#include "base/spinning.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace petrel {
namespace {

template <class Mutex>
class SpinningTest : public testing::Test {};
using Mutexes = testing::Types<std::mutex, std::shared_mutex>;
TYPED_TEST_SUITE(SpinningTest, Mutexes);

TYPED_TEST(SpinningTest, LetsOneInAtATime) {
  Spinning<TypeParam> mutex;
  std::uint64_t count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        const std::lock_guard lock(mutex);
        ++count;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 80'000U);
}

TYPED_TEST(SpinningTest, SleepsWhenItIsHeldForLong) {
  Spinning<TypeParam> mutex;
  bool done = false;
  std::unique_lock held(mutex);
  std::thread waiting([&] {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(done);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  done = true;
  held.unlock();
  waiting.join();
}

TEST(SpinningShared, LetsReadersInTogether) {
  Spinning<std::shared_mutex> mutex;
  const std::shared_lock first(mutex);
  std::thread second([&] { const std::shared_lock lock(mutex); });
  second.join();  // or it would wait for ever
}

}  // namespace
}  // namespace petrel
