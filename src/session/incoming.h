// The receiver's side of QoS 1 and 2, for servers and clients alike: which QoS 2 packet identifiers are held between
// PUBLISH and PUBREL, so that a message is taken once [MQTT-4.3.3-10], and how many PUBLISH packets of this connection
// are still unacknowledged, which the announced Receive Maximum bounds [MQTT-3.3.4-7]. What is held from earlier
// connections does not count (4.9): it may be more than the Receive Maximum of this one.
//
// Sans-I/O. Threads: its owner's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "session/packet_id_set.h"
#include "wire/packet.h"

namespace petrel::session {

class Incoming {
 public:
  enum class Taken : std::uint8_t {
    kNew,
    kDuplicate,  // QoS 2 packet identifier already held: acknowledge, do not deliver again
    kTooMany,    // the peer exceeds the Receive Maximum
  };

  void begin_connection(std::uint16_t receive_maximum) {
    receive_maximum_ = receive_maximum;
    unacknowledged_qos1_ = 0;
    held_before_ = static_cast<std::uint16_t>(qos2_.size());
  }

  // A PUBLISH with QoS 1 has come; acknowledged() when its PUBACK is sent.
  Taken take_qos1() {
    if (is_full()) return Taken::kTooMany;
    ++unacknowledged_qos1_;
    return Taken::kNew;
  }
  void acknowledged_qos1() {
    if (unacknowledged_qos1_ > 0) --unacknowledged_qos1_;
  }

  Taken take_qos2(wire::PacketId id) {
    if (holds(id)) return Taken::kDuplicate;
    if (is_full()) return Taken::kTooMany;
    qos2_.add(id);
    return Taken::kNew;
  }
  // PUBREL, or a PUBREC that refuses the message. False if the identifier is not held.
  bool release(wire::PacketId id) {
    const bool held = qos2_.remove(id);
    held_before_ = static_cast<std::uint16_t>(std::min<std::size_t>(held_before_, qos2_.size()));
    return held;
  }
  bool holds(wire::PacketId id) const { return qos2_.contains(id); }
  void restore(wire::PacketId id) {
    if (!holds(id)) qos2_.add(id);
  }
  void reset() {
    qos2_.clear();
    unacknowledged_qos1_ = 0;
    held_before_ = 0;
  }

 private:
  bool is_full() const { return unacknowledged_qos1_ + qos2_.size() >= std::size_t{receive_maximum_} + held_before_; }

  PacketIdSet qos2_;
  std::uint16_t unacknowledged_qos1_ = 0;
  std::uint16_t receive_maximum_ = 65535;
  std::uint16_t held_before_ = 0;  // at most so many of qos2_ are of earlier connections
};

}  // namespace petrel::session
