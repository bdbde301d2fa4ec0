// A loopback connection through a door of the broker that yields whole packets. Threads: one user.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "door.h"
#include "wire/decode.h"

namespace petrel::hostile {

class WireSocket {
 public:
  // Connects and waits for it; throws Failure.
  WireSocket(const Door& door, wire::ProtocolVersion version);
  ~WireSocket();
  WireSocket(const WireSocket&) = delete;
  WireSocket& operator=(const WireSocket&) = delete;

  int fd() const { return channel_->fd(); }
  wire::ProtocolVersion version() const { return version_; }

  // Sends now what the socket takes, and keeps the rest for flush().
  void send(BytesView bytes);
  void flush();
  bool has_output() const { return !out_.empty() || channel_->wants_write(); }

  // Takes what has arrived, without waiting. Throws Failure when the broker has closed.
  void receive();
  // The next whole packet, if there is one; valid until receive().
  std::optional<wire::Frame> next();
  // The same, waiting for it as long as a healthy broker may take; throws Failure.
  wire::Frame wait();

 private:
  void await();

  std::unique_ptr<Channel> channel_;
  wire::ProtocolVersion version_;
  std::string in_;
  std::size_t taken_ = 0;
  std::string out_;
};

}  // namespace petrel::hostile
