// One message being sent to many: encoded at most once per variant (protocol family, QoS or not, retain), then copied
// into each receiver's output and patched with its packet identifier. Receivers with something of their own (a topic
// alias, subscription identifiers, DUP, a mount point) get an encoding of their own. Payloads of kReferenceBytes and
// more are not copied but referenced: measured, copying wins up to 1 KiB and references from 2 KiB on.
//
// Threads: one shard's, on the stack. The parts outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/output_buffer.h"
#include "base/time.h"
#include "broker/connection.h"
#include "session/topic_aliases.h"
#include "topics/subscription_index.h"
#include "wire/message.h"
#include "wire/publish_encoder.h"

namespace petrel::broker {

class OutgoingPublish {
 public:
  static constexpr std::size_t kReferenceBytes = 2048;

  // A message just received; a shared block is made of it only if someone must keep it.
  OutgoingPublish(const wire::Message::Parts& parts, TimeMs now, std::string& scratch)
      : parts_(parts), now_(now), scratch_(scratch), scratch_begin_(scratch.size()) {}
  OutgoingPublish(Ref<const wire::Message> message, TimeMs now, std::string& scratch);
  ~OutgoingPublish() {
    if (scratch_.size() != scratch_begin_) scratch_.resize(scratch_begin_);
  }
  OutgoingPublish(const OutgoingPublish&) = delete;
  OutgoingPublish& operator=(const OutgoingPublish&) = delete;

  const wire::Message::Parts& parts() const { return parts_; }
  const Ref<const wire::Message>& message();
  bool expired() const { return now_ >= parts_.expires_at; }

  struct How {
    wire::Qos qos = wire::Qos::k0;
    bool retain = false;
    bool dup = false;
    wire::PacketId packet_id = 0;
    const topics::EncodedIdentifiers* identifiers = nullptr;
  };
  // Appends the packet to the connection's output. False, and nothing appended, when it is larger than the client
  // accepts [MQTT-3.1.2-24], or nothing that is below its mount point.
  [[nodiscard]] bool append(Connection& connection, BufferPool& pool, const How& how);

 private:
  // The first receiver of a variant is encoded straight into its output; from the second on, the variant's bytes lie in
  // the scratch buffer (without the payload if that is referenced) and are copied.
  struct Variant {
    std::uint32_t begin = 0, size = 0, packet_id_at = 0;
    bool used = false;
  };
  wire::PublishParts wire_parts(bool v5) const;
  void remember(Variant& variant, const wire::PublishEncoder& encoder, const How& how);
  bool append_first(Connection& connection, BufferPool& pool, const How& how, bool v5, Variant& variant);
  bool append_own(Connection& connection, BufferPool& pool, const How& how);
  bool refers() const { return parts_.payload.size() >= kReferenceBytes; }
  void append_payload(Connection& connection, BufferPool& pool);
  session::OutgoingAliases::Alias use_alias(Connection& connection, std::string_view topic);

  wire::Message::Parts parts_;
  Ref<const wire::Message> message_;
  TimeMs now_;
  std::string& scratch_;
  std::size_t scratch_begin_;
  std::array<Variant, 8> variants_{};
  std::optional<std::uint32_t> topic_hash_;  // for aliases; of the topic as it was published
};

}  // namespace petrel::broker
