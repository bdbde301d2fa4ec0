// CONNECT (MQTT 5.0, 3.1; 3.1.1, 3.1) and CONNACK (3.2).
#include <iterator>

#include "wire/decode.h"
#include "wire/message_properties.h"
#include "wire/reason_table.h"

namespace petrel::wire {

namespace {

constexpr std::uint8_t kUserNameFlag = 0x80, kPasswordFlag = 0x40, kWillRetain = 0x20, kWillQos = 0x18,
                       kWillFlag = 0x04, kCleanStart = 0x02, kReserved = 0x01;

// The protocol name and level (3.1.2.1, 3.1.2.2).
Result<ProtocolVersion, Error> read_version(Cursor& cursor) {
  const std::string_view protocol = cursor.binary();
  const std::uint8_t level = cursor.u8();
  if (!cursor.ok()) return malformed("CONNECT is cut short [MQTT-3.1.4-1]");
  if (protocol == "MQTT" && level == 4) return ProtocolVersion::kV311;
  if (protocol == "MQTT" && level == 5) return ProtocolVersion::kV5;
  if (protocol == "MQIsdp" && level == 3) return ProtocolVersion::kV31;
  if (protocol != "MQTT" && protocol != "MQIsdp")
    return Error{ReasonCode::kUnsupportedProtocolVersion, "protocol name is neither MQTT nor MQIsdp [MQTT-3.1.2-1]"};
  return Error{ReasonCode::kUnsupportedProtocolVersion, "protocol level is not 3.1, 3.1.1 or 5.0 [MQTT-3.1.2-2]"};
}

std::optional<Error> check_flags(ProtocolVersion version, std::uint8_t flags) {
  // MQTT 3.1 does not use the reserved bit, and disregards will QoS and will retain when there is no will (3.1).
  const bool v31 = version == ProtocolVersion::kV31;
  if (!v31 && (flags & kReserved) != 0) return malformed("reserved connect flag is set [MQTT-3.1.2-3]");
  const bool will = (flags & kWillFlag) != 0;
  if (!v31 && !will && (flags & (kWillQos | kWillRetain)) != 0)
    return malformed("will QoS or will retain without a will [MQTT-3.1.2-11], [MQTT-3.1.2-13]");
  if (will && (flags & kWillQos) == kWillQos) return malformed("will QoS 3 [MQTT-3.1.2-12]");
  if (version != ProtocolVersion::kV5 && (flags & kPasswordFlag) != 0 && (flags & kUserNameFlag) == 0)
    return malformed("password without user name [MQTT-3.1.2-22] (3.1.1)");
  return std::nullopt;
}

std::optional<Error> read_connect_properties(Cursor& cursor, Connect& connect) {
  PropertyReader reader(cursor, packet_bit(PacketType::kConnect));
  while (const auto property = reader.next()) {
    switch (property->id) {
      case PropertyId::kSessionExpiryInterval:
        connect.session_expiry_interval_s = property->number;
        break;
      case PropertyId::kReceiveMaximum:
        if (within(reader, *property, 1, 0xffff, "receive maximum 0 (3.1.2.11.3)"))
          connect.receive_maximum = static_cast<std::uint16_t>(property->number);
        break;
      case PropertyId::kMaximumPacketSize:
        if (within(reader, *property, 1, 0xffffffff, "maximum packet size 0 (3.1.2.11.4)"))
          connect.maximum_packet_size_bytes = property->number;
        break;
      case PropertyId::kTopicAliasMaximum:
        connect.topic_alias_maximum = static_cast<std::uint16_t>(property->number);
        break;
      case PropertyId::kRequestResponseInformation:
        if (within(reader, *property, 0, 1, "request response information above 1 (3.1.2.11.6)"))
          connect.request_response_information = property->number == 1;
        break;
      case PropertyId::kRequestProblemInformation:
        if (within(reader, *property, 0, 1, "request problem information above 1 (3.1.2.11.7)"))
          connect.request_problem_information = property->number == 1;
        break;
      case PropertyId::kAuthenticationMethod:
        connect.authentication_method = property->text;
        break;
      case PropertyId::kAuthenticationData:
        connect.authentication_data = property->text;
        break;
      default:
        break;
    }
  }
  if (reader.error()) return reader.error();
  if (connect.authentication_data && !connect.authentication_method)
    return protocol_error("authentication data without authentication method (3.1.2.11.10)");
  connect.user_properties = reader.user_properties();
  return std::nullopt;
}

std::optional<Error> read_will(Cursor& cursor, ProtocolVersion version, std::uint8_t flags, Connect& connect) {
  Will will;
  will.qos = static_cast<Qos>((flags & kWillQos) >> 3);
  will.retain = (flags & kWillRetain) != 0;
  if (version == ProtocolVersion::kV5) {
    PropertyReader reader(cursor, kWillProperties);
    while (const auto property = reader.next()) {
      if (property->id == PropertyId::kWillDelayInterval) will.delay_interval_s = property->number;
      take_message_property(reader, *property, will.properties);
    }
    if (reader.error()) return reader.error();
    will.properties.user_properties = reader.user_properties();
  }
  will.topic = cursor.binary();
  will.payload = cursor.binary();
  if (!cursor.ok()) return malformed("will topic or will payload is missing or cut short [MQTT-3.1.2-9]");
  if (const auto error = check_topic_name(will.topic)) return error;
  connect.will = will;
  return std::nullopt;
}

}  // namespace

Result<Connect, Error> decode_connect(BytesView body) {
  Cursor cursor(body);
  Connect connect;
  const auto version = read_version(cursor);
  if (!version.has_value()) return version.error();
  connect.version = *version;
  const std::uint8_t flags = cursor.u8();
  connect.keep_alive_s = cursor.u16();
  if (!cursor.ok()) return malformed("CONNECT is cut short [MQTT-3.1.4-1]");
  if (const auto error = check_flags(connect.version, flags)) return *error;
  connect.clean_start = (flags & kCleanStart) != 0;
  if (connect.version == ProtocolVersion::kV5) {
    if (const auto error = read_connect_properties(cursor, connect)) return *error;
  }
  connect.client_id = cursor.string();
  if (!cursor.ok())
    return malformed("client identifier is missing or not well-formed UTF-8 [MQTT-3.1.3-3], [MQTT-3.1.3-4]");
  if ((flags & kWillFlag) != 0) {
    if (const auto error = read_will(cursor, connect.version, flags, connect)) return *error;
  }
  if ((flags & kUserNameFlag) != 0) {
    // MQTT 3.1 lets the string be absent in spite of the flag.
    if (!(connect.version == ProtocolVersion::kV31 && cursor.empty())) connect.user_name = cursor.string();
    if (!cursor.ok())
      return malformed("user name is missing or not well-formed UTF-8 [MQTT-3.1.2-17], [MQTT-3.1.3-12]");
  }
  if ((flags & kPasswordFlag) != 0) {
    if (!(connect.version == ProtocolVersion::kV31 && cursor.empty())) connect.password = cursor.binary();
    if (!cursor.ok()) return malformed("password is missing or cut short [MQTT-3.1.2-19]");
  }
  if (!cursor.empty()) return malformed("CONNECT has bytes behind its last field [MQTT-3.1.4-1]");
  return connect;
}

namespace {

std::optional<Error> read_connack_properties(Cursor& cursor, Connack& connack) {
  PropertyReader reader(cursor, packet_bit(PacketType::kConnack));
  const auto flag = [&](const Property& property, std::optional<bool>& out) {
    if (within(reader, property, 0, 1, "CONNACK property above 1 (3.2.2.3)")) out = property.number == 1;
  };
  while (const auto property = reader.next()) {
    const auto number16 = static_cast<std::uint16_t>(property->number);
    switch (property->id) {
      case PropertyId::kSessionExpiryInterval:
        connack.session_expiry_interval_s = property->number;
        break;
      case PropertyId::kReceiveMaximum:
        if (within(reader, *property, 1, 0xffff, "receive maximum 0 (3.2.2.3.3)")) connack.receive_maximum = number16;
        break;
      case PropertyId::kMaximumQos:
        if (within(reader, *property, 0, 1, "maximum QoS above 1 (3.2.2.3.4)"))
          connack.maximum_qos = static_cast<Qos>(property->number);
        break;
      case PropertyId::kRetainAvailable:
        flag(*property, connack.retain_available);
        break;
      case PropertyId::kMaximumPacketSize:
        if (within(reader, *property, 1, 0xffffffff, "maximum packet size 0 (3.2.2.3.6)"))
          connack.maximum_packet_size_bytes = property->number;
        break;
      case PropertyId::kAssignedClientIdentifier:
        connack.assigned_client_identifier = property->text;
        break;
      case PropertyId::kTopicAliasMaximum:
        connack.topic_alias_maximum = number16;
        break;
      case PropertyId::kReasonString:
        connack.reason_string = property->text;
        break;
      case PropertyId::kWildcardSubscriptionAvailable:
        flag(*property, connack.wildcard_subscription_available);
        break;
      case PropertyId::kSubscriptionIdentifierAvailable:
        flag(*property, connack.subscription_identifiers_available);
        break;
      case PropertyId::kSharedSubscriptionAvailable:
        flag(*property, connack.shared_subscription_available);
        break;
      case PropertyId::kServerKeepAlive:
        connack.server_keep_alive_s = number16;
        break;
      case PropertyId::kResponseInformation:
        connack.response_information = property->text;
        break;
      case PropertyId::kServerReference:
        connack.server_reference = property->text;
        break;
      case PropertyId::kAuthenticationMethod:
        connack.authentication_method = property->text;
        break;
      case PropertyId::kAuthenticationData:
        connack.authentication_data = property->text;
        break;
      default:
        break;
    }
  }
  if (reader.error()) return reader.error();
  connack.user_properties = reader.user_properties();
  return std::nullopt;
}

}  // namespace

Result<Connack, Error> decode_connack(ProtocolVersion version, BytesView body) {
  Cursor cursor(body);
  Connack connack;
  const std::uint8_t flags = cursor.u8();
  const std::uint8_t code = cursor.u8();
  if (!cursor.ok()) return malformed("CONNACK is cut short");
  // MQTT 3.1 does not use this byte (3.2).
  if (version != ProtocolVersion::kV31) {
    if ((flags & 0xfe) != 0) return malformed("reserved CONNACK flags are set [MQTT-3.2.2-1]");
    connack.session_present = flags == 1;
  }
  if (version == ProtocolVersion::kV5) {
    connack.reason = static_cast<ReasonCode>(code);
    if (!is_valid_reason(PacketType::kConnack, Sender::kServer, connack.reason))
      return protocol_error("CONNACK with a reason code not its own [MQTT-3.2.2-8]");
    if (const auto error = read_connack_properties(cursor, connack)) return *error;
  } else {
    static constexpr ReasonCode kReasons[] = {
        ReasonCode::kSuccess,           ReasonCode::kUnsupportedProtocolVersion, ReasonCode::kClientIdentifierNotValid,
        ReasonCode::kServerUnavailable, ReasonCode::kBadUserNameOrPassword,      ReasonCode::kNotAuthorized};
    if (code >= std::size(kReasons)) return malformed("CONNACK with a reserved return code (3.1.1, 3.2.2.3)");
    connack.return_code = code;
    connack.reason = kReasons[code];
  }
  if (connack.session_present && connack.reason != ReasonCode::kSuccess)
    return protocol_error("CONNACK refuses and has a session present [MQTT-3.2.2-6], [MQTT-3.2.2-4] (3.1.1)");
  if (!cursor.empty()) return malformed("CONNACK has bytes behind its last field");
  return connack;
}

}  // namespace petrel::wire
