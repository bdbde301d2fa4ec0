// A byte stream by readiness: try to read or write now, hear when it would block. A transport is bound to an event loop
// only by the registration of its descriptor, so a connection can move to another thread's loop with it.
// Threads: one at a time.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

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
  // Fills the pieces in order. Precondition of both: there is room, or something to write.
  virtual IoResult read_some(std::span<const iovec> into) = 0;
  virtual IoResult write_some(std::span<const iovec> from) = 0;
  // Announces that nothing more will be written; reading goes on.
  virtual void end_writing() = 0;
  virtual int fd() const = 0;
};

// Plain TCP, or any stream socket.
class TcpTransport final : public Transport {
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
