#include "wire/test_random.h"

#include <gtest/gtest.h>

#include <set>

namespace petrel::wire::test {

AnyPacket RandomPackets::connect(ProtocolVersion version) {
  const bool v5 = version == ProtocolVersion::kV5;
  Connect p;
  p.version = version;
  p.clean_start = coin();
  p.keep_alive_s = number16();
  p.client_id = text();
  if (coin()) {
    Will will;
    will.qos = qos();
    will.retain = coin();
    will.topic = topic();
    will.payload = binary();
    if (v5) {
      will.delay_interval_s = number();
      will.properties = message_properties();
    }
    p.will = will;
  }
  p.user_name = maybe(text());
  if (v5 || p.user_name) p.password = maybe(binary());
  if (!v5) return p;
  p.session_expiry_interval_s = maybe(number());
  p.receive_maximum = maybe(id());
  p.maximum_packet_size_bytes = maybe(number() | 1);
  p.topic_alias_maximum = number16();
  p.request_response_information = coin();
  p.request_problem_information = coin();
  p.user_properties = user_properties();
  p.authentication_method = maybe(text());
  if (p.authentication_method) p.authentication_data = maybe(binary());
  return p;
}

AnyPacket RandomPackets::connack(ProtocolVersion version) {
  Connack p;
  if (version != ProtocolVersion::kV5) {
    static constexpr ReasonCode kReasons[] = {
        ReasonCode::kSuccess,           ReasonCode::kUnsupportedProtocolVersion, ReasonCode::kClientIdentifierNotValid,
        ReasonCode::kServerUnavailable, ReasonCode::kBadUserNameOrPassword,      ReasonCode::kNotAuthorized};
    p.reason = kReasons[below(std::size(kReasons))];
    p.session_present = version == ProtocolVersion::kV311 && p.reason == ReasonCode::kSuccess && coin();
    return p;
  }
  p.reason = coin() ? ReasonCode::kSuccess : reason(PacketType::kConnack, Sender::kServer);
  p.session_present = p.reason == ReasonCode::kSuccess && coin();
  p.session_expiry_interval_s = maybe(number());
  p.receive_maximum = maybe(id());
  p.maximum_qos = maybe(static_cast<Qos>(below(2)));
  p.retain_available = maybe(coin());
  p.maximum_packet_size_bytes = maybe(number() | 1);
  p.assigned_client_identifier = maybe(text());
  p.topic_alias_maximum = number16();
  p.reason_string = maybe(text());
  p.user_properties = user_properties();
  p.wildcard_subscription_available = maybe(coin());
  p.subscription_identifiers_available = maybe(coin());
  p.shared_subscription_available = maybe(coin());
  p.server_keep_alive_s = maybe(number16());
  p.response_information = maybe(text());
  p.server_reference = maybe(text());
  p.authentication_method = maybe(text());
  p.authentication_data = maybe(binary());
  return p;
}

AnyPacket RandomPackets::publish(ProtocolVersion version, Sender sender) {
  Publish p;
  p.qos = qos();
  p.dup = p.qos != Qos::k0 && coin();
  p.retain = coin();
  p.topic = topic();
  if (p.qos != Qos::k0) p.packet_id = id();
  p.payload = below(20) == 0 ? keep(raw(below(20'000))) : binary();
  if (version != ProtocolVersion::kV5) return p;
  p.topic_alias = maybe(id());
  if (p.topic_alias && coin()) p.topic = "";
  p.properties = message_properties();
  if (sender == Sender::kClient) return p;
  std::string identifiers;
  for (std::uint64_t n = below(3); n > 0; --n)
    identifiers += encode_subscription_identifier(1 + (number() >> 4) % 268'435'455);
  p.subscription_identifiers = keep(identifiers);
  return p;
}

AnyPacket RandomPackets::ack(ProtocolVersion version, Sender sender) {
  Ack p;
  p.type = static_cast<PacketType>(static_cast<unsigned>(PacketType::kPuback) + below(4));
  p.packet_id = id();
  if (version != ProtocolVersion::kV5) return p;
  p.reason = reason(p.type, sender);
  p.reason_string = maybe(text());
  p.user_properties = user_properties();
  return p;
}

AnyPacket RandomPackets::subscribe(ProtocolVersion version) {
  Subscribe p;
  p.packet_id = id();
  const bool v5 = version == ProtocolVersion::kV5;
  if (v5) p.subscription_identifier = number() >> 4;
  if (v5) p.user_properties = user_properties();
  for (std::uint64_t n = 1 + below(4); n > 0; --n) {
    Subscription s{filter(), {}};
    s.options.maximum_qos = qos();
    if (v5) {
      s.options.no_local = !s.filter.starts_with("$share/") && coin();
      s.options.retain_as_published = coin();
      s.options.retain_handling = static_cast<RetainHandling>(below(3));
    }
    p.subscriptions.push_back(s);
  }
  return p;
}

AnyPacket RandomPackets::unsubscribe(ProtocolVersion version) {
  Unsubscribe p;
  p.packet_id = id();
  if (version == ProtocolVersion::kV5) p.user_properties = user_properties();
  for (std::uint64_t n = 1 + below(4); n > 0; --n) p.filters.push_back(filter());
  return p;
}

AnyPacket RandomPackets::suback(ProtocolVersion version) {
  const bool v5 = version == ProtocolVersion::kV5;
  Suback p;
  p.type = coin() ? PacketType::kSuback : PacketType::kUnsuback;
  p.packet_id = id();
  if (v5) p.reason_string = maybe(text());
  if (v5) p.user_properties = user_properties();
  if (!v5 && p.type == PacketType::kUnsuback) return p;
  for (std::uint64_t n = 1 + below(4); n > 0; --n) {
    static constexpr ReasonCode kOld[] = {ReasonCode::kSuccess, ReasonCode::kGrantedQos1, ReasonCode::kGrantedQos2,
                                          ReasonCode::kUnspecifiedError};
    p.reasons.push_back(v5 ? reason(p.type, Sender::kServer) : kOld[below(4)]);
  }
  return p;
}

AnyPacket RandomPackets::disconnect(ProtocolVersion version, Sender sender) {
  Disconnect p;
  if (version != ProtocolVersion::kV5) return p;
  p.reason = reason(PacketType::kDisconnect, sender);
  if (sender == Sender::kClient) p.session_expiry_interval_s = maybe(number());
  p.reason_string = maybe(text());
  p.user_properties = user_properties();
  p.server_reference = maybe(text());
  return p;
}

AnyPacket RandomPackets::auth(Sender sender) {
  Auth p;
  p.reason = reason(PacketType::kAuth, sender);
  p.authentication_method = text();
  p.authentication_data = maybe(binary());
  p.reason_string = maybe(text());
  p.user_properties = user_properties();
  return p;
}

AnyPacket RandomPackets::next(ProtocolVersion version, Sender sender) {
  kept_.clear();
  const bool client = sender == Sender::kClient;
  switch (below(version == ProtocolVersion::kV5 ? 8 : 7)) {
    case 0:
      return client ? connect(version) : connack(version);
    case 1:
    case 2:
      return publish(version, sender);
    case 3:
      return ack(version, sender);
    case 4:
      return client ? subscribe(version) : suback(version);
    case 5:
      return client ? unsubscribe(version) : suback(version);
    case 6:
      if (below(4) == 0) return Ping{client ? PacketType::kPingreq : PacketType::kPingresp};
      return disconnect(version, sender);
    default:
      return auth(sender);
  }
}

TEST(TestRandom, MakesEveryPacketType) {
  RandomPackets packets(1);
  std::set<std::size_t> seen;
  for (int i = 0; i < 1000; ++i)
    seen.insert(packets.next(ProtocolVersion::kV5, i % 2 ? Sender::kClient : Sender::kServer).index());
  EXPECT_EQ(seen.size(), std::variant_size_v<AnyPacket>);
}

}  // namespace petrel::wire::test
