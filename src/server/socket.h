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
#include "net/place_limit.h"
#include "net/transport.h"
#include "server/door.h"
#include "server/partial_packet.h"

namespace petrel::server {

class ShardThread;

class Socket final : public broker::Connection, public net::EventHandler {
 public:
  Socket(std::unique_ptr<net::Transport> t, const Door& d, net::PlaceLimit::Place p)
      : place(std::move(p)), transport(std::move(t)), door(&d), layered(d.is_layered()) {
    policy = &d.policy();
  }

  std::string peer_name() const override;
  std::string proved_name() const override { return transport->identity().name(door->identity_from()); }
  void on_events(std::uint32_t events) override;

  net::PlaceLimit::Place place;
  ShardThread* owner = nullptr;
  std::unique_ptr<net::Transport> transport;
  const Door* door;
  PartialPacket partial;
  std::uint64_t linger_number = 0;  // place among the shard's lingering sockets, when closing
  std::uint32_t interest = 0;       // events registered with the loop; 0: not registered
  std::uint32_t index = 0;          // place in the shard's list of sockets
  std::uint32_t credit_bytes = 0;   // of what somebody may bring who sends little; grows with time
  bool paused = false;              // reading waits for Shard::resume
  bool congested = false;           // reading waits for another shard
  bool closing = false;             // close as soon as the output is sent
  bool busy = true;                 // new, or its last input made much work: it is read after the others
  // In one of the shard's queues of sockets to read.
  enum class Waits : std::uint8_t { kNot, kUnfinished, kNewcomer, kBusy } waits = Waits::kNot;
  bool yielded = false;    // it waits, and the packets in `partial` come first
  bool writable = false;   // to be written to though it was blocked
  bool ended = false;      // all is sent, and the peer is told that no more comes
  bool unread = true;      // nothing has been read so far
  bool buffered = false;   // waits for its turn to read what the transport holds
  bool layered = false;    // the transport has bytes of its own to read and write
  bool set_aside = false;  // it waits for longer than a turn: the loop does not look at it meanwhile
  bool broken = false;     // writing has failed, and its end is still to come
  bool gone = false;       // destroyed at the end of the turn
};

}  // namespace petrel::server
