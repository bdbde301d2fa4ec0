// Many hostile connections in one epoll set. An attack opens peers with what they are to send and how they are to end,
// and calls turn() until its time is over; what the broker answers is only checked for its framing.
//
// Whoever half-closes must be hung up on by the broker within its patience: otherwise a descriptor is stuck, which is a
// Failure that names the stream's seed.
//
// Threads: one. The door outlives it. Peers live until turn() has ended them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "door.h"
#include "random_source.h"

namespace petrel::hostile {

using Clock = std::chrono::steady_clock;

// Something the broker must not do. The text says what, and which stream caused it.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Follows the fixed headers of what the broker sends.
class FrameCheck {
 public:
  // False as soon as the bytes cannot come from a server.
  bool take(BytesView bytes);
  bool refused() const { return refused_; }  // a CONNACK with an error was among them

 private:
  bool header_byte(std::uint8_t byte);

  std::uint32_t missing_ = 0;  // of the packet's body
  std::uint32_t length_ = 0;
  unsigned shift_ = 0;
  std::uint32_t body_at_ = 0;
  std::uint8_t type_ = 0;
  bool in_length_ = false;
  bool refused_ = false;
};

struct Peer;

struct Plan {
  std::string bytes;
  std::uint64_t seed = 0;          // of the stream, for a Failure
  std::size_t piece_bytes = 0;     // at most so many a turn; 0: what the socket takes
  std::size_t receive_buffer = 0;  // 0: the system's
  bool reads = true;
  enum class End : std::uint8_t {
    kHalfClose,  // the end of the stream is announced; the broker must hang up
    kReset,      // at once and without a word
    kStay,       // until stay_ms is over, then reset
  } end = End::kHalfClose;
  std::chrono::milliseconds stay{0};
  // Called when all is sent: true if it has appended to `out`.
  std::function<bool(Peer&)> more;
};

struct Peer {
  std::unique_ptr<Channel> channel;
  Plan plan;
  std::string out;
  std::size_t sent = 0;
  std::size_t index = 0;
  Clock::time_point due{};
  FrameCheck frames;
  bool connected = false;
  bool done = false;  // all is sent
  bool half_closed = false;
  bool ended = false;
  std::uint32_t watched = 0;
};

struct Counts {
  std::uint64_t streams = 0;  // connections that were to send something of their own
  std::uint64_t packets = 0;  // as far as the attack knows them
  std::uint64_t connections = 0;
  std::uint64_t refused = 0;  // CONNACK with an error, or reset before all was sent
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
};

class Crowd {
 public:
  Crowd(const Door& door, std::uint64_t seed, std::chrono::seconds patience);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void open(Plan plan);
  // One round of epoll; waits at most `wait` for something to happen.
  void turn(std::chrono::milliseconds wait = std::chrono::milliseconds(1));
  // Resets every peer that does not wait for the broker to hang up, and sees those out.
  void finish();
  std::size_t size() const { return peers_.size(); }
  Counts& counts() { return counts_; }

 private:
  Channel::Manners manners();
  void on_writable(Peer& peer);
  bool send_piece(Peer& peer);
  void on_readable(Peer& peer);
  void all_sent(Peer& peer);
  void end(Peer& peer, bool reset);
  void excuse(Clock::duration time);
  void end_overdue(Clock::time_point now);
  void refused(Peer& peer);
  void watch(Peer& peer);

  const Door& door_;
  const std::chrono::seconds patience_;
  RandomSource random_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<std::unique_ptr<Peer>> ended_;  // until the turn is over
  Clock::time_point next_sweep_ = Clock::now();
  Counts counts_;
};

}  // namespace petrel::hostile
