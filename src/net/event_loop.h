// The reactor of one thread: epoll, level-triggered, with one wait per turn and a hook at each end of a turn. It knows
// descriptors and readiness, nothing else. Reason for not using Asio here: docs/adr/0001.
//
// Threads: everything belongs to the thread in run(), but wake() and stop(), which any thread may call. Handlers are
// removed before they are destroyed.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/histogram.h"

namespace petrel::net {

// Called with the events that epoll reported (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, EPOLLRDHUP).
class EventHandler {
 public:
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~EventHandler() = default;
};

class TurnHooks {
 public:
  virtual void begin_turn(TimeMs now) = 0;
  virtual void end_turn() = 0;
  // When a turn is due though nothing happens; kNever: not at all.
  virtual TimeMs next_deadline() = 0;
  // Whether another thread has left work for this one. Asked after the loop has announced that it is about to sleep.
  virtual bool has_work() = 0;

 protected:
  ~TurnHooks() = default;
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // 0, or the errno of a system that has no room for another registration.
  [[nodiscard]] int add(int fd, EventHandler& handler, std::uint32_t events);
  void modify(int fd, EventHandler& handler, std::uint32_t events);
  // Events already fetched for the handler are not delivered any more.
  void remove(int fd, EventHandler& handler);

  void run(TurnHooks& hooks);
  void stop();
  // Makes the loop take a turn. Costs a system call only if the loop sleeps. What the caller has left for the loop it
  // has left by a sequentially consistent store, which has_work() looks at.
  void wake();

  TimeMs now() const { return clock_.now(); }
  // How long turns took: what became ready meanwhile had to wait for so long. Any thread.
  const Histogram& turns() const { return turns_; }

 private:
  static constexpr int kEventsPerTurn = 2048;
  static int timeout_ms(TurnHooks& hooks, TimeMs now);

  SteadyClock clock_;
  Histogram turns_;
  int epoll_ = -1;
  int wake_fd_ = -1;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::array<epoll_event, kEventsPerTurn> events_;
  int fetched_ = 0;
  int handled_ = 0;
};

}  // namespace petrel::net
