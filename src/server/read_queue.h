// Sockets with something to read that wait for their turn. Those that wait for longer than a turn are set aside: the
// event loop does not report them meanwhile, for thousands would be, in each turn.
//
// Threads: the shard's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "server/socket.h"

namespace petrel::server {

class ReadQueue {
 public:
  explicit ReadQueue(Socket::Waits kind) : kind_(kind) {}

  bool empty() const { return sockets_.empty(); }
  std::size_t size() const { return sockets_.size(); }
  // How many of them were never read. A socket is not read while it waits here.
  std::size_t unread() const { return unread_; }

  void push(Socket& socket) {
    socket.waits = kind_;
    sockets_.push_back(&socket);
    unread_ += socket.unread ? 1 : 0;
  }

  // The next one, and whether it was set aside. Not empty.
  std::pair<Socket&, bool> take() {
    Socket& socket = *sockets_.front();
    sockets_.pop_front();
    return {socket, left(socket)};
  }

  void remove(Socket& socket) {
    std::erase(sockets_, &socket);
    left(socket);
  }

  // Calls on_aside(Socket&) for each that has not been set aside yet.
  template <class OnAside>
  void set_aside(OnAside on_aside) {
    for (; aside_ < sockets_.size(); ++aside_) {
      sockets_[aside_]->set_aside = true;
      on_aside(*sockets_[aside_]);
    }
  }

 private:
  // True if it was set aside.
  bool left(Socket& socket) {
    socket.waits = Socket::Waits::kNot;
    unread_ -= socket.unread ? 1 : 0;
    const bool was_aside = std::exchange(socket.set_aside, false);
    aside_ -= was_aside ? 1 : 0;
    return was_aside;
  }

  const Socket::Waits kind_;
  std::deque<Socket*> sockets_;  // in the order in which their turn comes
  std::size_t aside_ = 0;        // so many, the first, are set aside
  std::size_t unread_ = 0;
};

}  // namespace petrel::server
