#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace petrel::net {

namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace

EventLoop::EventLoop() : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  wake_fd_ = checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  // Edge-triggered, so that it never needs to be read: each write is one event.
  epoll_event event{EPOLLIN | EPOLLET, {.ptr = nullptr}};
  checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_fd_, &event), "epoll_ctl");
}

EventLoop::~EventLoop() {
  close(wake_fd_);
  close(epoll_);
}

int EventLoop::add(int fd, EventHandler& handler, std::uint32_t events) {
  epoll_event event{events, {.ptr = &handler}};
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void EventLoop::modify(int fd, EventHandler& handler, std::uint32_t events) {
  epoll_event event{events, {.ptr = &handler}};
  // Of a registered descriptor this cannot fail (epoll_ctl(2)).
  checked(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void EventLoop::remove(int fd, EventHandler& handler) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  for (int i = handled_; i < fetched_; ++i)
    if (events_[static_cast<std::size_t>(i)].data.ptr == &handler)
      events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
}

int EventLoop::timeout_ms(TurnHooks& hooks, TimeMs now) {
  const TimeMs due = hooks.next_deadline();
  if (due == kNever) return -1;
  return static_cast<int>(std::clamp<TimeMs>(due - now, 0, 3'600'000));
}

void EventLoop::run(TurnHooks& hooks) {
  std::int64_t now_us = clock_.now_us();
  while (!stopping_.load(std::memory_order_acquire)) {
    int timeout = timeout_ms(hooks, now_us / 1000);
    // Announce the sleep first, then look for work: another thread leaves its work first, then looks whether we sleep
    // (wake()). Both sides being sequentially consistent, at least one of them sees the other.
    sleeping_.store(true, std::memory_order_seq_cst);
    if (hooks.has_work() || stopping_.load(std::memory_order_seq_cst)) timeout = 0;
    fetched_ = epoll_wait(epoll_, events_.data(), kEventsPerTurn, timeout);
    sleeping_.store(false, std::memory_order_relaxed);
    if (fetched_ < 0 && errno != EINTR) checked(fetched_, "epoll_wait");
    const std::int64_t began_us = clock_.now_us();
    hooks.begin_turn(began_us / 1000);
    for (handled_ = 0; handled_ < fetched_;) {
      const epoll_event event = events_[static_cast<std::size_t>(handled_++)];
      if (event.data.ptr != nullptr) static_cast<EventHandler*>(event.data.ptr)->on_events(event.events);
    }
    fetched_ = handled_ = 0;
    hooks.end_turn();
    now_us = clock_.now_us();
    turns_.add(static_cast<std::uint64_t>(now_us - began_us));
  }
}

void EventLoop::stop() {
  stopping_.store(true, std::memory_order_seq_cst);
  const std::uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof one) < 0) return;  // full counter: an event is pending anyway
}

void EventLoop::wake() {
  if (!sleeping_.load(std::memory_order_seq_cst)) return;
  // Only the first of several wakers needs to write.
  if (!sleeping_.exchange(false, std::memory_order_seq_cst)) return;
  const std::uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof one) < 0) return;
}

}  // namespace petrel::net
