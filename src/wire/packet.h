// The MQTT control packets as plain structs, one for all protocol versions. Decoded packets hold views into the bytes
// they were decoded from and are valid only as long as those; packets to encode hold views into whatever the caller
// keeps alive during the call. An absent property is an empty optional (or an empty view where the specification makes
// empty and absent the same).
//
// Property lists that are repeated or opaque (user properties, subscription identifiers) stay in their wire form: a
// view of whole encoded properties, checked by the decoder, read with for_each_user_property() and friends
// (wire/property.h). A PUBLISH is therefore decoded and forwarded without an allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire/reason_code.h"

namespace petrel::wire {

enum class ProtocolVersion : std::uint8_t { kV31 = 3, kV311 = 4, kV5 = 5 };

enum class PacketType : std::uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

std::string_view name(PacketType type);  // "PUBLISH"

enum class Qos : std::uint8_t { k0 = 0, k1 = 1, k2 = 2 };

using PacketId = std::uint16_t;

// The properties of an application message that travel from publisher to subscriber (PUBLISH and will).
struct MessageProperties {
  std::optional<std::uint8_t> payload_format_indicator;
  std::optional<std::uint32_t> message_expiry_interval_s;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<BytesView> correlation_data;
  BytesView user_properties;  // encoded user properties, in order
};

struct Will {
  Qos qos = Qos::k0;
  bool retain = false;
  std::string_view topic;
  BytesView payload;
  std::uint32_t delay_interval_s = 0;
  MessageProperties properties;
};

struct Connect {
  ProtocolVersion version = ProtocolVersion::kV311;
  bool clean_start = true;  // Clean Session in 3.x
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<BytesView> password;
  // 5.0 properties
  std::optional<std::uint32_t> session_expiry_interval_s;
  std::optional<std::uint16_t> receive_maximum;
  std::optional<std::uint32_t> maximum_packet_size_bytes;
  std::uint16_t topic_alias_maximum = 0;
  bool request_response_information = false;
  bool request_problem_information = true;
  BytesView user_properties;
  std::optional<std::string_view> authentication_method;
  std::optional<BytesView> authentication_data;
};

struct Connack {
  bool session_present = false;
  ReasonCode reason = ReasonCode::kSuccess;  // encoded as return code toward 3.x
  std::uint8_t return_code = 0;              // decoded from 3.x; ignored by the encoder
  std::optional<std::uint32_t> session_expiry_interval_s;
  std::optional<std::uint16_t> receive_maximum;
  std::optional<Qos> maximum_qos;
  std::optional<bool> retain_available;
  std::optional<std::uint32_t> maximum_packet_size_bytes;
  std::optional<std::string_view> assigned_client_identifier;
  std::uint16_t topic_alias_maximum = 0;
  std::optional<std::string_view> reason_string;
  BytesView user_properties;
  std::optional<bool> wildcard_subscription_available;
  std::optional<bool> subscription_identifiers_available;
  std::optional<bool> shared_subscription_available;
  std::optional<std::uint16_t> server_keep_alive_s;
  std::optional<std::string_view> response_information;
  std::optional<std::string_view> server_reference;
  std::optional<std::string_view> authentication_method;
  std::optional<BytesView> authentication_data;
};

struct Publish {
  bool dup = false;
  Qos qos = Qos::k0;
  bool retain = false;
  std::string_view topic;  // may be empty in 5.0 when topic_alias is given
  PacketId packet_id = 0;  // 0 with QoS 0
  std::optional<std::uint16_t> topic_alias;
  MessageProperties properties;
  // The properties that a server forwards unaltered (payload format, content type, response topic, correlation data
  // and user properties), encoded, in the order received. Set when decoding; when encoding, either this or the
  // single fields of `properties` are used: a non-empty `forwarded_properties` wins.
  BytesView forwarded_properties;
  // When the packet's properties contain nothing else, forwarded_properties is one view of the packet; otherwise the
  // decoder cannot give one view without copying, sets this flag and leaves forwarded_properties empty, and
  // collect_forwarded_properties() (wire/property.h) assembles them from property_bytes.
  bool forwarded_properties_scattered = false;
  BytesView property_bytes;            // all properties as received
  BytesView subscription_identifiers;  // encoded properties (server to client only)
  BytesView payload;
};

// PUBACK, PUBREC, PUBREL and PUBCOMP share one shape.
struct Ack {
  PacketType type = PacketType::kPuback;
  PacketId packet_id = 0;
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::string_view> reason_string;
  BytesView user_properties;
};

enum class RetainHandling : std::uint8_t { kSend = 0, kSendIfNew = 1, kDoNotSend = 2 };

struct SubscriptionOptions {
  Qos maximum_qos = Qos::k0;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;
  bool operator==(const SubscriptionOptions&) const = default;
};

struct Subscription {
  std::string_view filter;
  SubscriptionOptions options;
};

// To be encoded; who decodes one takes its filters one by one (decode.h).
struct Subscribe {
  PacketId packet_id = 0;
  std::uint32_t subscription_identifier = 0;  // 0: none
  BytesView user_properties;
  std::vector<Subscription> subscriptions;
};

struct Unsubscribe {
  PacketId packet_id = 0;
  BytesView user_properties;
  std::vector<std::string_view> filters;
};

// SUBACK and UNSUBACK. A 3.x UNSUBACK has no reasons on the wire.
struct Suback {
  PacketType type = PacketType::kSuback;
  PacketId packet_id = 0;
  std::optional<std::string_view> reason_string;
  BytesView user_properties;
  std::vector<ReasonCode> reasons;
};

struct Disconnect {
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::uint32_t> session_expiry_interval_s;
  std::optional<std::string_view> reason_string;
  BytesView user_properties;
  std::optional<std::string_view> server_reference;
};

struct Auth {
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::string_view> authentication_method;
  std::optional<BytesView> authentication_data;
  std::optional<std::string_view> reason_string;
  BytesView user_properties;
};

// What is wrong with received bytes, and the reason code the specification names for it.
struct Error {
  ReasonCode reason = ReasonCode::kMalformedPacket;
  std::string_view what;  // static text for a log line: "PUBLISH with QoS 3 [MQTT-3.3.1-4]"
};

}  // namespace petrel::wire
