// TLS 1.2 and 1.3 on a socket, the server's side. OpenSSL is given a BIO of our own: what it sends is gathered and goes
// out in one system call, and after a short read it is told that there is no more without asking the system again. So
// an OpenSSL call never waits to write, and readiness means what it means for plain TCP.
//
// Threads: one at a time. Holds its context. Without unsent or half-read records it holds no buffer.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>

#include "net/place_limit.h"
#include "net/tls_context.h"
#include "net/transport.h"

namespace petrel::net {

class TlsTransport : public Transport {
 public:
  // Takes the descriptor. The place among the handshakes is given back when the handshake is over.
  TlsTransport(int fd, std::shared_ptr<const TlsContext> context, PlaceLimit::Place place = {});
  ~TlsTransport() override;
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  IoResult read_some(std::span<const iovec> into) override;
  IoResult write_some(std::span<const iovec> from) override;
  void end_writing() override;
  int fd() const override { return fd_; }
  bool wants_write() const override { return !outgoing_.empty(); }
  IoResult write_pending() override;
  bool has_buffered() const override { return has_buffered_; }
  bool established() const override { return established_; }
  PeerIdentity identity() const override;
  std::string failure(const IoResult& result) const override;

  // Unsent bytes beyond which a peer that only makes us answer, and does not read, is given up.
  static constexpr std::size_t kMaxUnsentBytes = 262'144;
  // What one read_some() takes off the socket, lest records without payload keep it busy.
  static constexpr std::size_t kMaxTakenBytes = 262'144;

 private:
  enum class State : std::uint8_t { kOpen, kEnded, kFailed };
  struct Bio;

  // Fills the room from OpenSSL until there is no more. The bytes read.
  std::size_t read_records(std::span<const iovec> into);
  void handshake_over();
  void take_failure(int ssl_error);
  void fail(int error, unsigned long reason);
  IoResult state_result() const;
  IoResult send_outgoing();

  int fd_;
  int error_ = 0;                  // with kFailed
  std::uint32_t taken_bytes_ = 0;  // off the socket in this call
  std::shared_ptr<const TlsContext> context_;
  SSL* ssl_;
  PlaceLimit::Place place_;
  std::string outgoing_;      // sealed and not sent
  unsigned long reason_ = 0;  // OpenSSL's, with kFailed
  State state_ = State::kOpen;
  bool established_ = false;
  bool has_buffered_ = false;
  bool drained_ = false;    // the socket has nothing more for this call
  bool at_end_ = false;     // the peer has closed its side of the socket
  bool end_after_ = false;  // no more is sent once outgoing_ is
};

}  // namespace petrel::net
