// One MQTT connection of a load test: a socket that does not block, bytes in and out, and what every client does alike
// (CONNECT, SUBSCRIBE). Publisher and subscriber derive from it.
//
// Threads: one. The host outlives its links. Views that callbacks get are valid during the call.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/decode.h"
#include "wire/packet.h"

namespace petrel::load {

using Clock = std::chrono::steady_clock;

inline std::uint64_t nanoseconds(Clock::time_point time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

class Link;

// What links need of the run they belong to.
class LinkHost {
 public:
  virtual void watch(Link& link, int fd, bool fresh, bool writable) = 0;
  virtual void on_connected(Link& link) = 0;
  virtual void on_subscribed(Link& link) = 0;
  virtual void on_lost(Link& link, std::string_view why) = 0;
  virtual std::vector<char>& read_buffer() = 0;

 protected:
  ~LinkHost() = default;
};

struct LinkSettings {
  std::string client_id;
  wire::ProtocolVersion version = wire::ProtocolVersion::kV311;
  bool clean_start = true;
  std::uint32_t session_expiry_interval_s = 0;
};

class Link {
 public:
  Link(LinkHost& host, LinkSettings settings) : host_(host), settings_(std::move(settings)) {}
  virtual ~Link() { close(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  LinkSettings& settings() { return settings_; }
  // Opens the socket and sends CONNECT; the host hears on_connected() when CONNACK has come.
  void connect(const sockaddr_storage& address, socklen_t address_bytes);
  void subscribe(std::string_view filter, wire::Qos qos);
  void disconnect();
  bool is_open() const { return fd_ >= 0; }

  void on_events(std::uint32_t events);
  void flush();
  Clock::time_point connect_began() const { return connect_began_; }

 protected:
  virtual void on_publish(const wire::Publish& publish) = 0;
  virtual void on_ack(const wire::Ack& ack) = 0;
  virtual void on_turn_end() {}  // after what was read has been handled
  virtual void on_connack(const wire::Connack&) {}

  void write_ack(wire::PacketType type, wire::PacketId packet_id);
  std::string& output() { return output_; }
  std::size_t unsent_bytes() const { return output_.size() - sent_; }
  wire::ProtocolVersion version() const { return settings_.version; }
  void lose(std::string_view why);
  // Has on_turn_end() called once the socket takes bytes, though none may be left then.
  void go_on_when_writable() { goes_on_ = true; }

  LinkHost& host_;

 private:
  template <class Packet>
  void write(const Packet& packet);
  void close();
  void receive();
  std::size_t take_frames(std::string_view input);
  void dispatch(const wire::Frame& frame);

  LinkSettings settings_;
  int fd_ = -1;
  std::string output_, rest_;
  std::size_t sent_ = 0;  // of output_
  bool writable_wanted_ = false;
  bool goes_on_ = false;
  Clock::time_point connect_began_;
};

}  // namespace petrel::load
