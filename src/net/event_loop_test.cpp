#include "net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "net/test_support.h"

namespace petrel::net {
namespace {

class Pair : public EventHandler {
 public:
  Pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    near = Descriptor(ends[0]);
    far = Descriptor(ends[1]);
  }
  void on_events(std::uint32_t events) override {
    ++calls;
    seen |= events;
    if (react) react();
  }
  void send() { EXPECT_EQ(write(far.get(), "x", 1), 1); }

  Descriptor near, far;
  int calls = 0;
  std::uint32_t seen = 0;
  std::function<void()> react;
};

TEST(EventLoop, TellsReadinessUntilItIsRead) {
  EventLoop loop;
  Pair pair;
  ASSERT_EQ(loop.add(pair.near.get(), pair, EPOLLIN), 0);
  pair.send();
  const TurnsUntil turns(loop, [&] { return pair.calls >= 3; });
  EXPECT_EQ(pair.seen, static_cast<std::uint32_t>(EPOLLIN));
  loop.remove(pair.near.get(), pair);
}

TEST(EventLoop, ReportsARegistrationThatFails) {
  EventLoop loop;
  Pair pair;
  EXPECT_EQ(loop.add(-1, pair, EPOLLIN), EBADF);
  ASSERT_EQ(loop.add(pair.near.get(), pair, EPOLLIN), 0);
  EXPECT_EQ(loop.add(pair.near.get(), pair, EPOLLIN), EEXIST);
  loop.remove(pair.near.get(), pair);
}

// Two handlers are ready in one turn; the first to be called removes the other.
TEST(EventLoop, DoesNotCallWhoWasRemovedInTheSameTurn) {
  EventLoop loop;
  Pair a, b;
  a.react = [&] { loop.remove(b.near.get(), b); };
  b.react = [&] { loop.remove(a.near.get(), a); };
  ASSERT_EQ(loop.add(a.near.get(), a, EPOLLIN), 0);
  ASSERT_EQ(loop.add(b.near.get(), b, EPOLLIN), 0);
  a.send();
  b.send();
  const TurnsUntil turns(loop, [&] { return a.calls + b.calls >= 2; });
  EXPECT_EQ(std::min(a.calls, b.calls), 0);
}

// The work is left by a sequentially consistent store, then wake() is called: no turn may sleep over it.
TEST(EventLoop, AWakeIsNeverLost) {
  constexpr int kRounds = 20'000;
  struct Hooks final : TurnHooks {
    void begin_turn(TimeMs) override { taken = left.load(std::memory_order_seq_cst); }
    void end_turn() override {
      acknowledged.store(taken, std::memory_order_release);
      if (taken == kRounds) loop.stop();
    }
    TimeMs next_deadline() override { return kNever; }
    bool has_work() override { return left.load(std::memory_order_seq_cst) != taken; }
    explicit Hooks(EventLoop& l) : loop(l) {}
    EventLoop& loop;
    std::atomic<int> left{0};
    std::atomic<int> acknowledged{0};
    int taken = 0;
  };
  EventLoop loop;
  Hooks hooks(loop);
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      hooks.left.store(i, std::memory_order_seq_cst);
      loop.wake();
      // A lost wake-up shows as a test that never ends.
      while (hooks.acknowledged.load(std::memory_order_acquire) < i) std::this_thread::yield();
    }
  });
  loop.run(hooks);
  other.join();
  EXPECT_EQ(hooks.taken, kRounds);
}

TEST(EventLoop, StopsFromAnotherThread) {
  struct Hooks final : TurnHooks {
    void begin_turn(TimeMs) override {}
    void end_turn() override {}
    TimeMs next_deadline() override { return kNever; }
    bool has_work() override { return false; }
  };
  for (int i = 0; i < 200; ++i) {
    EventLoop loop;
    Hooks hooks;
    std::thread other([&] { loop.stop(); });
    loop.run(hooks);
    other.join();
  }
}

}  // namespace
}  // namespace petrel::net
