// Names of reason codes and packet types, and MQTT 3.x return codes.
#include <array>

#include "wire/packet.h"
#include "wire/reason_code.h"

namespace petrel::wire {

std::string_view name(ReasonCode code) {
  using enum ReasonCode;
  switch (code) {
    case kSuccess:
      return "success";
    case kGrantedQos1:
      return "granted QoS 1";
    case kGrantedQos2:
      return "granted QoS 2";
    case kDisconnectWithWillMessage:
      return "disconnect with will message";
    case kNoMatchingSubscribers:
      return "no matching subscribers";
    case kNoSubscriptionExisted:
      return "no subscription existed";
    case kContinueAuthentication:
      return "continue authentication";
    case kReAuthenticate:
      return "re-authenticate";
    case kUnspecifiedError:
      return "unspecified error";
    case kMalformedPacket:
      return "malformed packet";
    case kProtocolError:
      return "protocol error";
    case kImplementationSpecificError:
      return "implementation specific error";
    case kUnsupportedProtocolVersion:
      return "unsupported protocol version";
    case kClientIdentifierNotValid:
      return "client identifier not valid";
    case kBadUserNameOrPassword:
      return "bad user name or password";
    case kNotAuthorized:
      return "not authorized";
    case kServerUnavailable:
      return "server unavailable";
    case kServerBusy:
      return "server busy";
    case kBanned:
      return "banned";
    case kServerShuttingDown:
      return "server shutting down";
    case kBadAuthenticationMethod:
      return "bad authentication method";
    case kKeepAliveTimeout:
      return "keep alive timeout";
    case kSessionTakenOver:
      return "session taken over";
    case kTopicFilterInvalid:
      return "topic filter invalid";
    case kTopicNameInvalid:
      return "topic name invalid";
    case kPacketIdentifierInUse:
      return "packet identifier in use";
    case kPacketIdentifierNotFound:
      return "packet identifier not found";
    case kReceiveMaximumExceeded:
      return "receive maximum exceeded";
    case kTopicAliasInvalid:
      return "topic alias invalid";
    case kPacketTooLarge:
      return "packet too large";
    case kMessageRateTooHigh:
      return "message rate too high";
    case kQuotaExceeded:
      return "quota exceeded";
    case kAdministrativeAction:
      return "administrative action";
    case kPayloadFormatInvalid:
      return "payload format invalid";
    case kRetainNotSupported:
      return "retain not supported";
    case kQosNotSupported:
      return "QoS not supported";
    case kUseAnotherServer:
      return "use another server";
    case kServerMoved:
      return "server moved";
    case kSharedSubscriptionsNotSupported:
      return "shared subscriptions not supported";
    case kConnectionRateExceeded:
      return "connection rate exceeded";
    case kMaximumConnectTime:
      return "maximum connect time";
    case kSubscriptionIdentifiersNotSupported:
      return "subscription identifiers not supported";
    case kWildcardSubscriptionsNotSupported:
      return "wildcard subscriptions not supported";
  }
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
