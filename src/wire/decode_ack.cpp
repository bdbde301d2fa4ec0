// PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5.0, 3.4 to 3.7), DISCONNECT (3.14), AUTH (3.15).
#include "wire/decode.h"
#include "wire/property_reader.h"
#include "wire/reason_table.h"

namespace petrel::wire {

namespace {

// A list that may hold a reason string and user properties only.
template <class Packet>
std::optional<Error> read_reason_properties(Cursor& cursor, PacketType type, Packet& packet) {
  PropertyReader reader(cursor, packet_bit(type));
  while (const auto property = reader.next())
    if (property->id == PropertyId::kReasonString) packet.reason_string = property->text;
  if (reader.error()) return reader.error();
  packet.user_properties = reader.user_properties();
  return std::nullopt;
}

}  // namespace

Result<Ack, Error> decode_ack(ProtocolVersion version, PacketType type, BytesView body) {
  Cursor cursor(body);
  Ack ack;
  ack.type = type;
  ack.packet_id = cursor.u16();
  if (!cursor.ok()) return malformed("acknowledgement is cut short");
  if (ack.packet_id == 0) return malformed("acknowledgement with packet identifier 0 [MQTT-2.2.1-5]");
  if (version == ProtocolVersion::kV5) {
    if (!cursor.empty()) {
      ack.reason = static_cast<ReasonCode>(cursor.u8());
      // Both sides acknowledge with the same codes.
      if (!is_valid_reason(type, Sender::kServer, ack.reason))
        return protocol_error("acknowledgement with a reason code not its own [MQTT-3.4.2-1], [MQTT-3.6.2-1]");
    }
    if (!cursor.empty()) {
      if (const auto error = read_reason_properties(cursor, type, ack)) return *error;
    }
  }
  if (!cursor.empty()) return malformed("acknowledgement has bytes behind its last field");
  return ack;
}

Result<Disconnect, Error> decode_disconnect(ProtocolVersion version, Sender sender, BytesView body) {
  Cursor cursor(body);
  Disconnect disconnect;
  if (version == ProtocolVersion::kV5) {
    if (!cursor.empty()) {
      disconnect.reason = static_cast<ReasonCode>(cursor.u8());
      if (!is_valid_reason(PacketType::kDisconnect, sender, disconnect.reason))
        return protocol_error("DISCONNECT with a reason code not its sender's [MQTT-3.14.2-1]");
    }
    if (!cursor.empty()) {
      PropertyReader reader(cursor, packet_bit(PacketType::kDisconnect));
      while (const auto property = reader.next()) {
        if (property->id == PropertyId::kSessionExpiryInterval) {
          if (sender == Sender::kServer)
            reader.refuse(protocol_error("DISCONNECT from a server with a session expiry interval [MQTT-3.14.2-2]"));
          disconnect.session_expiry_interval_s = property->number;
        }
        if (property->id == PropertyId::kReasonString) disconnect.reason_string = property->text;
        if (property->id == PropertyId::kServerReference) disconnect.server_reference = property->text;
      }
      if (reader.error()) return *reader.error();
      disconnect.user_properties = reader.user_properties();
    }
  }
  if (!cursor.empty()) return malformed("DISCONNECT has bytes behind its last field");
  return disconnect;
}

Result<Auth, Error> decode_auth(Sender sender, BytesView body) {
  Cursor cursor(body);
  Auth auth;
  // Without a body: success and no properties, which only a server has to tell (3.15.2.1).
  if (!cursor.empty()) auth.reason = static_cast<ReasonCode>(cursor.u8());
  if (!is_valid_reason(PacketType::kAuth, sender, auth.reason))
    return protocol_error("AUTH with a reason code not its sender's [MQTT-3.15.2-1]");
  if (body.empty()) return auth;
  PropertyReader reader(cursor, packet_bit(PacketType::kAuth));
  while (const auto property = reader.next()) {
    if (property->id == PropertyId::kAuthenticationMethod) auth.authentication_method = property->text;
    if (property->id == PropertyId::kAuthenticationData) auth.authentication_data = property->text;
    if (property->id == PropertyId::kReasonString) auth.reason_string = property->text;
  }
  if (reader.error()) return *reader.error();
  auth.user_properties = reader.user_properties();
  if (!auth.authentication_method) return protocol_error("AUTH without authentication method (3.15.2.2.2)");
  if (!cursor.empty()) return malformed("AUTH has bytes behind its last field");
  return auth;
}

}  // namespace petrel::wire
