#include "base/timing_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>

namespace petrel {
namespace {

TEST(TimingWheel, FiresAtTheDeadlineNotBefore) {
  TimingWheel wheel;
  wheel.advance(1'000'000, [](TimerNode&) { FAIL(); });
  TimerNode node;
  wheel.schedule(node, 1'000'500);
  int fired = 0;
  wheel.advance(1'000'499, [&](TimerNode&) { ++fired; });
  EXPECT_EQ(fired, 0);
  wheel.advance(1'000'500 + TimingWheel::kTickMs, [&](TimerNode&) { ++fired; });
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(node.scheduled());
}

TEST(TimingWheel, FiresAtTheFirstAdvanceWhatWasDueBefore) {
  for (const TimeMs begin : {TimeMs{16}, TimeMs{1'023}, TimeMs{70'000}, TimeMs{1'700'000'000'000}}) {
    TimingWheel wheel;
    std::vector<std::unique_ptr<TimerNode>> nodes;
    for (const TimeMs before : {0, 1, 16, 500, 1'024}) {
      nodes.push_back(std::make_unique<TimerNode>());
      wheel.schedule(*nodes.back(), std::max<TimeMs>(begin - before, 0) / TimingWheel::kTickMs * TimingWheel::kTickMs);
    }
    std::size_t fired = 0;
    wheel.advance(begin, [&](TimerNode&) { ++fired; });
    EXPECT_EQ(fired, nodes.size()) << begin;
  }
}

TEST(TimingWheel, HasNoDeadlineWhenEmpty) {
  TimingWheel wheel;
  wheel.advance(5'000, [](TimerNode&) {});
  EXPECT_EQ(wheel.next_deadline(), kNever);
  TimerNode node;
  wheel.schedule(node, 6'000);
  EXPECT_GT(wheel.next_deadline(), 5'000);
  EXPECT_LE(wheel.next_deadline(), 6'000 + TimingWheel::kTickMs);
  wheel.cancel(node);
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(TimingWheel, ForgetsADestroyedNode) {
  TimingWheel wheel;
  wheel.advance(0, [](TimerNode&) {});
  auto node = std::make_unique<TimerNode>();
  wheel.schedule(*node, 100);
  node.reset();
  wheel.advance(1'000, [](TimerNode&) { FAIL(); });
}

TEST(TimingWheel, ANodeMayReschedulItselfWhileFiring) {
  TimingWheel wheel;
  TimeMs now = 10'000;
  wheel.advance(now, [](TimerNode&) {});
  TimerNode node;
  wheel.schedule(node, now + 100);
  int fired = 0;
  while (now < 12'000) wheel.advance(now += 10, [&](TimerNode& n) { ++fired, wheel.schedule(n, now + 100); });
  EXPECT_GE(fired, 15);
  EXPECT_LE(fired, 20);
}

// Against a sorted map: no timer early, none later than a tick after the time of the call, from milliseconds to years.
TEST(TimingWheel, AgreesWithASortedMap) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    TimingWheel wheel;
    TimeMs now = static_cast<TimeMs>(random() % 2'000'000'000'000);
    wheel.advance(now, [](TimerNode&) {});
    std::vector<std::unique_ptr<TimerNode>> nodes(200);
    for (auto& node : nodes) node = std::make_unique<TimerNode>();
    std::map<TimerNode*, TimeMs> model;
    for (int step = 0; step < 1000; ++step) {
      TimerNode& node = *nodes[random() % nodes.size()];
      const auto what = random() % 10;
      if (what < 5) {
        const TimeMs delay = static_cast<TimeMs>(random() % (std::uint64_t{1} << (random() % 36)));
        wheel.schedule(node, now + delay);
        model[&node] = now + delay;
      } else if (what < 6) {
        wheel.cancel(node);
        model.erase(&node);
      } else {
        const TimeMs due = wheel.next_deadline();
        for (const auto& [n, deadline] : model) ASSERT_LE(due, std::max(deadline, now) + 2 * TimingWheel::kTickMs);
        now += static_cast<TimeMs>(random() % (std::uint64_t{1} << (random() % 19)));
        wheel.advance(now, [&](TimerNode& n) {
          ASSERT_TRUE(model.contains(&n));
          ASSERT_LE(model[&n], now);
          model.erase(&n);
        });
        for (const auto& [n, deadline] : model) ASSERT_GT(deadline, now - 2 * TimingWheel::kTickMs) << "seed " << seed;
      }
    }
  }
}

TEST(TimingWheel, StopsWhenItIsToldAndGoesOnLater) {
  TimingWheel wheel;
  wheel.advance(0, [](TimerNode&) {});
  std::vector<std::unique_ptr<TimerNode>> nodes(10);
  for (auto& node : nodes) wheel.schedule(*(node = std::make_unique<TimerNode>()), 100);
  std::set<TimerNode*> fired;
  const auto fire = [&](TimerNode& node) { EXPECT_TRUE(fired.insert(&node).second); };
  const auto at_once = [] { return true; };
  wheel.advance(1000, fire, at_once);
  EXPECT_EQ(fired.size(), 1U);
  EXPECT_LE(wheel.next_deadline(), 1000) << "the others are due";
  wheel.cancel(*nodes[9]);
  for (int turn = 0; turn < 3; ++turn) wheel.advance(1000, fire, at_once);
  EXPECT_EQ(fired.size(), 4U);
  wheel.advance(1000, fire);
  EXPECT_EQ(fired.size(), 9U);
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

}  // namespace
}  // namespace petrel
