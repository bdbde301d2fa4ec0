// The fixed header (MQTT 5.0, 2.1), and the packets without a body of their own.
#include "wire/cursor.h"
#include "wire/decode.h"

namespace petrel::wire {

namespace {

// Table 2-2: the reserved flags of each packet type; PUBLISH uses all four. In MQTT 3.1 the flags of PUBREL, SUBSCRIBE
// and UNSUBSCRIBE are QoS 1 and, when sent again, DUP (3.6, 3.8, 3.10).
bool flags_are_valid(ProtocolVersion version, PacketType type, std::uint8_t flags) {
  switch (type) {
    case PacketType::kPublish:
      return true;
    case PacketType::kPubrel:
    case PacketType::kSubscribe:
    case PacketType::kUnsubscribe:
      return flags == 0x02 || (flags == 0x0a && version == ProtocolVersion::kV31);
    default:
      return flags == 0;
  }
}

}  // namespace

Result<FrameResult, Error> next_frame(ProtocolVersion version, BytesView input,
                                      std::uint32_t maximum_packet_size_bytes) {
  FrameResult result;
  if (input.empty()) return result;
  const std::uint8_t first = byte_at(input, 0);
  const auto type = static_cast<PacketType>(first >> 4);
  if (first >> 4 == 0) return malformed("packet type 0 is reserved (2.1.2)");
  if (type == PacketType::kAuth && version != ProtocolVersion::kV5)
    return malformed("packet type 15 is reserved (3.1.1, 2.2.1)");
  const std::uint8_t flags = first & 0x0f;
  if (!flags_are_valid(version, type, flags))
    return malformed("reserved flags of the fixed header are wrong [MQTT-2.1.3-1]");
  std::size_t length = 0;
  std::size_t header = 1;
  for (unsigned shift = 0;; shift += 7, ++header) {
    if (shift == 28) return malformed("remaining length is longer than four bytes (2.1.4)");
    if (header >= input.size()) return result;
    const std::uint8_t byte = byte_at(input, header);
    length |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      // 3.x does not ask for the shortest form, and small devices send a length of fixed width.
      if (byte == 0 && shift != 0 && version == ProtocolVersion::kV5)
        return malformed("remaining length is not in its shortest form [MQTT-1.5.5-1]");
      ++header;
      break;
    }
  }
  const std::size_t total = header + length;
  if (total > maximum_packet_size_bytes)
    return Error{ReasonCode::kPacketTooLarge, "packet is larger than the Maximum Packet Size"};
  result.needed_bytes = total;
  if (input.size() < total) return result;
  result.complete = true;
  result.frame = {type, flags, input.substr(header, length), total};
  return result;
}

Result<void, Error> decode_empty(PacketType type, BytesView body) {
  if (!body.empty())
    return malformed(type == PacketType::kPingreq ? "PINGREQ with a body (3.12)" : "PINGRESP with a body (3.13)");
  return {};
}

}  // namespace petrel::wire
