#include "packets.h"

namespace petrel::hostile {

std::string connect(std::string_view client_id, wire::ProtocolVersion version) {
  wire::Connect packet;
  packet.version = version;
  packet.client_id = client_id;
  return encoded(version, packet);
}

std::string publish(std::string_view topic, std::string_view payload, wire::Qos qos, wire::PacketId packet_id,
                    bool retain, wire::ProtocolVersion version) {
  wire::Publish packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = qos;
  packet.packet_id = packet_id;
  packet.retain = retain;
  return encoded(version, packet);
}

std::string ack(wire::PacketType type, wire::PacketId packet_id, wire::ProtocolVersion version) {
  wire::Ack packet;
  packet.type = type;
  packet.packet_id = packet_id;
  return encoded(version, packet);
}

std::string subscribe(const std::vector<std::string>& filters, wire::Qos qos, wire::PacketId packet_id,
                      wire::ProtocolVersion version) {
  wire::Subscribe packet;
  packet.packet_id = packet_id;
  wire::SubscriptionOptions options;
  options.maximum_qos = qos;
  for (const std::string& filter : filters) packet.subscriptions.push_back({filter, options});
  return encoded(version, packet);
}

std::string unsubscribe(const std::vector<std::string>& filters, wire::PacketId packet_id,
                        wire::ProtocolVersion version) {
  wire::Unsubscribe packet;
  packet.packet_id = packet_id;
  packet.filters.assign(filters.begin(), filters.end());
  return encoded(version, packet);
}

}  // namespace petrel::hostile
