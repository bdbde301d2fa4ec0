// PUBLISH (MQTT 5.0, 3.3).
#include <cstring>

#include "wire/decode.h"
#include "wire/message_properties.h"

namespace petrel::wire {

namespace {

// Whether one of eight characters is not plain: a wildcard, U+0000 or not ASCII.
bool has_special(const char* eight) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  std::uint64_t word = 0;
  std::memcpy(&word, eight, 8);
  // The top bit of each byte below 0x80 that is zero; of bytes behind such a one perhaps too, which does no harm.
  const auto zeros = [](std::uint64_t bytes) { return (bytes - kOnes) & ~bytes; };
  return ((word | zeros(word) | zeros(word ^ (kOnes * '+')) | zeros(word ^ (kOnes * '#'))) & (kOnes * 0x80)) != 0;
}

// Most topic names are plain ASCII: looked at eight characters at a time, the last eight perhaps twice.
bool is_plain(std::string_view topic) {
  if (topic.size() < 8) return false;
  for (std::size_t i = 0; i + 8 < topic.size(); i += 8)
    if (has_special(topic.data() + i)) return false;
  return !has_special(topic.data() + topic.size() - 8);
}

}  // namespace

std::optional<Error> check_topic_name(std::string_view topic) {
  if (is_plain(topic)) return std::nullopt;
  if (topic.empty()) return protocol_error("empty topic name [MQTT-4.7.3-1]");
  for (const char c : topic) {
    if (c == '+' || c == '#')
      return Error{ReasonCode::kTopicNameInvalid, "topic name with a wildcard [MQTT-3.3.2-2], [MQTT-4.7.0-1]"};
    if (c == '\0') return malformed("topic name with U+0000 [MQTT-1.5.4-2]");
  }
  if (!is_mqtt_utf8(topic)) return malformed("topic name is not well-formed UTF-8 [MQTT-3.3.2-1], [MQTT-3.1.3-11]");
  return std::nullopt;
}

bool take_message_property(PropertyReader& reader, const Property& property, MessageProperties& properties) {
  switch (property.id) {
    case PropertyId::kPayloadFormatIndicator:
      if (within(reader, property, 0, 1, "payload format indicator above 1 (3.3.2.3.2)"))
        properties.payload_format_indicator = static_cast<std::uint8_t>(property.number);
      return true;
    case PropertyId::kMessageExpiryInterval:
      properties.message_expiry_interval_s = property.number;
      return true;
    case PropertyId::kContentType:
      properties.content_type = property.text;
      return true;
    case PropertyId::kResponseTopic:
      if (const auto error = check_topic_name(property.text)) {
        reader.refuse(error->reason == ReasonCode::kTopicNameInvalid
                          ? protocol_error("response topic with a wildcard [MQTT-3.3.2-14]")
                          : *error);
      }
      properties.response_topic = property.text;
      return true;
    case PropertyId::kCorrelationData:
      properties.correlation_data = property.text;
      return true;
    case PropertyId::kUserProperty:
      return true;  // the reader spans them
    default:
      return false;
  }
}

namespace {

bool is_forwarded(PropertyId id) {
  return id != PropertyId::kMessageExpiryInterval && id != PropertyId::kTopicAlias &&
         id != PropertyId::kSubscriptionIdentifier;
}

// Widens `span` by `raw`; false if something else lies between.
bool extend(BytesView& span, BytesView raw) {
  if (span.empty()) {
    span = raw;
    return true;
  }
  if (span.data() + span.size() != raw.data()) return false;
  span = {span.data(), span.size() + raw.size()};
  return true;
}

std::optional<Error> read_properties(Cursor& cursor, Sender sender, Publish& publish) {
  PropertyReader reader(cursor, packet_bit(PacketType::kPublish));
  bool scattered = false;
  while (const auto property = reader.next()) {
    if (is_forwarded(property->id) && !extend(publish.forwarded_properties, property->raw)) scattered = true;
    if (take_message_property(reader, *property, publish.properties)) continue;
    if (property->id == PropertyId::kTopicAlias) {
      if (property->number == 0) reader.refuse({ReasonCode::kTopicAliasInvalid, "topic alias 0 [MQTT-3.3.2-8]"});
      publish.topic_alias = static_cast<std::uint16_t>(property->number);
    } else if (property->id == PropertyId::kSubscriptionIdentifier) {
      if (sender == Sender::kClient)
        reader.refuse(protocol_error("PUBLISH from a client with a subscription identifier [MQTT-3.3.4-6]"));
      if (property->number == 0) reader.refuse(protocol_error("subscription identifier 0 (3.3.2.3.8)"));
      // Not contiguous: begin anew, the reader of the span passes over what lies between.
      if (!extend(publish.subscription_identifiers, property->raw))
        publish.subscription_identifiers = {publish.subscription_identifiers.data(),
                                            static_cast<std::size_t>(property->raw.data() + property->raw.size() -
                                                                     publish.subscription_identifiers.data())};
    }
  }
  if (reader.error()) return reader.error();
  publish.property_bytes = reader.bytes();
  publish.properties.user_properties = reader.user_properties();
  publish.forwarded_properties_scattered = scattered;
  if (scattered) publish.forwarded_properties = {};
  return std::nullopt;
}

}  // namespace

Result<Publish, Error> decode_publish(ProtocolVersion version, Sender sender, std::uint8_t flags, BytesView body) {
  // Made where it is returned: the struct is large, and this is the hot path.
  Result<Publish, Error> result{Publish{}};
  Publish& publish = *result;
  publish.dup = (flags & 0x08) != 0;
  publish.retain = (flags & 0x01) != 0;
  const unsigned qos = (flags >> 1) & 0x03U;
  if (qos == 3) return malformed("PUBLISH with QoS 3 [MQTT-3.3.1-4]");
  publish.qos = static_cast<Qos>(qos);
  if (qos == 0 && publish.dup) return malformed("PUBLISH with QoS 0 and DUP [MQTT-3.3.1-2]");
  Cursor cursor(body);
  publish.topic = cursor.binary();
  if (qos != 0) publish.packet_id = cursor.u16();
  if (!cursor.ok()) return malformed("PUBLISH is cut short");
  if (qos != 0 && publish.packet_id == 0) return malformed("PUBLISH with packet identifier 0 [MQTT-2.2.1-3]");
  if (version == ProtocolVersion::kV5) {
    if (!cursor.empty() && cursor.rest()[0] == '\0') {
      cursor.u8();
    } else if (const auto error = read_properties(cursor, sender, publish)) {
      return *error;
    }
  }
  if (publish.topic.empty()) {
    if (!publish.topic_alias)
      return protocol_error("PUBLISH with neither topic name nor topic alias (3.3.2.1), [MQTT-4.7.3-1]");
  } else if (const auto error = check_topic_name(publish.topic)) {
    return *error;
  }
  publish.payload = cursor.rest();
  return result;
}

}  // namespace petrel::wire
