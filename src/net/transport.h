// A byte stream by readiness: try to read or write now, hear when it would block. A transport is bound to an event loop
// only by the registration of its descriptor, so a connection can move to another thread's loop with it.
//
// A layered transport (TLS, WebSocket) reads and writes bytes of its own too: handshakes, pongs, the end of a record.
// What its driver has to know of that is wants_write(), has_buffered() and established(); plain TCP leaves them as they
// are.
//
// Threads: one at a time.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "net/address.h"
#include "net/peer_identity.h"

namespace petrel::net {

enum class IoStatus : std::uint8_t { kOk, kWouldBlock, kEnd, kError };

struct IoResult {
  std::size_t bytes = 0;
  IoStatus status = IoStatus::kOk;
  int error = 0;  // errno with kError
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Fills the pieces in order. Precondition of both: there is room, or something to write. What write_some() has not
  // taken is offered again, unchanged, before anything else.
  virtual IoResult read_some(std::span<const iovec> into) = 0;
  virtual IoResult write_some(std::span<const iovec> from) = 0;
  // Announces that nothing more will be written; reading goes on. What the transport still holds is sent first.
  virtual void end_writing() = 0;
  // What end_writing() will say, where the protocol can tell: that the server goes away.
  virtual void announce_shutdown() {}
  virtual int fd() const = 0;

  // Whether the transport holds bytes that the socket has not taken. While it does, write_pending() is called when the
  // socket is writable; kOk: nothing is left. Meanwhile write_some() may take nothing.
  virtual bool wants_write() const { return false; }
  virtual IoResult write_pending() { return {}; }
  // Whether read_some() has something to say though the socket may stay silent. Asked after each read_some().
  virtual bool has_buffered() const { return false; }
  // False until handshakes are over: nothing can be written before.
  virtual bool established() const { return true; }
  virtual PeerIdentity identity() const { return {}; }
  // Where the peer is, and the same for people: as the system knows it, or as a proxy that is believed has told.
  virtual Address peer_address() const { return Address::of_peer(fd()); }
  virtual std::string peer_name() const;
  // A proxy that is believed says where the client is. Only kept by who was made for it (told_transport.h).
  virtual void tell_peer(const Address&) {}
  // Why a call returned kError, in words.
  virtual std::string failure(const IoResult& result) const;
};

// Plain TCP, or any stream socket.
class TcpTransport : public Transport {
 public:
  explicit TcpTransport(int fd) : fd_(fd) {}  // takes the descriptor
  ~TcpTransport() override;
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

  IoResult read_some(std::span<const iovec> into) override;
  IoResult write_some(std::span<const iovec> from) override;
  void end_writing() override;
  int fd() const override { return fd_; }

 private:
  int fd_;
};

}  // namespace petrel::net
