// An application message (MQTT 5.0, 1.2): topic, properties and payload in one immutable, ref-counted block, shared by
// every queue, shard and store that holds it, and never copied between them. It knows nothing of a delivery: QoS
// granted, packet id, retain flag and subscription identifiers belong to the receiver's side.
//
// Threads: immutable after create(); share Ref<const Message> freely.
#pragma once

#include "base/ref.h"
#include "base/time.h"
#include "wire/packet.h"

namespace petrel::wire {

class Message final : public RefCounted<Message> {
 public:
  struct Parts {
    std::string_view topic{};
    BytesView payload{};
    BytesView forwarded_properties{};  // as in wire::Publish, encoded
    Qos qos = Qos::k0;                 // as published
    bool retain = false;               // as published
    TimeMs expires_at = kNever;
    // Identifies the publishing session for No Local; 0 for messages nobody is to be spared of.
    std::uint64_t publisher = 0;
  };
  // One allocation. The views are copied.
  static Ref<const Message> create(const Parts& parts);
  static void destroy(const Message* message) noexcept;

  std::string_view topic() const { return {data(), topic_bytes_}; }
  BytesView forwarded_properties() const { return {data() + topic_bytes_, property_bytes_}; }
  BytesView payload() const { return {data() + topic_bytes_ + property_bytes_, payload_bytes_}; }
  Qos qos() const { return qos_; }
  bool retain() const { return retain_; }
  TimeMs expires_at() const { return expires_at_; }
  std::uint64_t publisher() const { return publisher_; }
  bool expired(TimeMs now) const { return now >= expires_at_; }
  // What is left of the message expiry interval in whole seconds, at least 1 unless expired [MQTT-3.3.2-6].
  std::uint32_t remaining_expiry_s(TimeMs now) const;
  // Memory the block takes, for quotas.
  std::size_t block_bytes() const { return sizeof(Message) + topic_bytes_ + property_bytes_ + payload_bytes_; }
  static std::size_t block_bytes(const Parts& parts) {
    return sizeof(Message) + parts.topic.size() + parts.forwarded_properties.size() + parts.payload.size();
  }

 private:
  Message(const Parts& parts);
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }

  std::uint32_t payload_bytes_;
  std::uint32_t property_bytes_;
  std::uint16_t topic_bytes_;
  Qos qos_;
  bool retain_;
  TimeMs expires_at_;
  std::uint64_t publisher_;
};

}  // namespace petrel::wire
