// A listening socket on an event loop. Accepting is paced: at most kAcceptsPerTurn connections a turn, so that a storm
// of them does not starve those who are connected already. When descriptors run out, the newest connection is accepted
// and closed at once, so that its client hears of it, and accepting pauses; it pauses too when the system has no memory
// for another socket, and while its owner holds it: new connections then wait in the system's queue.
//
// Threads: the loop's. The loop outlives the listener.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/address.h"
#include "net/event_loop.h"
#include "net/tcp_settings.h"

namespace petrel::net {

// A bound, listening, non-blocking socket. Several may listen on one address, one for each thread, and the system
// spreads connections over them (SO_REUSEPORT): the first claims the address, which fails if anyone else has it, the
// others join it. A Unix socket has one listener; the file that an earlier process has left is replaced.
enum class Claim : std::uint8_t { kFirst, kJoin };
// Connections inherit what `tcp` says, TCP_NODELAY always.
Result<int, AddressError> listen_on(const Endpoint& endpoint, Claim claim, const TcpSettings& tcp = {});
// The address a socket is bound to (the port, if 0 was asked for).
Address local_address(int fd);
// The address of the other end, for people; of a Unix socket its user and process.
std::string peer_name(int fd);

class Listener final : public EventHandler {
 public:
  static constexpr int kAcceptsPerTurn = 8;
  static constexpr TimeMs kPauseMs = 100;

  // `accepted` takes the descriptor (non-blocking); `exhausted` is told the errno that accepting failed
  // with, each time it pauses.
  Listener(EventLoop& loop, int fd, std::function<void(int fd)> accepted, std::function<void(int error)> exhausted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void on_events(std::uint32_t events) override;
  // When accepting goes on after a pause; kNever if it does not pause.
  TimeMs resumes_at() const { return resumes_at_; }
  void resume_if_due(TimeMs now);
  void hold(bool how);
  void close();

 private:
  void pause(int error);
  void watch();

  EventLoop& loop_;
  int fd_;
  int reserve_fd_;
  TimeMs resumes_at_ = kNever;
  bool held_ = false;
  std::function<void(int)> accepted_;
  std::function<void(int)> exhausted_;
};

}  // namespace petrel::net
