#include "wire/property.h"

#include <array>

#include "wire/cursor.h"
#include "wire/property_reader.h"

namespace petrel::wire {

namespace {

using enum PacketType;
using enum PropertyType;
using Id = PropertyId;

constexpr std::uint32_t in(std::initializer_list<PacketType> types) {
  std::uint32_t bits = 0;
  for (const PacketType type : types) bits |= packet_bit(type);
  return bits;
}
constexpr std::uint32_t kAcks = in({kPuback, kPubrec, kPubrel, kPubcomp, kSuback, kUnsuback});

// Table 2-4.
constexpr std::array kProperties = {
    PropertyInfo{Id::kPayloadFormatIndicator, kByte, in({kPublish}) | kWillProperties, "Payload Format Indicator"},
    PropertyInfo{Id::kMessageExpiryInterval, kFourByteInteger, in({kPublish}) | kWillProperties,
                 "Message Expiry Interval"},
    PropertyInfo{Id::kContentType, kString, in({kPublish}) | kWillProperties, "Content Type"},
    PropertyInfo{Id::kResponseTopic, kString, in({kPublish}) | kWillProperties, "Response Topic"},
    PropertyInfo{Id::kCorrelationData, kBinary, in({kPublish}) | kWillProperties, "Correlation Data"},
    PropertyInfo{Id::kSubscriptionIdentifier, kVariableByteInteger, in({kPublish, kSubscribe}),
                 "Subscription Identifier"},
    PropertyInfo{Id::kSessionExpiryInterval, kFourByteInteger, in({kConnect, kConnack, kDisconnect}),
                 "Session Expiry Interval"},
    PropertyInfo{Id::kAssignedClientIdentifier, kString, in({kConnack}), "Assigned Client Identifier"},
    PropertyInfo{Id::kServerKeepAlive, kTwoByteInteger, in({kConnack}), "Server Keep Alive"},
    PropertyInfo{Id::kAuthenticationMethod, kString, in({kConnect, kConnack, kAuth}), "Authentication Method"},
    PropertyInfo{Id::kAuthenticationData, kBinary, in({kConnect, kConnack, kAuth}), "Authentication Data"},
    PropertyInfo{Id::kRequestProblemInformation, kByte, in({kConnect}), "Request Problem Information"},
    PropertyInfo{Id::kWillDelayInterval, kFourByteInteger, kWillProperties, "Will Delay Interval"},
    PropertyInfo{Id::kRequestResponseInformation, kByte, in({kConnect}), "Request Response Information"},
    PropertyInfo{Id::kResponseInformation, kString, in({kConnack}), "Response Information"},
    PropertyInfo{Id::kServerReference, kString, in({kConnack, kDisconnect}), "Server Reference"},
    PropertyInfo{Id::kReasonString, kString, in({kConnack, kDisconnect, kAuth}) | kAcks, "Reason String"},
    PropertyInfo{Id::kReceiveMaximum, kTwoByteInteger, in({kConnect, kConnack}), "Receive Maximum"},
    PropertyInfo{Id::kTopicAliasMaximum, kTwoByteInteger, in({kConnect, kConnack}), "Topic Alias Maximum"},
    PropertyInfo{Id::kTopicAlias, kTwoByteInteger, in({kPublish}), "Topic Alias"},
    PropertyInfo{Id::kMaximumQos, kByte, in({kConnack}), "Maximum QoS"},
    PropertyInfo{Id::kRetainAvailable, kByte, in({kConnack}), "Retain Available"},
    PropertyInfo{
        Id::kUserProperty, kStringPair,
        in({kConnect, kConnack, kPublish, kSubscribe, kUnsubscribe, kDisconnect, kAuth}) | kAcks | kWillProperties,
        "User Property"},
    PropertyInfo{Id::kMaximumPacketSize, kFourByteInteger, in({kConnect, kConnack}), "Maximum Packet Size"},
    PropertyInfo{Id::kWildcardSubscriptionAvailable, kByte, in({kConnack}), "Wildcard Subscription Available"},
    PropertyInfo{Id::kSubscriptionIdentifierAvailable, kByte, in({kConnack}), "Subscription Identifier Available"},
    PropertyInfo{Id::kSharedSubscriptionAvailable, kByte, in({kConnack}), "Shared Subscription Available"},
};

constexpr auto kById = [] {
  std::array<std::int8_t, 64> index{};
  index.fill(-1);
  for (std::size_t i = 0; i < kProperties.size(); ++i)
    index[static_cast<std::size_t>(kProperties[i].id)] = static_cast<std::int8_t>(i);
  return index;
}();

bool is_forwarded(PropertyId id) {
  return id == Id::kPayloadFormatIndicator || id == Id::kContentType || id == Id::kResponseTopic ||
         id == Id::kCorrelationData || id == Id::kUserProperty;
}

void append_text(std::string& out, PropertyId id, std::string_view text) {
  out += static_cast<char>(id);
  out += static_cast<char>(text.size() >> 8);
  out += static_cast<char>(text.size() & 0xff);
  out += text;
}

}  // namespace

const PropertyInfo* find_property(std::uint32_t id) {
  if (id >= kById.size() || kById[id] < 0) return nullptr;
  return &kProperties[static_cast<std::uint8_t>(kById[id])];
}

std::optional<Property> next_property(BytesView& encoded) {
  Cursor cursor(encoded);
  const PropertyInfo* info = encoded.empty() ? nullptr : find_property(cursor.variable_byte_integer());
  if (info == nullptr) return std::nullopt;
  Property property;
  property.id = info->id;
  switch (info->type) {
    case kByte:
      property.number = cursor.u8();
      break;
    case kTwoByteInteger:
      property.number = cursor.u16();
      break;
    case kFourByteInteger:
      property.number = cursor.u32();
      break;
    case kVariableByteInteger:
      property.number = cursor.variable_byte_integer();
      break;
    case kString:
    case kBinary:
      property.text = cursor.binary();
      break;
    case kStringPair:
      property.text = cursor.binary();
      property.second = cursor.binary();
      break;
  }
  if (!cursor.ok()) return std::nullopt;
  property.raw = encoded.substr(0, encoded.size() - cursor.rest().size());
  encoded = cursor.rest();
  return property;
}

void for_each_user_property(BytesView encoded, void (*see)(void*, std::string_view, std::string_view), void* context) {
  while (const auto property = next_property(encoded))
    if (property->id == Id::kUserProperty) see(context, property->text, property->second);
}

std::string encode_user_property(std::string_view name, std::string_view value) {
  std::string out;
  append_text(out, Id::kUserProperty, name);
  out += static_cast<char>(value.size() >> 8);
  out += static_cast<char>(value.size() & 0xff);
  out += value;
  return out;
}

std::string encode_subscription_identifier(std::uint32_t identifier) {
  char bytes[5];
  char* end =
      put_variable_byte_integer(put_u8(bytes, static_cast<std::uint8_t>(Id::kSubscriptionIdentifier)), identifier);
  return {bytes, end};
}

std::optional<std::uint32_t> next_subscription_identifier(BytesView& encoded) {
  while (const auto property = next_property(encoded))
    if (property->id == Id::kSubscriptionIdentifier) return property->number;
  return std::nullopt;
}

void collect_forwarded_properties(const Publish& publish, std::string& out) {
  BytesView rest = publish.property_bytes;
  while (const auto property = next_property(rest))
    if (is_forwarded(property->id)) out += property->raw;
}

void append_forwarded_properties(const MessageProperties& properties, std::string& out) {
  if (properties.payload_format_indicator) {
    out += static_cast<char>(Id::kPayloadFormatIndicator);
    out += static_cast<char>(*properties.payload_format_indicator);
  }
  if (properties.content_type) append_text(out, Id::kContentType, *properties.content_type);
  if (properties.response_topic) append_text(out, Id::kResponseTopic, *properties.response_topic);
  if (properties.correlation_data) append_text(out, Id::kCorrelationData, *properties.correlation_data);
  BytesView rest = properties.user_properties;
  while (const auto property = next_property(rest))
    if (property->id == Id::kUserProperty) out += property->raw;
}

PropertyReader::PropertyReader(Cursor& cursor, std::uint32_t packet) : packet_(packet) {
  bytes_ = cursor.take(cursor.variable_byte_integer());
  if (!cursor.ok()) error_ = malformed("property length is missing or does not fit the packet [MQTT-2.2.2-1]");
  list_ = Cursor(bytes_);
}

bool PropertyReader::read_value(Property& property, PropertyType type) {
  switch (type) {
    case kByte:
      property.number = list_.u8();
      break;
    case kTwoByteInteger:
      property.number = list_.u16();
      break;
    case kFourByteInteger:
      property.number = list_.u32();
      break;
    case kVariableByteInteger:
      property.number = list_.variable_byte_integer();
      break;
    case kString:
      property.text = list_.string();
      break;
    case kBinary:
      property.text = list_.binary();
      break;
    case kStringPair:
      property.text = list_.string();
      property.second = list_.string();
      break;
  }
  return list_.ok();
}

std::optional<Property> PropertyReader::next() {
  if (error_ || list_.empty()) return std::nullopt;
  const char* begin = list_.position();
  const std::uint32_t id = list_.variable_byte_integer();
  const PropertyInfo* info = list_.ok() ? find_property(id) : nullptr;
  Property property;
  if (info == nullptr) {
    error_ = malformed("unknown property identifier (2.2.2.2)");
  } else if ((info->packets & packet_) == 0) {
    error_ = malformed("property that this packet may not carry (2.2.2.2)");
  } else if (!read_value(property, info->type)) {
    error_ = malformed("property value is malformed or cut short (2.2.2.2)");
  } else {
    const bool repeatable =
        info->id == Id::kUserProperty || (info->id == Id::kSubscriptionIdentifier && packet_ == packet_bit(kPublish));
    if (seen_[id] && !repeatable)
      error_ = protocol_error("property given more than once (the section of the property)");
    seen_[id] = true;
  }
  if (error_) return std::nullopt;
  property.id = info->id;
  property.raw = {begin, static_cast<std::size_t>(list_.position() - begin)};
  if (property.id == Id::kUserProperty) {
    const char* first = user_properties_.empty() ? begin : user_properties_.data();
    user_properties_ = {first, static_cast<std::size_t>(list_.position() - first)};
  }
  return property;
}

bool within(PropertyReader& reader, const Property& property, std::uint32_t least, std::uint32_t most,
            std::string_view what) {
  if (property.number >= least && property.number <= most) return true;
  reader.refuse(protocol_error(what));
  return false;
}

}  // namespace petrel::wire
