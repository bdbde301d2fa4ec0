// PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5.0, 3.4 to 3.7), DISCONNECT (3.14), AUTH (3.15).
#include "wire/decode.h"
#include "wire/property_reader.h"

namespace petrel::wire {

namespace {

bool is_valid_ack_reason(PacketType type, ReasonCode reason) {
  using enum ReasonCode;
  if (reason == kSuccess) return true;
  if (type == PacketType::kPubrel || type == PacketType::kPubcomp) return reason == kPacketIdentifierNotFound;
  switch (reason) {
    case kNoMatchingSubscribers:
    case kUnspecifiedError:
    case kImplementationSpecificError:
    case kNotAuthorized:
    case kTopicNameInvalid:
    case kPacketIdentifierInUse:
    case kQuotaExceeded:
    case kPayloadFormatInvalid:
      return true;
    default:
      return false;
  }
}

// Table 3-13.
bool is_valid_disconnect_reason(Sender sender, ReasonCode reason) {
  using enum ReasonCode;
  switch (reason) {
    case kSuccess:
    case kUnspecifiedError:
    case kMalformedPacket:
    case kProtocolError:
    case kImplementationSpecificError:
    case kTopicNameInvalid:
    case kReceiveMaximumExceeded:
    case kTopicAliasInvalid:
    case kPacketTooLarge:
    case kMessageRateTooHigh:
    case kQuotaExceeded:
    case kAdministrativeAction:
    case kPayloadFormatInvalid:
      return true;
    case kDisconnectWithWillMessage:
      return sender == Sender::kClient;
    case kNotAuthorized:
    case kServerBusy:
    case kServerShuttingDown:
    case kKeepAliveTimeout:
    case kSessionTakenOver:
    case kTopicFilterInvalid:
    case kRetainNotSupported:
    case kQosNotSupported:
    case kUseAnotherServer:
    case kServerMoved:
    case kSharedSubscriptionsNotSupported:
    case kConnectionRateExceeded:
    case kMaximumConnectTime:
    case kSubscriptionIdentifiersNotSupported:
    case kWildcardSubscriptionsNotSupported:
    case kBadAuthenticationMethod:
      return sender == Sender::kServer;
    default:
      return false;
  }
}

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
  if (ack.packet_id == 0) return malformed("acknowledgement with packet identifier 0 (2.2.1)");
  if (version == ProtocolVersion::kV5) {
    if (!cursor.empty()) {
      ack.reason = static_cast<ReasonCode>(cursor.u8());
      if (!is_valid_ack_reason(type, ack.reason))
        return protocol_error("acknowledgement with a reason code not its own");
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
      if (!is_valid_disconnect_reason(sender, disconnect.reason))
        return protocol_error("DISCONNECT with a reason code not its sender's (3.14.2.1)");
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

Result<Auth, Error> decode_auth(BytesView body) {
  Cursor cursor(body);
  Auth auth;
  if (cursor.empty()) return auth;
  auth.reason = static_cast<ReasonCode>(cursor.u8());
  using enum ReasonCode;
  if (auth.reason != kSuccess && auth.reason != kContinueAuthentication && auth.reason != kReAuthenticate)
    return protocol_error("AUTH with a reason code not its own [MQTT-3.15.2-1]");
  PropertyReader reader(cursor, packet_bit(PacketType::kAuth));
  while (const auto property = reader.next()) {
    if (property->id == PropertyId::kAuthenticationMethod) auth.authentication_method = property->text;
    if (property->id == PropertyId::kAuthenticationData) auth.authentication_data = property->text;
    if (property->id == PropertyId::kReasonString) auth.reason_string = property->text;
  }
  if (reader.error()) return *reader.error();
  auth.user_properties = reader.user_properties();
  if (!cursor.empty()) return malformed("AUTH has bytes behind its last field");
  return auth;
}

}  // namespace petrel::wire
