// The one table of reason codes: their names, and which packets of which side carry them.
#include "wire/reason_table.h"

#include <array>

#include "wire/property.h"

namespace petrel::wire {

namespace {

using enum PacketType;

constexpr std::uint32_t in(std::initializer_list<PacketType> types) {
  std::uint32_t bits = 0;
  for (const PacketType type : types) bits |= packet_bit(type);
  return bits;
}

struct Row {
  ReasonCode code;
  std::uint32_t from_client, from_server;  // packet_bit() of each packet that may carry it
  std::string_view name;
};

// Table 2-6, with the columns "sent by" of DISCONNECT (3.14.2.1) and AUTH (3.15.2.1).
constexpr std::array kReasons = {
    Row{ReasonCode::kSuccess, in({kPuback, kPubrec, kPubrel, kPubcomp, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kPubrel, kPubcomp, kSuback, kUnsuback, kDisconnect, kAuth}), "success"},
    Row{ReasonCode::kGrantedQos1, 0, in({kSuback}), "granted QoS 1"},
    Row{ReasonCode::kGrantedQos2, 0, in({kSuback}), "granted QoS 2"},
    Row{ReasonCode::kDisconnectWithWillMessage, in({kDisconnect}), 0, "disconnect with will message"},
    Row{ReasonCode::kNoMatchingSubscribers, in({kPuback, kPubrec}), in({kPuback, kPubrec}), "no matching subscribers"},
    Row{ReasonCode::kNoSubscriptionExisted, 0, in({kUnsuback}), "no subscription existed"},
    Row{ReasonCode::kContinueAuthentication, in({kAuth}), in({kAuth}), "continue authentication"},
    Row{ReasonCode::kReAuthenticate, in({kAuth}), 0, "re-authenticate"},
    Row{ReasonCode::kUnspecifiedError, in({kPuback, kPubrec, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kSuback, kUnsuback, kDisconnect}), "unspecified error"},
    Row{ReasonCode::kMalformedPacket, in({kDisconnect}), in({kConnack, kDisconnect}), "malformed packet"},
    Row{ReasonCode::kProtocolError, in({kDisconnect}), in({kConnack, kDisconnect}), "protocol error"},
    Row{ReasonCode::kImplementationSpecificError, in({kPuback, kPubrec, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kSuback, kUnsuback, kDisconnect}), "implementation specific error"},
    Row{ReasonCode::kUnsupportedProtocolVersion, 0, in({kConnack}), "unsupported protocol version"},
    Row{ReasonCode::kClientIdentifierNotValid, 0, in({kConnack}), "client identifier not valid"},
    Row{ReasonCode::kBadUserNameOrPassword, 0, in({kConnack}), "bad user name or password"},
    Row{ReasonCode::kNotAuthorized, in({kPuback, kPubrec}),
        in({kConnack, kPuback, kPubrec, kSuback, kUnsuback, kDisconnect}), "not authorized"},
    Row{ReasonCode::kServerUnavailable, 0, in({kConnack}), "server unavailable"},
    Row{ReasonCode::kServerBusy, 0, in({kConnack, kDisconnect}), "server busy"},
    Row{ReasonCode::kBanned, 0, in({kConnack}), "banned"},
    Row{ReasonCode::kServerShuttingDown, 0, in({kDisconnect}), "server shutting down"},
    Row{ReasonCode::kBadAuthenticationMethod, 0, in({kConnack, kDisconnect}), "bad authentication method"},
    Row{ReasonCode::kKeepAliveTimeout, 0, in({kDisconnect}), "keep alive timeout"},
    Row{ReasonCode::kSessionTakenOver, 0, in({kDisconnect}), "session taken over"},
    Row{ReasonCode::kTopicFilterInvalid, 0, in({kSuback, kUnsuback, kDisconnect}), "topic filter invalid"},
    Row{ReasonCode::kTopicNameInvalid, in({kPuback, kPubrec, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kDisconnect}), "topic name invalid"},
    Row{ReasonCode::kPacketIdentifierInUse, in({kPuback, kPubrec}), in({kPuback, kPubrec, kSuback, kUnsuback}),
        "packet identifier in use"},
    Row{ReasonCode::kPacketIdentifierNotFound, in({kPubrel, kPubcomp}), in({kPubrel, kPubcomp}),
        "packet identifier not found"},
    Row{ReasonCode::kReceiveMaximumExceeded, in({kDisconnect}), in({kDisconnect}), "receive maximum exceeded"},
    Row{ReasonCode::kTopicAliasInvalid, in({kDisconnect}), in({kDisconnect}), "topic alias invalid"},
    Row{ReasonCode::kPacketTooLarge, in({kDisconnect}), in({kConnack, kDisconnect}), "packet too large"},
    Row{ReasonCode::kMessageRateTooHigh, in({kDisconnect}), in({kDisconnect}), "message rate too high"},
    Row{ReasonCode::kQuotaExceeded, in({kPuback, kPubrec, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kSuback, kDisconnect}), "quota exceeded"},
    Row{ReasonCode::kAdministrativeAction, in({kDisconnect}), in({kDisconnect}), "administrative action"},
    Row{ReasonCode::kPayloadFormatInvalid, in({kPuback, kPubrec, kDisconnect}),
        in({kConnack, kPuback, kPubrec, kDisconnect}), "payload format invalid"},
    Row{ReasonCode::kRetainNotSupported, 0, in({kConnack, kDisconnect}), "retain not supported"},
    Row{ReasonCode::kQosNotSupported, 0, in({kConnack, kDisconnect}), "QoS not supported"},
    Row{ReasonCode::kUseAnotherServer, 0, in({kConnack, kDisconnect}), "use another server"},
    Row{ReasonCode::kServerMoved, 0, in({kConnack, kDisconnect}), "server moved"},
    Row{ReasonCode::kSharedSubscriptionsNotSupported, 0, in({kSuback, kDisconnect}),
        "shared subscriptions not supported"},
    Row{ReasonCode::kConnectionRateExceeded, 0, in({kConnack, kDisconnect}), "connection rate exceeded"},
    Row{ReasonCode::kMaximumConnectTime, 0, in({kDisconnect}), "maximum connect time"},
    Row{ReasonCode::kSubscriptionIdentifiersNotSupported, 0, in({kSuback, kDisconnect}),
        "subscription identifiers not supported"},
    Row{ReasonCode::kWildcardSubscriptionsNotSupported, 0, in({kSuback, kDisconnect}),
        "wildcard subscriptions not supported"},
};

constexpr std::uint8_t kNoRow = 0xFF;

constexpr auto kByCode = [] {
  std::array<std::uint8_t, 256> index{};
  index.fill(kNoRow);
  for (std::size_t i = 0; i < kReasons.size(); ++i)
    index[static_cast<std::size_t>(kReasons[i].code)] = static_cast<std::uint8_t>(i);
  return index;
}();

const Row* find(ReasonCode code) {
  const auto at = kByCode[static_cast<std::size_t>(code)];
  return at == kNoRow ? nullptr : &kReasons[at];
}

}  // namespace

bool is_valid_reason(PacketType type, Sender sender, ReasonCode reason) {
  const Row* row = find(reason);
  if (row == nullptr) return false;
  return ((sender == Sender::kClient ? row->from_client : row->from_server) & packet_bit(type)) != 0;
}

std::string_view name(ReasonCode code) {
  const Row* row = find(code);
  return row == nullptr ? "reserved" : row->name;
}

}  // namespace petrel::wire
