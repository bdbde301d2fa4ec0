// PUBACK, PUBREC, PUBREL and PUBCOMP from a client (MQTT 5.0, 3.4 to 3.7 and 4.3).
#include "broker/shard.h"
#include "broker/write_packet.h"

namespace petrel::broker {

using wire::PacketType;

bool Shard::handle_acknowledgement(Connection& connection, const wire::Frame& frame) {
  const auto ack = wire::decode_ack(connection.version, frame.type, frame.body);
  if (!ack.has_value()) {
    fail(connection, ack.error().reason, ack.error().what);
    return false;
  }
  switch (frame.type) {
    case PacketType::kPuback:
      handle_puback(connection, *ack);
      break;
    case PacketType::kPubrec:
      handle_pubrec(connection, *ack);
      break;
    case PacketType::kPubrel:
      handle_pubrel(connection, *ack);
      break;
    default:
      handle_pubcomp(connection, *ack);
      break;
  }
  return true;
}

void Shard::handle_puback(Connection& connection, const wire::Ack& ack) {
  Session& session = *connection.session;
  const auto done = session.out().outgoing.on_puback(ack.packet_id);
  if (!done.has_value()) {
    // A PUBACK that nothing waits for changes nothing; one for a QoS 2 exchange breaks the protocol.
    if (done.error().reason == Reason::kProtocolError) fail(connection, done.error().reason, done.error().what);
    return;
  }
  if (done->finished->id != 0) change(storage::Acknowledge{session.stored, done->finished->id, true});
  pump(session);
}

void Shard::handle_pubrec(Connection& connection, const wire::Ack& ack) {
  Session& session = *connection.session;
  const auto done = session.out().outgoing.on_pubrec(ack.packet_id, ack.reason);
  if (!done.has_value()) {
    if (done.error().reason == Reason::kProtocolError) return fail(connection, done.error().reason, done.error().what);
    // Unknown here: PUBREL says so and ends the exchange at the client as well.
    if (!wire::is_error(ack.reason)) hold_ack(session, PacketType::kPubrel, ack.packet_id, done.error().reason);
    return;
  }
  if (done->finished && done->finished->id != 0) {
    change(storage::Acknowledge{session.stored, done->finished->id});
    if (done->send_pubrel) {
      change(storage::PutOutgoing{session.stored, {ack.packet_id, done->finished->id, true}});
    } else {
      change(storage::EraseOutgoing{session.stored, ack.packet_id});
    }
  }
  if (done->send_pubrel) {
    hold_ack(session, PacketType::kPubrel, ack.packet_id);
  } else {
    pump(session);
  }
}

void Shard::handle_pubrel(Connection& connection, const wire::Ack& ack) {
  Session& session = *connection.session;
  if (!session.incoming.release(ack.packet_id)) {
    hold_ack(session, PacketType::kPubcomp, ack.packet_id, Reason::kPacketIdentifierNotFound);
    return;
  }
  if (session.stored != 0) change(storage::EraseIncoming{session.stored, ack.packet_id});
  hold_ack(session, PacketType::kPubcomp, ack.packet_id);
}

void Shard::handle_pubcomp(Connection& connection, const wire::Ack& ack) {
  Session& session = *connection.session;
  const auto done = session.out().outgoing.on_pubcomp(ack.packet_id);
  if (!done.has_value()) {
    if (done.error().reason == Reason::kProtocolError) fail(connection, done.error().reason, done.error().what);
    return;
  }
  if (session.stored != 0) change(storage::EraseOutgoing{session.stored, ack.packet_id});
  pump(session);
}

}  // namespace petrel::broker
