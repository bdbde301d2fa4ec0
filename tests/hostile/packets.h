// Packets as bytes, well formed unless the caller says otherwise. Threads: pure, any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/encode.h"

namespace petrel::hostile {

template <class Packet>
std::string encoded(wire::ProtocolVersion version, const Packet& packet) {
  std::string bytes(wire::encoded_size(version, packet), '\0');
  wire::encode(version, packet, bytes.data());
  return bytes;
}

inline constexpr wire::ProtocolVersion kV5 = wire::ProtocolVersion::kV5;

std::string connect(std::string_view client_id, wire::ProtocolVersion version = kV5);
std::string publish(std::string_view topic, std::string_view payload, wire::Qos qos = wire::Qos::k0,
                    wire::PacketId packet_id = 0, bool retain = false, wire::ProtocolVersion version = kV5);
std::string ack(wire::PacketType type, wire::PacketId packet_id, wire::ProtocolVersion version = kV5);
std::string subscribe(const std::vector<std::string>& filters, wire::Qos qos = wire::Qos::k0,
                      wire::PacketId packet_id = 1, wire::ProtocolVersion version = kV5);
std::string unsubscribe(const std::vector<std::string>& filters, wire::PacketId packet_id = 1,
                        wire::ProtocolVersion version = kV5);

}  // namespace petrel::hostile
