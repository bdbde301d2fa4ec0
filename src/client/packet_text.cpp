#include "client/packet_text.h"

#include <fmt/format.h>

namespace petrel::client {

namespace {

int number(wire::Qos qos) { return static_cast<int>(qos); }
int number(bool flag) { return flag ? 1 : 0; }

std::string_view version_name(wire::ProtocolVersion version) {
  if (version == wire::ProtocolVersion::kV5) return "5.0";
  return version == wire::ProtocolVersion::kV31 ? "3.1" : "3.1.1";
}

// A reason that says more than the packet does, and what the server adds to it.
std::string reason_text(wire::ReasonCode reason, std::optional<std::string_view> more) {
  std::string text;
  if (reason != wire::ReasonCode::kSuccess) text = fmt::format(", {}", wire::name(reason));
  if (more) text += fmt::format(", \"{}\"", *more);
  return text;
}

}  // namespace

std::string describe(const wire::Connect& packet) {
  std::string text = fmt::format("CONNECT (MQTT {}, clean {}, keep alive {} s", version_name(packet.version),
                                 number(packet.clean_start), packet.keep_alive_s);
  if (packet.user_name) text += fmt::format(", user '{}'", *packet.user_name);
  if (packet.will)
    text += fmt::format(", will QoS {}, retain {}, '{}', {} bytes", number(packet.will->qos),
                        number(packet.will->retain), packet.will->topic, packet.will->payload.size());
  return text + ')';
}

std::string describe(const wire::Connack& packet) {
  std::string text =
      fmt::format("CONNACK ({}, session present {}", wire::name(packet.reason), number(packet.session_present));
  if (packet.assigned_client_identifier) text += fmt::format(", client id '{}'", *packet.assigned_client_identifier);
  if (packet.server_keep_alive_s) text += fmt::format(", keep alive {} s", *packet.server_keep_alive_s);
  return text + reason_text(wire::ReasonCode::kSuccess, packet.reason_string) + ')';
}

std::string describe(const wire::Publish& packet) {
  const std::string id = packet.qos == wire::Qos::k0 ? "" : fmt::format("id {}, ", packet.packet_id);
  return fmt::format("PUBLISH (dup {}, QoS {}, retain {}, {}'{}', {} bytes)", number(packet.dup), number(packet.qos),
                     number(packet.retain), id, packet.topic, packet.payload.size());
}

std::string describe(const wire::Ack& packet) {
  return fmt::format("{} (id {}{})", wire::name(packet.type), packet.packet_id,
                     reason_text(packet.reason, packet.reason_string));
}

std::string describe(const wire::Subscribe& packet) {
  std::string text = fmt::format("SUBSCRIBE (id {}", packet.packet_id);
  for (const wire::Subscription& one : packet.subscriptions)
    text += fmt::format(", '{}' QoS {}", one.filter, number(one.options.maximum_qos));
  return text + ')';
}

std::string describe(const wire::Unsubscribe& packet) {
  std::string text = fmt::format("UNSUBSCRIBE (id {}", packet.packet_id);
  for (const std::string_view filter : packet.filters) text += fmt::format(", '{}'", filter);
  return text + ')';
}

std::string describe(const wire::Suback& packet) {
  std::string text = fmt::format("{} (id {}", wire::name(packet.type), packet.packet_id);
  for (const wire::ReasonCode reason : packet.reasons) {
    const auto value = static_cast<std::uint8_t>(reason);
    const bool grants = packet.type == wire::PacketType::kSuback && value <= 2;
    text += grants ? fmt::format(", QoS {}", value) : fmt::format(", {}", wire::name(reason));
  }
  return text + reason_text(wire::ReasonCode::kSuccess, packet.reason_string) + ')';
}

std::string describe(const wire::Disconnect& packet) {
  const std::string reason = reason_text(packet.reason, packet.reason_string);
  return reason.empty() ? "DISCONNECT" : fmt::format("DISCONNECT ({})", reason.substr(2));
}

}  // namespace petrel::client
