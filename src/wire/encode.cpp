// Every packet is written by one function template over a Sink: once with a sink that counts, once with one that
// writes. Size and bytes therefore cannot disagree.
#include "wire/encode.h"

#include "wire/cursor.h"
#include "wire/property_reader.h"

namespace petrel::wire {

namespace {

struct Counter {
  std::size_t size = 0;
  void u8(std::uint8_t) { size += 1; }
  void u16(std::uint16_t) { size += 2; }
  void u32(std::uint32_t) { size += 4; }
  void variable(std::size_t value) { size += variable_byte_integer_size(value); }
  void bytes(BytesView bytes) { size += bytes.size(); }
  void payload(BytesView payload) { size += payload.size(); }
  void string(std::string_view text) { size += string_size(text); }
};

struct Writer {
  char* out;
  void u8(std::uint8_t value) { out = put_u8(out, value); }
  void u16(std::uint16_t value) { out = put_u16(out, value); }
  void u32(std::uint32_t value) { out = put_u32(out, value); }
  void variable(std::size_t value) { out = put_variable_byte_integer(out, value); }
  bool with_payload = true;
  void bytes(BytesView bytes) { out = put_bytes(out, bytes); }
  void payload(BytesView payload) {
    if (with_payload) out = put_bytes(out, payload);
  }
  void string(std::string_view text) { out = put_string(out, text); }
};

template <class Sink>
void id(Sink& sink, PropertyId property) {
  sink.u8(static_cast<std::uint8_t>(property));
}
template <class Sink>
void put(Sink& sink, PropertyId property, const std::optional<std::uint8_t>& value) {
  if (value) id(sink, property), sink.u8(*value);
}
template <class Sink>
void put(Sink& sink, PropertyId property, const std::optional<bool>& value) {
  if (value) id(sink, property), sink.u8(*value ? 1 : 0);
}
template <class Sink>
void put(Sink& sink, PropertyId property, const std::optional<std::uint16_t>& value) {
  if (value) id(sink, property), sink.u16(*value);
}
template <class Sink>
void put(Sink& sink, PropertyId property, const std::optional<std::uint32_t>& value) {
  if (value) id(sink, property), sink.u32(*value);
}
template <class Sink>
void put(Sink& sink, PropertyId property, const std::optional<std::string_view>& value) {
  if (value) id(sink, property), sink.string(*value);
}

// The lists that a broker makes hold nothing else, and may be of tens of thousands.
bool holds_only_identifiers(BytesView list) {
  for (std::size_t at = 0; at < list.size(); ++at) {
    if (static_cast<PropertyId>(list[at]) != PropertyId::kSubscriptionIdentifier) return false;
    do ++at;
    while (at < list.size() && (list[at] & 0x80) != 0);
    if (at == list.size()) return false;
  }
  return true;
}

// A list that spans repeated properties of a received packet may hold others in between.
template <class Sink>
void put_only(Sink& sink, PropertyId property, BytesView list) {
  if (property == PropertyId::kSubscriptionIdentifier && holds_only_identifiers(list)) return sink.bytes(list);
  while (!list.empty()) {
    const auto next = next_property(list);
    if (!next) return;
    if (next->id == property) sink.bytes(next->raw);
  }
}

template <class Sink>
void message_properties(Sink& sink, const MessageProperties& p) {
  put(sink, PropertyId::kPayloadFormatIndicator, p.payload_format_indicator);
  put(sink, PropertyId::kContentType, p.content_type);
  put(sink, PropertyId::kResponseTopic, p.response_topic);
  put(sink, PropertyId::kCorrelationData, p.correlation_data);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Sink>
void properties(Sink& sink, const Will& will) {
  if (will.delay_interval_s != 0) id(sink, PropertyId::kWillDelayInterval), sink.u32(will.delay_interval_s);
  put(sink, PropertyId::kMessageExpiryInterval, will.properties.message_expiry_interval_s);
  message_properties(sink, will.properties);
}

template <class Sink>
void properties(Sink& sink, const Connect& p) {
  put(sink, PropertyId::kSessionExpiryInterval, p.session_expiry_interval_s);
  put(sink, PropertyId::kReceiveMaximum, p.receive_maximum);
  put(sink, PropertyId::kMaximumPacketSize, p.maximum_packet_size_bytes);
  if (p.topic_alias_maximum != 0) id(sink, PropertyId::kTopicAliasMaximum), sink.u16(p.topic_alias_maximum);
  if (p.request_response_information) id(sink, PropertyId::kRequestResponseInformation), sink.u8(1);
  if (!p.request_problem_information) id(sink, PropertyId::kRequestProblemInformation), sink.u8(0);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
  put(sink, PropertyId::kAuthenticationMethod, p.authentication_method);
  put(sink, PropertyId::kAuthenticationData, p.authentication_data);
}

template <class Sink>
void properties(Sink& sink, const Connack& p) {
  put(sink, PropertyId::kSessionExpiryInterval, p.session_expiry_interval_s);
  put(sink, PropertyId::kReceiveMaximum, p.receive_maximum);
  if (p.maximum_qos) id(sink, PropertyId::kMaximumQos), sink.u8(static_cast<std::uint8_t>(*p.maximum_qos));
  put(sink, PropertyId::kRetainAvailable, p.retain_available);
  put(sink, PropertyId::kMaximumPacketSize, p.maximum_packet_size_bytes);
  put(sink, PropertyId::kAssignedClientIdentifier, p.assigned_client_identifier);
  if (p.topic_alias_maximum != 0) id(sink, PropertyId::kTopicAliasMaximum), sink.u16(p.topic_alias_maximum);
  put(sink, PropertyId::kReasonString, p.reason_string);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
  put(sink, PropertyId::kWildcardSubscriptionAvailable, p.wildcard_subscription_available);
  put(sink, PropertyId::kSubscriptionIdentifierAvailable, p.subscription_identifiers_available);
  put(sink, PropertyId::kSharedSubscriptionAvailable, p.shared_subscription_available);
  put(sink, PropertyId::kServerKeepAlive, p.server_keep_alive_s);
  put(sink, PropertyId::kResponseInformation, p.response_information);
  put(sink, PropertyId::kServerReference, p.server_reference);
  put(sink, PropertyId::kAuthenticationMethod, p.authentication_method);
  put(sink, PropertyId::kAuthenticationData, p.authentication_data);
}

template <class Sink>
void properties(Sink& sink, const Publish& p) {
  put(sink, PropertyId::kMessageExpiryInterval, p.properties.message_expiry_interval_s);
  put(sink, PropertyId::kTopicAlias, p.topic_alias);
  put_only(sink, PropertyId::kSubscriptionIdentifier, p.subscription_identifiers);
  if (!p.forwarded_properties.empty()) {
    sink.bytes(p.forwarded_properties);
  } else {
    message_properties(sink, p.properties);
  }
}

template <class Sink>
void properties(Sink& sink, const Subscribe& p) {
  if (p.subscription_identifier != 0) {
    id(sink, PropertyId::kSubscriptionIdentifier);
    sink.variable(p.subscription_identifier);
  }
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Sink>
void properties(Sink& sink, const Unsubscribe& p) {
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Sink>
void properties(Sink& sink, const Ack& p) {
  put(sink, PropertyId::kReasonString, p.reason_string);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Sink>
void properties(Sink& sink, const Suback& p) {
  put(sink, PropertyId::kReasonString, p.reason_string);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Sink>
void properties(Sink& sink, const Disconnect& p) {
  put(sink, PropertyId::kSessionExpiryInterval, p.session_expiry_interval_s);
  put(sink, PropertyId::kReasonString, p.reason_string);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
  put(sink, PropertyId::kServerReference, p.server_reference);
}

template <class Sink>
void properties(Sink& sink, const Auth& p) {
  put(sink, PropertyId::kAuthenticationMethod, p.authentication_method);
  put(sink, PropertyId::kAuthenticationData, p.authentication_data);
  put(sink, PropertyId::kReasonString, p.reason_string);
  put_only(sink, PropertyId::kUserProperty, p.user_properties);
}

template <class Packet>
std::size_t properties_size(const Packet& packet) {
  Counter counter;
  properties(counter, packet);
  return counter.size;
}

template <class Sink, class Packet>
void property_list(Sink& sink, ProtocolVersion version, const Packet& packet) {
  if (version != ProtocolVersion::kV5) return;
  sink.variable(properties_size(packet));
  properties(sink, packet);
}

// Variable header and payload.

template <class Sink>
void body(Sink& sink, ProtocolVersion, const Connect& p) {
  sink.string(p.version == ProtocolVersion::kV31 ? "MQIsdp" : "MQTT");
  sink.u8(static_cast<std::uint8_t>(p.version));
  unsigned flags = p.clean_start ? 0x02 : 0;
  if (p.will) flags |= 0x04U | (static_cast<unsigned>(p.will->qos) << 3) | (p.will->retain ? 0x20U : 0U);
  if (p.password) flags |= 0x40;
  if (p.user_name) flags |= 0x80;
  sink.u8(static_cast<std::uint8_t>(flags));
  sink.u16(p.keep_alive_s);
  property_list(sink, p.version, p);
  sink.string(p.client_id);
  if (p.will) {
    property_list(sink, p.version, *p.will);
    sink.string(p.will->topic);
    sink.string(p.will->payload);
  }
  if (p.user_name) sink.string(*p.user_name);
  if (p.password) sink.string(*p.password);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Connack& p) {
  sink.u8(p.session_present && version != ProtocolVersion::kV31 ? 1 : 0);  // 3.1 does not use this byte
  sink.u8(version == ProtocolVersion::kV5 ? static_cast<std::uint8_t>(p.reason) : connect_return_code(p.reason));
  property_list(sink, version, p);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Publish& p) {
  sink.string(p.topic);
  if (p.qos != Qos::k0) sink.u16(p.packet_id);
  property_list(sink, version, p);
  sink.payload(p.payload);
}

// What may be left off at the end is left off (3.4.2.1, 3.14.2.1): reason code 0 and empty properties.
template <class Sink, class Packet>
void reason_and_properties(Sink& sink, ProtocolVersion version, const Packet& p) {
  if (version != ProtocolVersion::kV5) return;
  const bool has_properties = properties_size(p) != 0;
  if (p.reason == ReasonCode::kSuccess && !has_properties) return;
  sink.u8(static_cast<std::uint8_t>(p.reason));
  if (has_properties) property_list(sink, version, p);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Ack& p) {
  sink.u16(p.packet_id);
  reason_and_properties(sink, version, p);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Disconnect& p) {
  reason_and_properties(sink, version, p);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion, const Auth& p) {
  const bool has_properties = properties_size(p) != 0;
  if (p.reason == ReasonCode::kSuccess && !has_properties) return;
  sink.u8(static_cast<std::uint8_t>(p.reason));
  property_list(sink, ProtocolVersion::kV5, p);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Subscribe& p) {
  sink.u16(p.packet_id);
  property_list(sink, version, p);
  for (const Subscription& subscription : p.subscriptions) {
    sink.string(subscription.filter);
    const SubscriptionOptions& o = subscription.options;
    auto bits = static_cast<unsigned>(o.maximum_qos);
    if (version == ProtocolVersion::kV5)
      bits |= (o.no_local ? 0x04U : 0U) | (o.retain_as_published ? 0x08U : 0U) |
              (static_cast<unsigned>(o.retain_handling) << 4);
    sink.u8(static_cast<std::uint8_t>(bits));
  }
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Unsubscribe& p) {
  sink.u16(p.packet_id);
  property_list(sink, version, p);
  for (const std::string_view filter : p.filters) sink.string(filter);
}

template <class Sink>
void body(Sink& sink, ProtocolVersion version, const Suback& p) {
  sink.u16(p.packet_id);
  property_list(sink, version, p);
  if (version != ProtocolVersion::kV5 && p.type == PacketType::kUnsuback) return;
  for (const ReasonCode reason : p.reasons) {
    // 3.1.1 knows one failure only (3.9.3).
    const bool v5 = version == ProtocolVersion::kV5;
    sink.u8(static_cast<std::uint8_t>(!v5 && is_error(reason) ? ReasonCode::kUnspecifiedError : reason));
  }
}

std::uint8_t first_byte(PacketType type, unsigned flags = 0) {
  return static_cast<std::uint8_t>((static_cast<unsigned>(type) << 4) | flags);
}
std::uint8_t first_byte(const Connect&) { return first_byte(PacketType::kConnect); }
std::uint8_t first_byte(const Connack&) { return first_byte(PacketType::kConnack); }
std::uint8_t first_byte(const Publish& p) {
  return first_byte(PacketType::kPublish,
                    (p.dup ? 0x08U : 0U) | (static_cast<unsigned>(p.qos) << 1) | (p.retain ? 0x01U : 0U));
}
std::uint8_t first_byte(const Ack& p) { return first_byte(p.type, p.type == PacketType::kPubrel ? 0x02 : 0); }
std::uint8_t first_byte(const Subscribe&) { return first_byte(PacketType::kSubscribe, 0x02); }
std::uint8_t first_byte(const Unsubscribe&) { return first_byte(PacketType::kUnsubscribe, 0x02); }
std::uint8_t first_byte(const Suback& p) { return first_byte(p.type); }
std::uint8_t first_byte(const Disconnect&) { return first_byte(PacketType::kDisconnect); }
std::uint8_t first_byte(const Auth&) { return first_byte(PacketType::kAuth); }

template <class Packet>
std::size_t body_size(ProtocolVersion version, const Packet& packet) {
  Counter counter;
  body(counter, version, packet);
  return counter.size;
}

template <class Packet>
std::size_t whole_size(ProtocolVersion version, const Packet& packet) {
  const std::size_t size = body_size(version, packet);
  return 1 + variable_byte_integer_size(size) + size;
}

template <class Packet>
char* write(ProtocolVersion version, const Packet& packet, char* out, bool with_payload = true) {
  Writer writer{out, with_payload};
  writer.u8(first_byte(packet));
  writer.variable(body_size(version, packet));
  body(writer, version, packet);
  return writer.out;
}

}  // namespace

std::size_t encoded_size(ProtocolVersion version, const Connect& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Connect& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Connack& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Connack& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Publish& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Publish& packet, char* out) { return write(version, packet, out); }
char* encode_without_payload(ProtocolVersion version, const Publish& packet, char* out) {
  return write(version, packet, out, false);
}
std::size_t encoded_size(ProtocolVersion version, const Ack& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Ack& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Subscribe& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Subscribe& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Unsubscribe& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Unsubscribe& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Suback& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Suback& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Disconnect& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Disconnect& packet, char* out) { return write(version, packet, out); }
std::size_t encoded_size(ProtocolVersion version, const Auth& packet) { return whole_size(version, packet); }
char* encode(ProtocolVersion version, const Auth& packet, char* out) { return write(version, packet, out); }

}  // namespace petrel::wire
