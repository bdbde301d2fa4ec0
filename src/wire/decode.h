// Bytes to packets: pure functions over a bounds-checked cursor. Everything that a single packet can violate is checked
// here, with the reason code of the specification; what depends on the session (packet ids in use, aliases, receive
// maximum) is the session's business.
//
// Threads: pure, any. Views in the results point into `body`.
#pragma once

#include "base/result.h"
#include "wire/packet.h"

namespace petrel::wire {

// One control packet cut out of a stream: the fixed header's fields and a view of the rest.
struct Frame {
  PacketType type;
  std::uint8_t flags;       // low four bits of the first byte
  BytesView body;           // variable header and payload
  std::size_t total_bytes;  // fixed header and body
};

// What next_frame() found at the beginning of `input`: kComplete, or how many bytes the packet has in all as far as
// that is known (0 when the fixed header is still incomplete).
struct FrameResult {
  bool complete = false;
  Frame frame{};
  std::size_t needed_bytes = 0;
};

// Errors: malformed remaining length, reserved packet type, wrong reserved flags [MQTT-2.1.3-1], and kPacketTooLarge
// as soon as the header shows a packet above `maximum_packet_size_bytes` (which counts the whole packet). Before
// CONNECT has told the version, kV5 is the strictest, and the rules for CONNECT are the same in all.
Result<FrameResult, Error> next_frame(ProtocolVersion version, BytesView input,
                                      std::uint32_t maximum_packet_size_bytes);

// `role` of the sender: a server accepts only what clients may send and the other way round (a SUBSCRIBE sent by a
// server is a protocol error). Decoders of packets that only one side sends do not need it.
enum class Sender : std::uint8_t { kClient, kServer };

// CONNECT names its own version. An unknown protocol name or level gives kUnsupportedProtocolVersion
// [MQTT-3.1.2-1], [MQTT-3.1.2-2].
Result<Connect, Error> decode_connect(BytesView body);
Result<Connack, Error> decode_connack(ProtocolVersion version, BytesView body);
Result<Publish, Error> decode_publish(ProtocolVersion version, Sender sender, std::uint8_t flags, BytesView body);
// PUBACK, PUBREC, PUBREL, PUBCOMP.
Result<Ack, Error> decode_ack(ProtocolVersion version, PacketType type, BytesView body);
// A SUBSCRIBE or UNSUBSCRIBE as far as its topic filters, and each of these: long packets are worked off in pieces.
// Filters are checked for UTF-8 and emptiness here, for the syntax of filters by topics/.
struct FiltersHead {
  PacketId packet_id = 0;
  std::uint32_t subscription_identifier = 0;  // 0: none
  BytesView user_properties;
  BytesView filters;  // encoded, and none decoded; not empty
};
Result<FiltersHead, Error> decode_filters_head(ProtocolVersion version, PacketType type, BytesView body);
// The first of `filters`, which are not empty; it is taken from them. Of an UNSUBSCRIBE the options mean nothing.
Result<Subscription, Error> decode_filter(ProtocolVersion version, PacketType type, BytesView& filters);
// SUBACK and UNSUBACK. Fills `out`, whose vector keeps its capacity from packet to packet.
Result<void, Error> decode_suback(ProtocolVersion version, PacketType type, BytesView body, Suback& out);
Result<Disconnect, Error> decode_disconnect(ProtocolVersion version, Sender sender, BytesView body);
Result<Auth, Error> decode_auth(Sender sender, BytesView body);
// PINGREQ and PINGRESP have no body.
Result<void, Error> decode_empty(PacketType type, BytesView body);

}  // namespace petrel::wire
