// PUBLISH toward many receivers, written as fast as a packet can be: no optional fields to look at, the variable parts
// given as they lie in an application message. Produces the same bytes as encode() for the same packet. The payload may
// be left out, to be sent from where it is.
//
// Threads: pure, any.
#pragma once

#include "base/bytes.h"
#include "wire/packet.h"

namespace petrel::wire {

struct PublishParts {
  std::string_view topic;
  BytesView forwarded_properties;
  BytesView payload;
  bool has_expiry = false;
  std::uint32_t message_expiry_interval_s = 0;
};

class PublishEncoder {
 public:
  PublishEncoder(const PublishParts& parts, bool v5, bool with_packet_id)
      : parts_(parts), v5_(v5), with_packet_id_(with_packet_id) {
    remaining_ = 2 + parts.topic.size() + (with_packet_id ? 2U : 0U) + parts.payload.size();
    if (v5) {
      properties_ = parts.forwarded_properties.size() + (parts.has_expiry ? 5U : 0U);
      remaining_ += integer_size(properties_) + properties_;
    }
  }
  // Of the whole packet.
  std::size_t size() const { return 1 + integer_size(remaining_) + remaining_; }
  std::size_t size_without_payload() const { return size() - parts_.payload.size(); }
  // Where in the packet the packet identifier lies.
  std::size_t packet_id_offset() const { return 1 + integer_size(remaining_) + 2 + parts_.topic.size(); }

  // Everything before the payload; returns the end.
  char* write_head(char* out, Qos qos, bool retain, PacketId packet_id) const {
    out = put_u8(out, static_cast<std::uint8_t>(0x30U | (static_cast<unsigned>(qos) << 1) | (retain ? 1U : 0U)));
    out = put_integer(out, remaining_);
    out = put_bytes(put_u16(out, static_cast<std::uint16_t>(parts_.topic.size())), parts_.topic);
    if (with_packet_id_) out = put_u16(out, packet_id);
    if (!v5_) return out;
    out = put_integer(out, properties_);
    if (parts_.has_expiry) out = put_u32(put_u8(out, 0x02), parts_.message_expiry_interval_s);
    return put_bytes(out, parts_.forwarded_properties);
  }
  char* write(char* out, Qos qos, bool retain, PacketId packet_id) const {
    return put_bytes(write_head(out, qos, retain, packet_id), parts_.payload);
  }

 private:
  static std::size_t integer_size(std::size_t value) {
    return value < 128 ? 1 : (value < 16'384 ? 2 : (value < 2'097'152 ? 3 : 4));
  }
  static char* put_integer(char* out, std::size_t value) {
    for (; value >= 128; value >>= 7) out = put_u8(out, static_cast<std::uint8_t>((value & 0x7f) | 0x80));
    return put_u8(out, static_cast<std::uint8_t>(value));
  }

  const PublishParts& parts_;
  std::size_t remaining_;
  std::size_t properties_ = 0;
  bool v5_, with_packet_id_;
};

}  // namespace petrel::wire
