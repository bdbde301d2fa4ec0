// MQTT 5.0 properties (2.2.2): the one table that says which exist, of which type they are, which packets may carry
// them, and readers for what stays encoded. Threads: pure, any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/packet.h"

namespace petrel::wire {

enum class PropertyId : std::uint8_t {
  kPayloadFormatIndicator = 0x01,
  kMessageExpiryInterval = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionIdentifier = 0x0B,
  kSessionExpiryInterval = 0x11,
  kAssignedClientIdentifier = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelayInterval = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardSubscriptionAvailable = 0x28,
  kSubscriptionIdentifierAvailable = 0x29,
  kSharedSubscriptionAvailable = 0x2A,
};

enum class PropertyType : std::uint8_t {
  kByte,
  kTwoByteInteger,
  kFourByteInteger,
  kVariableByteInteger,
  kString,
  kBinary,
  kStringPair
};

struct PropertyInfo {
  PropertyId id;
  PropertyType type;
  std::uint32_t packets;  // bit per PacketType; kWillProperties for the will's in CONNECT
  std::string_view name;
};
inline constexpr std::uint32_t kWillProperties = 1U << 0;
constexpr std::uint32_t packet_bit(PacketType type) { return 1U << static_cast<unsigned>(type); }

// Null for an identifier that the specification does not define.
const PropertyInfo* find_property(std::uint32_t id);

// Calls see(name, value) for each user property in `encoded`, in order; other properties in between are passed over.
// `encoded` comes from a decoder, so it is well-formed.
void for_each_user_property(BytesView encoded,
                            void (*see)(void* context, std::string_view name, std::string_view value), void* context);
// One encoded user property, and one encoded subscription identifier (1 to 268 435 455).
std::string encode_user_property(std::string_view name, std::string_view value);
std::string encode_subscription_identifier(std::uint32_t identifier);
// The next subscription identifier in `encoded`, which moves past it; other properties in between are passed over.
// Nothing at the end.
std::optional<std::uint32_t> next_subscription_identifier(BytesView& encoded);

// The properties that a server forwards, encoded, for a publication whose decoder could not give them as one view.
void collect_forwarded_properties(const Publish& publish, std::string& out);
// The same from single fields (a will's). The message expiry interval is not among them: it changes on the way.
void append_forwarded_properties(const MessageProperties& properties, std::string& out);

}  // namespace petrel::wire
