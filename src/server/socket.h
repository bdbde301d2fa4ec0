// One client's socket: a broker::Connection over a transport, registered with a shard's event loop. An idle socket
// holds no buffer: what is read goes into the shard's one read buffer, and only the incomplete end of a packet is kept
// here.
//
// Threads: the shard's that has it; moves whole to another shard before its CONNECT is taken.
#pragma once

#include <memory>
#include <string>

#include "broker/connection.h"
#include "net/event_loop.h"
#include "net/transport.h"

namespace petrel::server {

class ShardThread;

class Socket final : public broker::Connection, public net::EventHandler {
 public:
  Socket(std::unique_ptr<net::Transport> t, const broker::ListenerPolicy& p) : transport(std::move(t)) { policy = &p; }

  std::string peer_name() const override;
  void on_events(std::uint32_t events) override;

  ShardThread* owner = nullptr;
  std::unique_ptr<net::Transport> transport;
  std::unique_ptr<std::string> partial;  // the beginning of a packet
  std::uint32_t interest = 0;            // events registered with the loop
  std::uint32_t index = 0;               // place in the shard's list of sockets
  bool paused = false;                   // reading waits for Shard::resume
  bool closing = false;                  // close as soon as the output is sent
  bool gone = false;                     // destroyed at the end of the turn
  TimeMs close_deadline = kNever;
};

}  // namespace petrel::server
