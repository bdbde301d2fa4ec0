// SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (MQTT 5.0, 3.8 to 3.11).
#include "wire/decode.h"
#include "wire/property_reader.h"
#include "wire/reason_table.h"

namespace petrel::wire {

namespace {

std::optional<Error> read_packet_id(Cursor& cursor, PacketId& id) {
  id = cursor.u16();
  if (!cursor.ok()) return malformed("packet identifier is cut short");
  if (id == 0) return malformed("packet identifier 0 [MQTT-2.2.1-3]");
  return std::nullopt;
}

Result<std::string_view, Error> read_filter(Cursor& cursor) {
  const std::string_view filter = cursor.string();
  if (!cursor.ok())
    return malformed("topic filter is cut short or not well-formed UTF-8 [MQTT-3.8.3-1], [MQTT-3.10.3-1]");
  if (filter.empty()) return malformed("empty topic filter [MQTT-4.7.3-1]");
  return filter;
}

Result<SubscriptionOptions, Error> read_options(ProtocolVersion version, std::uint8_t bits, std::string_view filter) {
  const unsigned reserved = version == ProtocolVersion::kV5 ? 0xc0U : (version == ProtocolVersion::kV311 ? 0xfcU : 0U);
  if ((bits & reserved) != 0) return malformed("reserved bits of the subscription options are set [MQTT-3.8.3-5]");
  if ((bits & 0x03) == 3) {
    if (version == ProtocolVersion::kV5) return protocol_error("subscription with QoS 3 (3.8.3.1)");
    return malformed("subscription with QoS 3 [MQTT-3.8.3-4] (3.1.1)");
  }
  SubscriptionOptions options;
  options.maximum_qos = static_cast<Qos>(bits & 0x03);
  if (version != ProtocolVersion::kV5) return options;
  options.no_local = (bits & 0x04) != 0;
  options.retain_as_published = (bits & 0x08) != 0;
  const unsigned handling = (bits >> 4) & 0x03U;
  if (handling == 3) return protocol_error("subscription with retain handling 3 (3.8.3.1)");
  options.retain_handling = static_cast<RetainHandling>(handling);
  if (options.no_local && filter.starts_with("$share/"))
    return protocol_error("No Local on a shared subscription [MQTT-3.8.3-4]");
  return options;
}

}  // namespace

Result<FiltersHead, Error> decode_filters_head(ProtocolVersion version, PacketType type, BytesView body) {
  Cursor cursor(body);
  FiltersHead head;
  if (const auto error = read_packet_id(cursor, head.packet_id)) return *error;
  if (version == ProtocolVersion::kV5) {
    PropertyReader reader(cursor, packet_bit(type));
    while (const auto property = reader.next()) {
      if (property->id != PropertyId::kSubscriptionIdentifier) continue;
      if (property->number == 0) reader.refuse(protocol_error("subscription identifier 0 (3.8.2.1.2)"));
      head.subscription_identifier = property->number;
    }
    if (reader.error()) return *reader.error();
    head.user_properties = reader.user_properties();
  }
  head.filters = cursor.rest();
  if (!head.filters.empty()) return head;
  if (type == PacketType::kSubscribe) return protocol_error("SUBSCRIBE without a topic filter [MQTT-3.8.3-2]");
  return protocol_error("UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]");
}

Result<Subscription, Error> decode_filter(ProtocolVersion version, PacketType type, BytesView& filters) {
  Cursor cursor(filters);
  Subscription subscription;
  const auto filter = read_filter(cursor);
  if (!filter.has_value()) return filter.error();
  subscription.filter = *filter;
  if (type == PacketType::kSubscribe) {
    const std::uint8_t bits = cursor.u8();
    if (!cursor.ok()) return malformed("subscription options are missing");
    const auto options = read_options(version, bits, *filter);
    if (!options.has_value()) return options.error();
    subscription.options = *options;
  }
  filters = cursor.rest();
  return subscription;
}

Result<void, Error> decode_suback(ProtocolVersion version, PacketType type, BytesView body, Suback& out) {
  Cursor cursor(body);
  out.type = type;
  out.reasons.clear();
  out.reason_string.reset();
  out.user_properties = {};
  if (const auto error = read_packet_id(cursor, out.packet_id)) return *error;
  if (version == ProtocolVersion::kV5) {
    PropertyReader reader(cursor, packet_bit(type));
    while (const auto property = reader.next())
      if (property->id == PropertyId::kReasonString) out.reason_string = property->text;
    if (reader.error()) return *reader.error();
    out.user_properties = reader.user_properties();
  } else if (type == PacketType::kUnsuback) {
    if (!cursor.empty()) return malformed("UNSUBACK has bytes behind its last field");
    return {};
  }
  while (!cursor.empty()) {
    const auto reason = static_cast<ReasonCode>(cursor.u8());
    if (version == ProtocolVersion::kV5) {
      if (!is_valid_reason(type, Sender::kServer, reason))
        return protocol_error("acknowledged with a reason code not its own [MQTT-3.9.3-2], [MQTT-3.11.3-2]");
    } else if (static_cast<std::uint8_t>(reason) > 2 && reason != ReasonCode::kUnspecifiedError) {
      return malformed("SUBACK with a reserved return code [MQTT-3.9.3-2] (3.1.1)");
    }
    out.reasons.push_back(reason);
  }
  if (out.reasons.empty()) return protocol_error("SUBACK without a reason code (3.9.3)");
  return {};
}

}  // namespace petrel::wire
