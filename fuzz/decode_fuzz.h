// What the decode_* targets do with an input. The first byte names the sender (even: client, odd: server), the rest is
// its stream: cut into frames and decoded. Whatever decodes is encoded and decoded again, and must be the same packet.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "fuzz/require.h"
#include "wire/publish_encoder.h"
#include "wire/test_packet.h"

namespace petrel::fuzz {

using namespace wire;
using namespace wire::test;

inline constexpr std::uint32_t kMaxPacketBytes = 65'536;

// A copy of exactly its size, so that a step over its end is seen.
class Exact {
 public:
  explicit Exact(BytesView bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), size_);
  }
  BytesView view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

inline void check_same(ProtocolVersion version, Sender sender, const AnyPacket& packet, BytesView encoded) {
  const auto frame = next_frame(version, encoded, kMaxPacketBytes);
  PETREL_REQUIRE(frame.has_value() && frame->complete);
  PETREL_REQUIRE(frame->frame.total_bytes == encoded.size());
  const auto again = decode_any(version, sender, frame->frame);
  PETREL_REQUIRE(again.has_value());
  PETREL_REQUIRE(describe(*again) == describe(packet));
}

// The properties to forward are the same whichever way they are taken, and PublishEncoder writes what encode() writes.
inline void check_forwarding(ProtocolVersion version, const Publish& received) {
  std::string collected;
  collect_forwarded_properties(received, collected);
  PETREL_REQUIRE(received.forwarded_properties_scattered || received.forwarded_properties == collected);
  Publish outgoing;
  outgoing.topic = received.topic;
  outgoing.payload = received.payload;
  outgoing.qos = received.qos;
  outgoing.packet_id = received.packet_id;
  outgoing.forwarded_properties = collected;
  outgoing.properties.message_expiry_interval_s = received.properties.message_expiry_interval_s;
  const Encoded expected = encode_any(version, outgoing);
  const PublishParts parts{outgoing.topic, collected, outgoing.payload,
                           outgoing.properties.message_expiry_interval_s.has_value(),
                           outgoing.properties.message_expiry_interval_s.value_or(0)};
  const PublishEncoder encoder(parts, version == ProtocolVersion::kV5, outgoing.qos != Qos::k0);
  PETREL_REQUIRE(encoder.size() == expected.size);
  std::string bytes(encoder.size(), '\0');
  PETREL_REQUIRE(encoder.write(bytes.data(), outgoing.qos, false, outgoing.packet_id) == bytes.data() + bytes.size());
  PETREL_REQUIRE(bytes == expected.view());
}

inline void check_packet(ProtocolVersion version, Sender sender, const Frame& frame) {
  const Exact body(frame.body);
  const auto packet = decode_any(version, sender, {frame.type, frame.flags, body.view(), frame.total_bytes});
  if (!packet.has_value()) {
    PETREL_REQUIRE(is_error(packet.error().reason) && !packet.error().what.empty());
    return;
  }
  const Encoded encoded = encode_any(version, *packet);
  PETREL_REQUIRE(encoded.filled == encoded.size);
  PETREL_REQUIRE(encoded.size <= frame.total_bytes);
  check_same(version, sender, *packet, encoded.view());
  if (const auto* publish = std::get_if<Publish>(&*packet)) check_forwarding(version, *publish);
}

inline int decode_stream(ProtocolVersion version, const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Sender sender = (data[0] & 1) == 0 ? Sender::kClient : Sender::kServer;
  BytesView stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  while (!stream.empty()) {
    const auto frame = next_frame(version, stream, kMaxPacketBytes);
    if (!frame.has_value()) {
      PETREL_REQUIRE(is_error(frame.error().reason) && !frame.error().what.empty());
      break;
    }
    if (!frame->complete) {
      PETREL_REQUIRE(frame->needed_bytes == 0 || frame->needed_bytes > stream.size());
      break;
    }
    PETREL_REQUIRE(frame->frame.total_bytes <= stream.size() && frame->frame.body.size() < frame->frame.total_bytes);
    check_packet(version, sender, frame->frame);
    stream.remove_prefix(frame->frame.total_bytes);
  }
  return 0;
}

}  // namespace petrel::fuzz
