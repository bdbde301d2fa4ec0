// Names of packet types, and MQTT 3.x return codes.
#include <array>

#include "wire/packet.h"
#include "wire/reason_code.h"

namespace petrel::wire {

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
