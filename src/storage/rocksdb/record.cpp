#include "storage/rocksdb/record.h"

#include <bit>

namespace petrel::storage::rocks {
namespace {

constexpr std::uint8_t kQosBits = 0x03;

// Big-endian, so that keys sort as numbers do.
void append_u64(std::string& out, std::uint64_t value, unsigned bytes = 8) {
  for (unsigned i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void append_u8(std::string& out, unsigned value) { out += static_cast<char>(value); }

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) append_u8(out, static_cast<unsigned>(value & 0x7f) | 0x80);
  append_u8(out, static_cast<unsigned>(value));
}

void append_text(std::string& out, std::string_view text) {
  append_varint(out, text.size());
  out += text;
}

// Reads from the front; after a failed read all later ones fail.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }
  std::string_view rest() const { return bytes_; }

  std::string_view take(std::size_t size) {
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  std::uint64_t u64(unsigned bytes = 8) {
    std::uint64_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(u64(1)); }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = u8();
      if (!ok_) return 0;
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  std::uint32_t varint32() {
    const std::uint64_t value = varint();
    if (value > 0xffffffff) ok_ = false;
    return static_cast<std::uint32_t>(value);
  }
  std::string_view text() {
    const std::uint64_t size = varint();
    return take(size > bytes_.size() ? bytes_.size() + 1 : static_cast<std::size_t>(size));
  }
  wire::Qos qos(unsigned bits) {
    if (bits > 2) ok_ = false;
    return bits > 2 ? wire::Qos::k0 : static_cast<wire::Qos>(bits);
  }
  SessionId session() {
    const std::uint8_t bytes = u8();
    if (bytes > 8) ok_ = false;
    return ok_ ? u64(bytes) : 0;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

unsigned flag(bool set, unsigned bit) { return set ? bit : 0; }

}  // namespace

void append_session_id(std::string& out, SessionId session) {
  const auto bytes = static_cast<unsigned>((std::bit_width(session) + 7) / 8);
  append_u8(out, bytes);
  append_u64(out, session, bytes);
}

std::string session_prefix(SessionId session) {
  std::string key;
  append_session_id(key, session);
  return key;
}

std::string after_session(SessionId session) {
  if (session == ~SessionId{0}) return "\xff";
  return session_prefix(session + 1);
}

std::string state_key(SessionId session, Kind kind, std::string_view rest) {
  std::string key = session_prefix(session);
  key += static_cast<char>(kind);
  key += rest;
  return key;
}

std::string packet_key(SessionId session, Kind kind, wire::PacketId packet_id) {
  std::string key = state_key(session, kind);
  append_u64(key, packet_id, 2);
  return key;
}

std::string queue_key(SessionId session, MessageId message) {
  std::string key = session_prefix(session);
  append_u64(key, message);
  return key;
}

std::string body_key(MessageId message) {
  std::string key;
  append_u64(key, message);
  return key;
}

std::optional<StateKey> decode_state_key(std::string_view key) {
  Reader in(key);
  StateKey result;
  result.session = in.session();
  const auto kind = static_cast<char>(in.u8());
  if (!in.ok() || kind < static_cast<char>(Kind::kSession) || kind > static_cast<char>(Kind::kWill))
    return std::nullopt;
  result.kind = static_cast<Kind>(kind);
  result.rest = in.rest();
  return result;
}

std::optional<wire::PacketId> decode_packet_id(std::string_view rest) {
  Reader in(rest);
  const auto packet_id = static_cast<wire::PacketId>(in.u64(2));
  if (!in.done()) return std::nullopt;
  return packet_id;
}

std::optional<QueueKey> decode_queue_key(std::string_view key) {
  Reader in(key);
  QueueKey result;
  result.session = in.session();
  result.message = in.u64();
  if (!in.done()) return std::nullopt;
  return result;
}

std::optional<MessageId> decode_body_key(std::string_view key) {
  Reader in(key);
  const MessageId message = in.u64();
  if (!in.done()) return std::nullopt;
  return message;
}

void append_session(std::string& out, const SessionRecord& record) {
  append_u8(out, flag(record.connected, 1));
  append_varint(out, record.session_expiry_interval_s);
  append_u64(out, static_cast<std::uint64_t>(record.disconnected_at));
  out += record.client_id;
}

bool decode_session(std::string_view bytes, SessionRecord& record) {
  Reader in(bytes);
  const std::uint8_t flags = in.u8();
  record.connected = (flags & 1) != 0;
  record.session_expiry_interval_s = in.varint32();
  record.disconnected_at = static_cast<TimeMs>(in.u64());
  record.client_id = in.rest();
  return in.ok() && flags <= 1;
}

void append_subscription(std::string& out, const SubscriptionRecord& record) {
  const wire::SubscriptionOptions& options = record.options;
  append_u8(out, static_cast<unsigned>(options.maximum_qos) | flag(options.no_local, 4) |
                     flag(options.retain_as_published, 8) | static_cast<unsigned>(options.retain_handling) << 4);
  if (record.identifier != 0) append_varint(out, record.identifier);
}

bool decode_subscription(std::string_view bytes, SubscriptionRecord& record) {
  Reader in(bytes);
  const std::uint8_t flags = in.u8();
  record.options.maximum_qos = in.qos(flags & kQosBits);
  record.options.no_local = (flags & 4) != 0;
  record.options.retain_as_published = (flags & 8) != 0;
  if (flags >> 4 > 2) return false;
  record.options.retain_handling = static_cast<wire::RetainHandling>(flags >> 4);
  record.identifier = in.ok() && !in.done() ? in.varint32() : 0;
  return in.done();
}

void append_outgoing(std::string& out, const OutgoingRecord& record) {
  append_u8(out, flag(record.released, 1));
  append_u64(out, record.message);
}

bool decode_outgoing(std::string_view bytes, OutgoingRecord& record) {
  Reader in(bytes);
  const std::uint8_t flags = in.u8();
  record.released = (flags & 1) != 0;
  record.message = in.u64();
  return in.done() && flags <= 1;
}

void append_will(std::string& out, const WillRecord& record) {
  append_u8(out, static_cast<unsigned>(record.qos) | flag(record.retain, 4) |
                     flag(record.message_expiry_interval_s.has_value(), 8));
  append_varint(out, record.delay_interval_s);
  if (record.message_expiry_interval_s) append_varint(out, *record.message_expiry_interval_s);
  append_text(out, record.topic);
  append_text(out, record.forwarded_properties);
  out += record.payload;
}

bool decode_will(std::string_view bytes, WillRecord& record) {
  Reader in(bytes);
  const std::uint8_t flags = in.u8();
  record.qos = in.qos(flags & kQosBits);
  record.retain = (flags & 4) != 0;
  record.delay_interval_s = in.varint32();
  record.message_expiry_interval_s.reset();
  if ((flags & 8) != 0) record.message_expiry_interval_s = in.varint32();
  record.topic = in.text();
  record.forwarded_properties = in.text();
  record.payload = in.rest();
  return in.ok() && flags < 16;
}

void append_entry(std::string& out, const QueueEntry& entry) {
  const unsigned flags = static_cast<unsigned>(entry.qos) | flag(entry.retain, 4) |
                         flag(!entry.identifiers.empty(), 8) | flag(!entry.shared_group.empty(), 16);
  if (flags == static_cast<unsigned>(wire::Qos::k1)) return;
  append_u8(out, flags);
  if (!entry.identifiers.empty()) append_text(out, entry.identifiers);
  out += entry.shared_group;
}

bool decode_entry(std::string_view bytes, QueueEntry& entry) {
  entry.qos = wire::Qos::k1;
  if (bytes.empty()) return true;
  Reader in(bytes);
  const std::uint8_t flags = in.u8();
  entry.qos = in.qos(flags & kQosBits);
  entry.retain = (flags & 4) != 0;
  if ((flags & 8) != 0) entry.identifiers = in.text();
  if ((flags & 16) != 0) entry.shared_group = in.take(in.rest().size());
  return in.done() && flags < 32;
}

void append_message(std::string& out, const wire::Message& message) {
  const bool expires = message.expires_at() != kNever;
  const bool has_properties = !message.forwarded_properties().empty();
  append_u8(out, static_cast<unsigned>(message.qos()) | flag(message.retain(), 4) | flag(expires, 8) |
                     flag(has_properties, 16));
  if (expires) append_u64(out, static_cast<std::uint64_t>(message.expires_at()));
  append_text(out, message.topic());
  if (has_properties) append_text(out, message.forwarded_properties());
  out += message.payload();
}

Ref<const wire::Message> decode_message(std::string_view bytes) {
  Reader in(bytes);
  wire::Message::Parts parts;
  const std::uint8_t flags = in.u8();
  parts.qos = in.qos(flags & kQosBits);
  parts.retain = (flags & 4) != 0;
  if ((flags & 8) != 0) parts.expires_at = static_cast<TimeMs>(in.u64());
  parts.topic = in.text();
  if ((flags & 16) != 0) parts.forwarded_properties = in.text();
  parts.payload = in.rest();
  if (!in.ok() || flags >= 32 || parts.topic.size() > 0xffff) return nullptr;
  return wire::Message::create(parts);
}

TimeMs message_expiry(std::string_view bytes) {
  Reader in(bytes);
  if ((in.u8() & 8) == 0) return kNever;
  const auto expiry = static_cast<TimeMs>(in.u64());
  return in.ok() ? expiry : kNever;
}

void append_acknowledged(std::string& out, const AcknowledgedRecord& record) {
  append_varint(out, record.floors.size());
  for (const MessageId floor : record.floors) append_u64(out, floor);
  MessageId before = record.floors.empty() ? 0 : record.floors.front();
  for (const MessageId id : record.above) {
    append_varint(out, id - before);  // wraps around for what lies below the first floor
    before = id;
  }
}

bool decode_acknowledged(std::string_view bytes, AcknowledgedRecord& record) {
  Reader in(bytes);
  const std::uint64_t lanes = in.varint();
  if (lanes > in.rest().size() / 8) return false;
  record.floors.clear();
  record.above.clear();
  for (std::uint64_t i = 0; i < lanes; ++i) record.floors.push_back(in.u64());
  MessageId before = record.floors.empty() ? 0 : record.floors.front();
  while (in.ok() && !in.done()) {
    before += in.varint();
    record.above.push_back(before);
  }
  return in.ok();
}

}  // namespace petrel::storage::rocks
