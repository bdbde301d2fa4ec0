#include "session/outgoing.h"

#include <cassert>

namespace petrel::session {

using wire::Error;
using wire::ReasonCode;

void Outgoing::begin_connection(std::uint16_t receive_maximum) {
  window_ = receive_maximum;
  unacknowledged_ = 0;
  resend_ = 0;
  // An exchange whose message was not kept cannot be repeated.
  for (std::size_t i = 0; i < ring_.size(); ++i) {
    Entry& entry = ring_[i];
    if (entry.state != State::kAwaitsPubcomp && entry.delivery.message.get() == nullptr) entry.state = State::kDone;
  }
  while (!ring_.empty() && ring_.front().state == State::kDone) {
    ring_.pop_front();
    first_id_ = first_id_ % kMaxPacketId + 1;
  }
}

wire::PacketId Outgoing::send(Delivery delivery) {
  assert(can_send());
  const State state = delivery.qos == wire::Qos::k2 ? State::kAwaitsPubrec : State::kAwaitsPuback;
  ring_.push_back(Entry{std::move(delivery), state});
  ++unacknowledged_;
  ++resend_;
  return packet_id_at(ring_.size() - 1);
}

Outgoing::Entry* Outgoing::find(wire::PacketId id) {
  if (id == 0) return nullptr;
  const std::uint32_t index = (id + kMaxPacketId - first_id_) % kMaxPacketId;
  // Beyond resend_ nothing has been sent on this connection, so nothing there can be acknowledged.
  if (index >= resend_) return nullptr;
  Entry& entry = ring_[index];
  return entry.state == State::kDone ? nullptr : &entry;
}

void Outgoing::finish(Entry& entry) {
  entry.state = State::kDone;
  --unacknowledged_;
  while (!ring_.empty() && ring_.front().state == State::kDone) {
    ring_.pop_front();
    first_id_ = first_id_ % kMaxPacketId + 1;
    if (resend_ > 0) --resend_;
  }
}

Result<Outgoing::Acknowledged, Error> Outgoing::on_puback(wire::PacketId id) {
  Entry* entry = find(id);
  if (entry == nullptr)
    return Error{ReasonCode::kPacketIdentifierNotFound, "PUBACK for a packet identifier not in use"};
  if (entry->state != State::kAwaitsPuback)
    return Error{ReasonCode::kProtocolError, "PUBACK for a PUBLISH that was sent with QoS 2"};
  Acknowledged result{false, std::move(entry->delivery)};
  finish(*entry);
  return result;
}

Result<Outgoing::Acknowledged, Error> Outgoing::on_pubrec(wire::PacketId id, ReasonCode reason) {
  Entry* entry = find(id);
  if (entry == nullptr)
    return Error{ReasonCode::kPacketIdentifierNotFound, "PUBREC for a packet identifier not in use"};
  if (entry->state == State::kAwaitsPuback)
    return Error{ReasonCode::kProtocolError, "PUBREC for a PUBLISH that was sent with QoS 1"};
  if (entry->state == State::kAwaitsPubcomp) return Acknowledged{true, std::nullopt};
  Acknowledged result{!wire::is_error(reason), std::move(entry->delivery)};
  entry->delivery = Delivery{};
  entry->delivery.qos = wire::Qos::k2;
  if (result.send_pubrel) {
    entry->state = State::kAwaitsPubcomp;
  } else {
    finish(*entry);
  }
  return result;
}

Result<Outgoing::Acknowledged, Error> Outgoing::on_pubcomp(wire::PacketId id) {
  Entry* entry = find(id);
  if (entry == nullptr)
    return Error{ReasonCode::kPacketIdentifierNotFound, "PUBCOMP for a packet identifier not in use"};
  if (entry->state != State::kAwaitsPubcomp)
    return Error{ReasonCode::kProtocolError, "PUBCOMP for an exchange that awaits PUBACK or PUBREC"};
  finish(*entry);
  return Acknowledged{};
}

std::optional<Outgoing::Resend> Outgoing::next_resend() {
  while (resend_ < ring_.size()) {
    const std::uint32_t index = resend_;
    Entry& entry = ring_[index];
    if (entry.state == State::kDone) {
      ++resend_;
      continue;
    }
    if (unacknowledged_ >= window_) return std::nullopt;
    ++resend_;
    ++unacknowledged_;
    return Resend{packet_id_at(index), &entry};
  }
  return std::nullopt;
}

void Outgoing::restore(wire::PacketId id, State state, Delivery delivery) {
  if (ring_.empty()) first_id_ = id;
  // Identifiers between the remembered ones were acknowledged.
  while (packet_id_at(ring_.size()) != id) ring_.push_back(Entry{});
  ring_.push_back(Entry{std::move(delivery), state});
}

void Outgoing::reset() {
  // The sequence goes on, so that a late acknowledgement of an old exchange is not taken for one of a new exchange.
  if (!ring_.empty()) first_id_ = packet_id_at(ring_.size());
  ring_.clear();
  unacknowledged_ = resend_ = 0;
}

}  // namespace petrel::session
