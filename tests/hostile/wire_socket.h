// A plain loopback connection that yields whole packets. Threads: one user.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "wire/decode.h"

namespace petrel::hostile {

class WireSocket {
 public:
  // Connects and waits for it; throws Failure.
  WireSocket(std::uint16_t port, wire::ProtocolVersion version);
  ~WireSocket();
  WireSocket(const WireSocket&) = delete;
  WireSocket& operator=(const WireSocket&) = delete;

  int fd() const { return fd_; }
  wire::ProtocolVersion version() const { return version_; }

  // Sends now what the socket takes, and keeps the rest for flush().
  void send(BytesView bytes);
  void flush();
  bool has_output() const { return !out_.empty(); }

  // Takes what has arrived, without waiting. Throws Failure when the broker has closed.
  void receive();
  // The next whole packet, if there is one; valid until receive().
  std::optional<wire::Frame> next();
  // The same, waiting for it as long as a healthy broker may take; throws Failure.
  wire::Frame wait();

 private:
  int fd_ = -1;
  wire::ProtocolVersion version_;
  std::string in_;
  std::size_t taken_ = 0;
  std::string out_;
};

}  // namespace petrel::hostile
