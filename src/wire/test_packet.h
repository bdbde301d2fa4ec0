// For tests and fuzz targets: any packet as one variant, decoded from a frame and encoded to bytes, and its contents as
// text. Two packets are equal when their texts are; the text leaves out what may differ between encodings of the same
// packet (where properties lie, defaults spelled out).
// Threads: pure, any. A packet holds views into the bytes it was decoded from.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/property.h"

namespace petrel::wire::test {

// PINGREQ and PINGRESP.
struct Ping {
  PacketType type = PacketType::kPingreq;
};

using AnyPacket = std::variant<Connect, Connack, Publish, Ack, Subscribe, Unsubscribe, Suback, Disconnect, Auth, Ping>;

template <class Packet>
Result<AnyPacket, Error> any(Result<Packet, Error>&& decoded) {
  if (!decoded.has_value()) return decoded.error();
  return AnyPacket(std::move(*decoded));
}
template <class Packet>
Result<AnyPacket, Error> any(const Result<void, Error>& done, Packet&& packet) {
  if (!done.has_value()) return done.error();
  return AnyPacket(std::forward<Packet>(packet));
}

// A SUBSCRIBE or UNSUBSCRIBE with all its filters, each of which goes to `take`.
template <class Take>
Result<FiltersHead, Error> decode_filters(ProtocolVersion version, PacketType type, BytesView body, const Take& take) {
  const auto head = decode_filters_head(version, type, body);
  if (!head.has_value()) return head.error();
  for (BytesView filters = head->filters; !filters.empty();) {
    const auto subscription = decode_filter(version, type, filters);
    if (!subscription.has_value()) return subscription.error();
    take(*subscription);
  }
  return head;
}

inline Result<AnyPacket, Error> decode_subscribe(ProtocolVersion version, BytesView body) {
  Subscribe packet;
  const auto head = decode_filters(version, PacketType::kSubscribe, body,
                                   [&](const Subscription& entry) { packet.subscriptions.push_back(entry); });
  if (!head.has_value()) return head.error();
  packet.packet_id = head->packet_id;
  packet.subscription_identifier = head->subscription_identifier;
  packet.user_properties = head->user_properties;
  return AnyPacket(std::move(packet));
}

inline Result<AnyPacket, Error> decode_unsubscribe(ProtocolVersion version, BytesView body) {
  Unsubscribe packet;
  const auto head = decode_filters(version, PacketType::kUnsubscribe, body,
                                   [&](const Subscription& entry) { packet.filters.push_back(entry.filter); });
  if (!head.has_value()) return head.error();
  packet.packet_id = head->packet_id;
  packet.user_properties = head->user_properties;
  return AnyPacket(std::move(packet));
}

inline Result<AnyPacket, Error> decode_any(ProtocolVersion version, Sender sender, const Frame& frame) {
  using enum PacketType;
  switch (frame.type) {
    case kConnect:
      return any(decode_connect(frame.body));
    case kConnack:
      return any(decode_connack(version, frame.body));
    case kPublish:
      return any(decode_publish(version, sender, frame.flags, frame.body));
    case kPuback:
    case kPubrec:
    case kPubrel:
    case kPubcomp:
      return any(decode_ack(version, frame.type, frame.body));
    case kSubscribe:
      return decode_subscribe(version, frame.body);
    case kUnsubscribe:
      return decode_unsubscribe(version, frame.body);
    case kSuback:
    case kUnsuback: {
      Suback packet;
      const auto done = decode_suback(version, frame.type, frame.body, packet);
      return any(done, std::move(packet));
    }
    case kPingreq:
    case kPingresp:
      return any(decode_empty(frame.type, frame.body), Ping{frame.type});
    case kDisconnect:
      return any(decode_disconnect(version, sender, frame.body));
    case kAuth:
      return any(decode_auth(sender, frame.body));
  }
  return Error{ReasonCode::kMalformedPacket, "no such packet"};
}

inline std::size_t size_any(ProtocolVersion version, const AnyPacket& packet) {
  return std::visit(
      [&]<class Packet>(const Packet& p) {
        if constexpr (std::is_same_v<Packet, Ping>)
          return kPingreq.size();
        else
          return encoded_size(version, p);
      },
      packet);
}

// The bytes in a block of their own and of exactly their size, so that the sanitizers see a step over the end.
// `filled` is how many bytes the encoder wrote.
struct Encoded {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
  std::size_t filled = 0;
  BytesView view() const { return {bytes.get(), size}; }
};

inline Encoded encode_any(ProtocolVersion version, const AnyPacket& packet) {
  Encoded out;
  out.size = size_any(version, packet);
  out.bytes.reset(new char[out.size]);
  const char* end = std::visit(
      [&]<class Packet>(const Packet& p) {
        if constexpr (std::is_same_v<Packet, Ping>)
          return put_bytes(out.bytes.get(), p.type == PacketType::kPingreq ? kPingreq : kPingresp);
        else
          return encode(version, p, out.bytes.get());
      },
      packet);
  out.filled = static_cast<std::size_t>(end - out.bytes.get());
  return out;
}

// The contents as text: ` name=value` for each field that is not the default.
class Description {
 public:
  void flag(const char* name, bool value) {
    if (value) (out_ += ' ') += name;
  }
  void number(const char* name, std::uint64_t value) { field(name) += std::to_string(value); }
  void number_unless_zero(const char* name, std::uint64_t value) {
    if (value != 0) number(name, value);
  }
  void text(const char* name, std::string_view value) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string& out = field(name);
    out += '\'';
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0x20 && byte < 0x7f && c != '\'' && c != '\\') {
        out += c;
      } else {
        ((out += "\\x") += kDigits[byte >> 4]) += kDigits[byte & 0x0f];
      }
    }
    out += '\'';
  }
  template <class T>
  void optional(const char* name, const std::optional<T>& value) {
    if (!value) return;
    if constexpr (std::is_convertible_v<T, std::string_view>)
      text(name, *value);
    else
      number(name, static_cast<std::uint64_t>(*value));
  }
  void reason(ReasonCode value) {
    if (value != ReasonCode::kSuccess) text("reason", wire::name(value));
  }
  void user_properties(BytesView encoded) {
    for_each_user_property(
        encoded,
        [](void* self, std::string_view name, std::string_view value) {
          static_cast<Description*>(self)->text("user", name);
          static_cast<Description*>(self)->text("is", value);
        },
        this);
  }
  void message(const MessageProperties& p) {
    optional("payload_format", p.payload_format_indicator);
    optional("expiry_s", p.message_expiry_interval_s);
    optional("content_type", p.content_type);
    optional("response_topic", p.response_topic);
    optional("correlation", p.correlation_data);
    user_properties(p.user_properties);
  }
  std::string& field(const char* name) { return ((out_ += ' ') += name) += '='; }
  std::string take(std::string_view title) const { return std::string(title) + out_; }

 private:
  std::string out_;
};

inline std::string describe(const Connect& p) {
  Description d;
  d.number("version", static_cast<std::uint64_t>(p.version));
  d.flag("clean_start", p.clean_start);
  d.number_unless_zero("keep_alive_s", p.keep_alive_s);
  d.text("client_id", p.client_id);
  d.optional("session_expiry_s", p.session_expiry_interval_s);
  d.optional("receive_maximum", p.receive_maximum);
  d.optional("maximum_packet_size", p.maximum_packet_size_bytes);
  d.number_unless_zero("topic_alias_maximum", p.topic_alias_maximum);
  d.flag("request_response_information", p.request_response_information);
  d.flag("no_problem_information", !p.request_problem_information);
  d.user_properties(p.user_properties);
  d.optional("method", p.authentication_method);
  d.optional("data", p.authentication_data);
  if (p.will) {
    d.text("will", p.will->topic);
    d.text("payload", p.will->payload);
    d.number_unless_zero("qos", static_cast<std::uint64_t>(p.will->qos));
    d.flag("retain", p.will->retain);
    d.number_unless_zero("delay_s", p.will->delay_interval_s);
    d.message(p.will->properties);
  }
  d.optional("user_name", p.user_name);
  d.optional("password", p.password);
  return d.take("CONNECT");
}

inline std::string describe(const Connack& p) {
  Description d;
  d.flag("session_present", p.session_present);
  d.reason(p.reason);
  d.optional("session_expiry_s", p.session_expiry_interval_s);
  d.optional("receive_maximum", p.receive_maximum);
  d.optional("maximum_qos", p.maximum_qos);
  d.optional("retain_available", p.retain_available);
  d.optional("maximum_packet_size", p.maximum_packet_size_bytes);
  d.optional("client_id", p.assigned_client_identifier);
  d.number_unless_zero("topic_alias_maximum", p.topic_alias_maximum);
  d.optional("reason_string", p.reason_string);
  d.user_properties(p.user_properties);
  d.optional("wildcards", p.wildcard_subscription_available);
  d.optional("identifiers", p.subscription_identifiers_available);
  d.optional("shared", p.shared_subscription_available);
  d.optional("keep_alive_s", p.server_keep_alive_s);
  d.optional("response_information", p.response_information);
  d.optional("server_reference", p.server_reference);
  d.optional("method", p.authentication_method);
  d.optional("data", p.authentication_data);
  return d.take("CONNACK");
}

inline std::string describe(const Publish& p) {
  Description d;
  d.flag("dup", p.dup);
  d.number_unless_zero("qos", static_cast<std::uint64_t>(p.qos));
  d.flag("retain", p.retain);
  d.text("topic", p.topic);
  d.number_unless_zero("id", p.packet_id);
  d.optional("alias", p.topic_alias);
  d.message(p.properties);
  BytesView identifiers = p.subscription_identifiers;
  while (const auto identifier = next_subscription_identifier(identifiers)) d.number("subscription", *identifier);
  d.text("payload", p.payload);
  return d.take("PUBLISH");
}

inline std::string describe(const Ack& p) {
  Description d;
  d.number("id", p.packet_id);
  d.reason(p.reason);
  d.optional("reason_string", p.reason_string);
  d.user_properties(p.user_properties);
  return d.take(name(p.type));
}

inline std::string describe(const Subscribe& p) {
  Description d;
  d.number("id", p.packet_id);
  d.number_unless_zero("identifier", p.subscription_identifier);
  d.user_properties(p.user_properties);
  for (const Subscription& s : p.subscriptions) {
    d.text("filter", s.filter);
    d.number("qos", static_cast<std::uint64_t>(s.options.maximum_qos));
    d.flag("no_local", s.options.no_local);
    d.flag("retain_as_published", s.options.retain_as_published);
    d.number_unless_zero("retain_handling", static_cast<std::uint64_t>(s.options.retain_handling));
  }
  return d.take("SUBSCRIBE");
}

inline std::string describe(const Unsubscribe& p) {
  Description d;
  d.number("id", p.packet_id);
  d.user_properties(p.user_properties);
  for (const std::string_view filter : p.filters) d.text("filter", filter);
  return d.take("UNSUBSCRIBE");
}

inline std::string describe(const Suback& p) {
  Description d;
  d.number("id", p.packet_id);
  d.optional("reason_string", p.reason_string);
  d.user_properties(p.user_properties);
  for (const ReasonCode reason : p.reasons) d.number("reason", static_cast<std::uint64_t>(reason));
  return d.take(name(p.type));
}

inline std::string describe(const Disconnect& p) {
  Description d;
  d.reason(p.reason);
  d.optional("session_expiry_s", p.session_expiry_interval_s);
  d.optional("reason_string", p.reason_string);
  d.user_properties(p.user_properties);
  d.optional("server_reference", p.server_reference);
  return d.take("DISCONNECT");
}

inline std::string describe(const Auth& p) {
  Description d;
  d.reason(p.reason);
  d.optional("method", p.authentication_method);
  d.optional("data", p.authentication_data);
  d.optional("reason_string", p.reason_string);
  d.user_properties(p.user_properties);
  return d.take("AUTH");
}

inline std::string describe(const Ping& p) { return std::string(name(p.type)); }

inline std::string describe(const AnyPacket& packet) {
  return std::visit([](const auto& p) { return describe(p); }, packet);
}

}  // namespace petrel::wire::test
