// A client's connection as the broker sees it: bytes to send, protocol version, limits, aliases. The driver derives its
// socket from it and feeds Shard::receive(). Sans-I/O: nothing here reads or writes a descriptor.
//
// Threads: the shard's that has it; before CONNECT is read it may move to another shard (Shard::receive says so).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/output_buffer.h"
#include "base/time.h"
#include "broker/counters.h"
#include "broker/settings.h"
#include "broker/shard_timer.h"
#include "session/topic_aliases.h"
#include "wire/cursor.h"
#include "wire/packet.h"

namespace petrel::broker {

struct Session;

// What a listener says about those who come through it.
struct ListenerPolicy {
  bool allow_anonymous = true;
  bool may_read_sys = true;
  bool allow_v31 = true, allow_v311 = true, allow_v5 = true;
  wire::Qos maximum_qos = wire::Qos::k2;
  std::string mount_point;  // in front of all topics; empty: none (mount_point.h)
  std::string name;         // for logs: "tls://0.0.0.0:8883"
  ListenerLimits limits{};

  bool allows(wire::ProtocolVersion version) const {
    if (version == wire::ProtocolVersion::kV5) return allow_v5;
    return version == wire::ProtocolVersion::kV311 ? allow_v311 : allow_v31;
  }
};

class Connection : public ShardTimer {
 public:
  enum class State : std::uint8_t {
    kAwaitsConnect,
    kAwaitsCommit,  // accepted; CONNACK waits for the store
    kOpen,
    kClosing,  // has no session any more; what is in `output` is still to be sent
  };

  virtual std::string peer_name() const = 0;  // for logs: "192.0.2.7:4711"
  // The name that the transport has proved (certificate, pre-shared key); empty: none.
  virtual std::string proved_name() const { return {}; }
  std::string_view listener_name() const { return policy == nullptr ? std::string_view{} : policy->name; }
  std::string_view mount_point() const { return policy == nullptr ? std::string_view{} : policy->mount_point; }
  const ListenerLimits& listener_limits() const { return policy == nullptr ? kNoListenerLimits : policy->limits; }

  OutputBuffer output;
  Session* session = nullptr;
  const ListenerPolicy* policy = nullptr;
  ListenerTraffic* traffic = nullptr;  // of its listener and shard
  // What the client has a limited time from: until CONNECT has come, when the connection was opened; later, when
  // something was `refused`.
  TimeMs limited_since = 0;
  TimeMs last_received_at = 0;
  TimeMs blocked_since = 0;  // by the driver: the peer takes no bytes since then; 0: it does
  std::unique_ptr<session::IncomingAliases> incoming_aliases;
  std::unique_ptr<session::OutgoingAliases> outgoing_aliases;
  // The client's. A message that came with fewer properties could become larger than any packet.
  std::uint32_t maximum_packet_bytes = wire::kMaxPacketBytes;
  std::uint16_t keep_alive_s = 0;
  wire::Qos maximum_qos = wire::Qos::k2;  // the listener's
  wire::ProtocolVersion version = wire::ProtocolVersion::kV311;
  State state = State::kAwaitsConnect;
  bool flush_requested = false;     // cleared by the driver when it flushes
  bool wants_drain_notice = false;  // deliveries wait for `output` to shrink
  bool problem_information : 1 = true;
  bool is_mounted : 1 = false;            // its listener has a mount point
  bool has_own_packet_limit : 1 = false;  // its listener has a max_packet_bytes; known from CONNECT on
  // A publication of a 3.x client, which cannot be told: it is soon closed, and no other is taken until then.
  enum class Refused : std::uint8_t { kNothing, kByStore, kByQueue } refused : 2 = Refused::kNothing;
  std::uint32_t held_replies = 0;  // to its packets, that wait for the store
  bool waits_for_memory = false;   // not read until there is memory for what it publishes
  bool waits_for_store = false;    // not read until the store has caught up
  bool waits_for_filters = false;  // not read until all filters of its last packet are done
  bool waits_for_output = false;   // by the driver: not read until it has read what it was sent

 protected:
  Connection() : ShardTimer(Kind::kConnection) {}
  ~Connection() = default;
};

}  // namespace petrel::broker
