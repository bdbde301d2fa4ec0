// Names of reason codes and packet types, and MQTT 3.x return codes.
#include <array>

#include "wire/packet.h"
#include "wire/reason_code.h"

namespace petrel::wire {

namespace {

using enum ReasonCode;

struct Named {
  ReasonCode code;
  std::string_view name;
};

// Table 2-6.
constexpr std::array kNames = {
    Named{kSuccess, "success"},
    Named{kGrantedQos1, "granted QoS 1"},
    Named{kGrantedQos2, "granted QoS 2"},
    Named{kDisconnectWithWillMessage, "disconnect with will message"},
    Named{kNoMatchingSubscribers, "no matching subscribers"},
    Named{kNoSubscriptionExisted, "no subscription existed"},
    Named{kContinueAuthentication, "continue authentication"},
    Named{kReAuthenticate, "re-authenticate"},
    Named{kUnspecifiedError, "unspecified error"},
    Named{kMalformedPacket, "malformed packet"},
    Named{kProtocolError, "protocol error"},
    Named{kImplementationSpecificError, "implementation specific error"},
    Named{kUnsupportedProtocolVersion, "unsupported protocol version"},
    Named{kClientIdentifierNotValid, "client identifier not valid"},
    Named{kBadUserNameOrPassword, "bad user name or password"},
    Named{kNotAuthorized, "not authorized"},
    Named{kServerUnavailable, "server unavailable"},
    Named{kServerBusy, "server busy"},
    Named{kBanned, "banned"},
    Named{kServerShuttingDown, "server shutting down"},
    Named{kBadAuthenticationMethod, "bad authentication method"},
    Named{kKeepAliveTimeout, "keep alive timeout"},
    Named{kSessionTakenOver, "session taken over"},
    Named{kTopicFilterInvalid, "topic filter invalid"},
    Named{kTopicNameInvalid, "topic name invalid"},
    Named{kPacketIdentifierInUse, "packet identifier in use"},
    Named{kPacketIdentifierNotFound, "packet identifier not found"},
    Named{kReceiveMaximumExceeded, "receive maximum exceeded"},
    Named{kTopicAliasInvalid, "topic alias invalid"},
    Named{kPacketTooLarge, "packet too large"},
    Named{kMessageRateTooHigh, "message rate too high"},
    Named{kQuotaExceeded, "quota exceeded"},
    Named{kAdministrativeAction, "administrative action"},
    Named{kPayloadFormatInvalid, "payload format invalid"},
    Named{kRetainNotSupported, "retain not supported"},
    Named{kQosNotSupported, "QoS not supported"},
    Named{kUseAnotherServer, "use another server"},
    Named{kServerMoved, "server moved"},
    Named{kSharedSubscriptionsNotSupported, "shared subscriptions not supported"},
    Named{kConnectionRateExceeded, "connection rate exceeded"},
    Named{kMaximumConnectTime, "maximum connect time"},
    Named{kSubscriptionIdentifiersNotSupported, "subscription identifiers not supported"},
    Named{kWildcardSubscriptionsNotSupported, "wildcard subscriptions not supported"},
};

}  // namespace

std::string_view name(ReasonCode code) {
  for (const Named& named : kNames)
    if (named.code == code) return named.name;
  return "reserved";
}

std::uint8_t connect_return_code(ReasonCode code) {
  switch (code) {
    case ReasonCode::kSuccess:
      return 0;
    case ReasonCode::kUnsupportedProtocolVersion:
      return 1;
    case ReasonCode::kClientIdentifierNotValid:
      return 2;
    case ReasonCode::kBadUserNameOrPassword:
      return 4;
    case ReasonCode::kNotAuthorized:
    case ReasonCode::kBanned:
    case ReasonCode::kBadAuthenticationMethod:
    case ReasonCode::kTopicNameInvalid:
      return 5;
    default:
      return 3;  // server unavailable
  }
}

std::string_view name(PacketType type) {
  static constexpr std::array<std::string_view, 16> kNames = {
      "reserved",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
      "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};
  return kNames[static_cast<std::size_t>(type) % kNames.size()];
}

}  // namespace petrel::wire
