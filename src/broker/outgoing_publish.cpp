#include "broker/outgoing_publish.h"

#include "broker/mount_point.h"
#include "wire/encode.h"

namespace petrel::broker {

using wire::Message;
using wire::ProtocolVersion;

namespace {

Message::Parts parts_of(const Message& message) {
  return {.topic = message.topic(),
          .payload = message.payload(),
          .forwarded_properties = message.forwarded_properties(),
          .qos = message.qos(),
          .retain = message.retain(),
          .expires_at = message.expires_at(),
          .publisher = message.publisher()};
}

}  // namespace

OutgoingPublish::OutgoingPublish(Ref<const Message> message, TimeMs now, std::string& scratch)
    : parts_(parts_of(*message)),
      message_(std::move(message)),
      now_(now),
      scratch_(scratch),
      scratch_begin_(scratch.size()) {}

const Ref<const Message>& OutgoingPublish::message() {
  if (message_.get() == nullptr) message_ = Message::create(parts_);
  return message_;
}

wire::PublishParts OutgoingPublish::wire_parts(bool v5) const {
  wire::PublishParts parts{parts_.topic, parts_.forwarded_properties, parts_.payload};
  if (v5 && parts_.expires_at != kNever) {
    // The interval that is left, to the nearest second; 0 is only for what has expired. Rounded up it could come out
    // greater than it was received: the clock of the receiver's shard may be a turn behind the publisher's
    // [MQTT-3.3.2-6].
    const TimeMs left = parts_.expires_at > now_ ? parts_.expires_at - now_ : 0;
    parts.has_expiry = true;
    parts.message_expiry_interval_s =
        left == 0 ? 0 : static_cast<std::uint32_t>(std::max<TimeMs>(1, (left + 500) / 1000));
  }
  return parts;
}

void OutgoingPublish::remember(Variant& variant, const wire::PublishEncoder& encoder, const How& how) {
  const std::size_t at = scratch_.size();
  const std::size_t size = refers() ? encoder.size_without_payload() : encoder.size();
  scratch_.resize(at + size);
  char* end = encoder.write_head(scratch_.data() + at, how.qos, how.retain, how.packet_id);
  if (!refers()) put_bytes(end, parts_.payload);
  variant.begin = static_cast<std::uint32_t>(at);
  variant.size = static_cast<std::uint32_t>(size);
  variant.packet_id_at = static_cast<std::uint32_t>(encoder.packet_id_offset());
}

void OutgoingPublish::append_payload(Connection& connection, BufferPool& pool) {
  const Message* owner = Ref<const Message>(message()).detach();
  connection.output.append_reference(pool, owner->payload(), owner,
                                     [](const void* held) { static_cast<const Message*>(held)->release(); });
}

bool OutgoingPublish::append_first(Connection& connection, BufferPool& pool, const How& how, bool v5,
                                   Variant& variant) {
  const wire::PublishParts parts = wire_parts(v5);
  const wire::PublishEncoder encoder(parts, v5, how.qos != wire::Qos::k0);
  if (encoder.size() > connection.maximum_packet_bytes) return false;
  if (variant.used) remember(variant, encoder, how);
  variant.used = true;
  const std::size_t size = refers() ? encoder.size_without_payload() : encoder.size();
  char* end = encoder.write_head(connection.output.prepare(pool, size), how.qos, how.retain, how.packet_id);
  if (!refers()) put_bytes(end, parts_.payload);
  connection.output.commit(size);
  if (refers()) append_payload(connection, pool);
  return true;
}

bool OutgoingPublish::append(Connection& connection, BufferPool& pool, const How& how) {
  const bool v5 = connection.version == ProtocolVersion::kV5;
  if (how.dup || connection.is_mounted ||
      (v5 && (how.identifiers != nullptr || connection.outgoing_aliases != nullptr)))
    return append_own(connection, pool, how);
  Variant& bytes = variants_[(v5 ? 4U : 0U) | (how.qos != wire::Qos::k0 ? 2U : 0U) | (how.retain ? 1U : 0U)];
  if (bytes.size == 0) return append_first(connection, pool, how, v5, bytes);
  const std::size_t whole = bytes.size + (refers() ? parts_.payload.size() : 0);
  if (whole > connection.maximum_packet_bytes) return false;
  char* out = connection.output.prepare(pool, bytes.size);
  scratch_.copy(out, bytes.size, bytes.begin);
  if (how.qos != wire::Qos::k0) {
    // The variant was encoded for any QoS above 0: the first byte carries the receiver's.
    out[0] = static_cast<char>((static_cast<unsigned>(out[0]) & 0xf9U) | (static_cast<unsigned>(how.qos) << 1));
    put_u16(out + bytes.packet_id_at, how.packet_id);
  }
  connection.output.commit(bytes.size);
  if (refers()) append_payload(connection, pool);
  return true;
}

session::OutgoingAliases::Alias OutgoingPublish::use_alias(Connection& connection, std::string_view topic) {
  if (connection.is_mounted) return connection.outgoing_aliases->use(topic);
  if (!topic_hash_) topic_hash_ = session::OutgoingAliases::hash(topic);
  return connection.outgoing_aliases->use(topic, *topic_hash_);
}

bool OutgoingPublish::append_own(Connection& connection, BufferPool& pool, const How& how) {
  const bool v5 = connection.version == ProtocolVersion::kV5;
  wire::Publish publish;
  publish.dup = how.dup;
  publish.qos = how.qos;
  publish.retain = how.retain;
  publish.topic = parts_.topic;
  if (connection.is_mounted) {
    const auto visible = visible_topic(connection.mount_point(), parts_.topic);
    if (!visible) return false;
    publish.topic = *visible;
  }
  publish.packet_id = how.packet_id;
  publish.payload = parts_.payload;
  if (v5) {
    const wire::PublishParts parts = wire_parts(true);
    publish.forwarded_properties = parts.forwarded_properties;
    if (parts.has_expiry) publish.properties.message_expiry_interval_s = parts.message_expiry_interval_s;
    if (how.identifiers != nullptr) publish.subscription_identifiers = how.identifiers->bytes();
  }
  session::OutgoingAliases::Alias alias;
  if (v5 && connection.outgoing_aliases != nullptr) {
    alias = use_alias(connection, publish.topic);
    if (alias.alias != 0) publish.topic_alias = alias.alias;
    if (alias.topic_known) publish.topic = {};
  }
  const std::size_t whole = wire::encoded_size(connection.version, publish);
  if (whole > connection.maximum_packet_bytes) {
    if (alias.alias != 0) connection.outgoing_aliases->forget(alias.alias);
    return false;
  }
  if (refers()) {
    const std::size_t size = whole - parts_.payload.size();
    wire::encode_without_payload(connection.version, publish, connection.output.prepare(pool, size));
    connection.output.commit(size);
    append_payload(connection, pool);
  } else {
    wire::encode(connection.version, publish, connection.output.prepare(pool, whole));
    connection.output.commit(whole);
  }
  return true;
}

}  // namespace petrel::broker
