// What the tests of net/ share: a loop that runs until a condition holds, and connected sockets. Threads: the test's.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <functional>

#include "net/address.h"
#include "net/event_loop.h"

namespace petrel::net {

// Runs the loop turn by turn until done() is true; fails the test after ten seconds.
class TurnsUntil final : public TurnHooks {
 public:
  TurnsUntil(EventLoop& loop, std::function<bool()> done)
      : loop_(loop), done_(std::move(done)), deadline_(loop.now() + 10'000) {
    loop_.run(*this);
  }
  int turns() const { return turns_; }

 private:
  void begin_turn(TimeMs now) override {
    ++turns_;
    now_ = now;
  }
  void end_turn() override {
    if (!done_() && now_ < deadline_) return;
    EXPECT_TRUE(done_()) << "not within ten seconds";
    loop_.stop();
  }
  TimeMs next_deadline() override { return std::min(deadline_, now_ + 20); }
  bool has_work() override { return false; }

  EventLoop& loop_;
  std::function<bool()> done_;
  TimeMs deadline_;
  TimeMs now_ = 0;
  int turns_ = 0;
};

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

inline Descriptor connect_to(const Address& address) {
  Descriptor client(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size), 0);
  return client;
}

}  // namespace petrel::net
