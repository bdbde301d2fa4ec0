// The sender's side of QoS 1 and 2 (MQTT 5.0, 4.3.2 and 4.3.3), for servers and clients alike: packet identifiers, the
// window of unacknowledged packets, what must be sent again on a new connection. Packets in flight lie in a ring in the
// order of their packet identifiers, which are given out in sequence: finding one is arithmetic, and acknowledging in
// order, the usual case, pops the front.
//
// Sans-I/O: it tells what to send and never sends. Threads: its owner's.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/ring.h"
#include "session/delivery.h"
#include "wire/packet.h"

namespace petrel::session {

class Outgoing {
 public:
  enum class State : std::uint8_t { kDone, kAwaitsPuback, kAwaitsPubrec, kAwaitsPubcomp };

  struct Entry {
    Delivery delivery;
    State state = State::kDone;
  };

  // The receiver's limits on this connection: its Receive Maximum [MQTT-3.3.4-9]. Entries still in flight from an
  // earlier connection are to be sent again (next_resend).
  void begin_connection(std::uint16_t receive_maximum);

  // Whether another PUBLISH may be sent now. False while older ones wait to be sent again.
  bool can_send() const {
    return resend_ == ring_.size() && unacknowledged_ < window_ &&
           ring_.size() < std::size_t{window_} * kSpanPerWindow && ring_.size() < kMaxPacketId;
  }
  // How many: 0 when can_send() is false, else at least 1.
  std::size_t room() const { return can_send() ? window_ - unacknowledged_ : 0; }
  bool idle() const { return ring_.empty(); }
  std::size_t inflight() const { return unacknowledged_; }

  // Gives the delivery (QoS 1 or 2) a packet identifier and keeps it until it is acknowledged.
  // Precondition: can_send().
  wire::PacketId send(Delivery delivery);

  // What the peer's acknowledgement did. `finished` holds the delivery that has left the window.
  struct Acknowledged {
    bool send_pubrel = false;
    std::optional<Delivery> finished;
  };
  // PUBACK: finishes a QoS 1 delivery. Errors: unknown packet identifier is a protocol error toward the QoS in flight;
  // kPacketIdentifierNotFound where the specification allows to go on (PUBREC, PUBCOMP of a forgotten exchange).
  Result<Acknowledged, wire::Error> on_puback(wire::PacketId id);
  // PUBREC: success asks for PUBREL; a reason of 0x80 or above ends the exchange [MQTT-4.3.3-4]. The message is
  // released to the caller in `finished` either way: it must not be sent again.
  Result<Acknowledged, wire::Error> on_pubrec(wire::PacketId id, wire::ReasonCode reason);
  Result<Acknowledged, wire::Error> on_pubcomp(wire::PacketId id);

  // The next packet to send again on this connection, in the original order [MQTT-4.4.0-1], [MQTT-4.6.0-1]: a PUBLISH
  // with DUP (state kAwaitsPuback, kAwaitsPubrec) or a PUBREL (kAwaitsPubcomp). Nothing when all have been sent or the
  // window is full. Deliveries whose message is gone (see Delivery::message) do not survive begin_connection().
  struct Resend {
    wire::PacketId packet_id;
    const Entry* entry;
  };
  std::optional<Resend> next_resend();

  // The exchange of a packet identifier that was sent on this connection, or null.
  const Entry* find_sent(wire::PacketId id) { return find(id); }

  // Puts back what a store remembers of an exchange, before the first connection; ids ascending from the oldest.
  void restore(wire::PacketId id, State state, Delivery delivery);

  // Takes all deliveries that are in flight as PUBLISH, oldest first, and forgets all exchanges: the session ends.
  template <class F>
  void abandon(F&& give) {
    for (std::size_t i = 0; i < ring_.size(); ++i) {
      if (ring_[i].state == State::kAwaitsPuback || ring_[i].state == State::kAwaitsPubrec)
        give(std::move(ring_[i].delivery));
    }
    reset();
  }
  // Looks at every exchange under way.
  template <class F>
  void for_each(F&& look) const {
    for (std::size_t i = 0; i < ring_.size(); ++i)
      if (ring_[i].state != State::kDone) look(packet_id_at(i), ring_[i]);
  }
  void reset();

 private:
  static constexpr std::uint32_t kMaxPacketId = 65535;
  // How far acknowledgements may lag out of order before sending waits for the oldest: bounds the ring.
  static constexpr std::uint32_t kSpanPerWindow = 4;

  wire::PacketId packet_id_at(std::size_t index) const {
    return static_cast<wire::PacketId>((first_id_ - 1 + index) % kMaxPacketId + 1);
  }
  Entry* find(wire::PacketId id);
  void finish(Entry& entry);

  Ring<Entry> ring_;
  std::uint32_t first_id_ = 1;        // packet identifier of ring_[0]
  std::uint32_t unacknowledged_ = 0;  // sent on this connection and not done
  std::uint32_t resend_ = 0;          // ring_[resend_..] wait to be sent again
  std::uint32_t window_ = 65535;
};

}  // namespace petrel::session
