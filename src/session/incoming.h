// The receiver's side of QoS 1 and 2, for servers and clients alike: which QoS 2 packet identifiers are held between
// PUBLISH and PUBREL, so that a message is taken once [MQTT-4.3.3-10], and how many PUBLISH packets of this connection
// are still unacknowledged, which the announced Receive Maximum bounds [MQTT-3.3.4-7].
//
// Sans-I/O. Threads: its owner's.
#pragma once

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
  }

  // A PUBLISH with QoS 1 has come; acknowledged() when its PUBACK is sent.
  Taken take_qos1() {
    if (unacknowledged_qos1_ + qos2_.size() >= receive_maximum_) return Taken::kTooMany;
    ++unacknowledged_qos1_;
    return Taken::kNew;
  }
  void acknowledged_qos1() {
    if (unacknowledged_qos1_ > 0) --unacknowledged_qos1_;
  }

  Taken take_qos2(wire::PacketId id) {
    if (holds(id)) return Taken::kDuplicate;
    if (unacknowledged_qos1_ + qos2_.size() >= receive_maximum_) return Taken::kTooMany;
    qos2_.add(id);
    return Taken::kNew;
  }
  // PUBREL, or a PUBREC that refuses the message. False if the identifier is not held.
  bool release(wire::PacketId id) { return qos2_.remove(id); }
  bool holds(wire::PacketId id) const { return qos2_.contains(id); }
  void restore(wire::PacketId id) {
    if (!holds(id)) qos2_.add(id);
  }
  void reset() {
    qos2_.clear();
    unacknowledged_qos1_ = 0;
  }

 private:
  PacketIdSet qos2_;
  std::uint16_t unacknowledged_qos1_ = 0;
  std::uint16_t receive_maximum_ = 65535;
};

}  // namespace petrel::session
