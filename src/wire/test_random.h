// Random valid packets of every type, from a seed, for the tests of this folder.
// Threads: an object has one user. Packets hold views into the object and are valid until the next is made.
#pragma once

#include <deque>
#include <random>
#include <string>

#include "wire/reason_table.h"
#include "wire/test_packet.h"

namespace petrel::wire::test {

class RandomPackets {
 public:
  explicit RandomPackets(std::uint64_t seed) : random_(seed) {}

  // Of any type that `sender` may send in `version`.
  AnyPacket next(ProtocolVersion version, Sender sender);

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool coin() { return below(2) == 0; }

 private:
  std::size_t length() {
    switch (below(12)) {
      case 0:
        return 0;
      case 1:
        return below(300);
      case 2:
        return below(100) == 0 ? 65'535 : 130;
      default:
        return 1 + below(10);
    }
  }
  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }
  std::string raw(std::size_t size) {
    std::string text;
    while (text.size() < size) text += static_cast<char>(below(256));
    return text;
  }
  std::string utf8(std::size_t size) {
    static constexpr std::string_view kCharacters[] = {"a",    "b",    "/",      "$",      " ",
                                                       "\x01", "\x7f", "\u00e4", "\u20ac", "\U0001f426"};
    std::string text;
    while (text.size() < size) {
      const std::string_view next = kCharacters[below(std::size(kCharacters))];
      text += text.size() + next.size() <= size ? next : "x";
    }
    return text;
  }
  std::string_view text() { return keep(utf8(length())); }
  std::string_view binary() { return keep(raw(length())); }
  std::string_view topic() { return keep(utf8(1 + length() % 65'535)); }
  std::string_view filter() {
    static constexpr std::string_view kFilters[] = {"#", "+", "a/+/b", "$share/group/a/#", "/"};
    return coin() ? kFilters[below(std::size(kFilters))] : topic();
  }
  template <class Value>
  auto maybe(Value value) {
    return coin() ? std::optional(value) : std::nullopt;
  }
  std::uint32_t number() { return static_cast<std::uint32_t>(random_() >> below(32)); }
  std::uint16_t number16() { return static_cast<std::uint16_t>(number()); }
  PacketId id() { return static_cast<PacketId>(1 + below(65'535)); }
  Qos qos() { return static_cast<Qos>(below(3)); }

  BytesView user_properties() {
    std::string list;
    for (std::uint64_t n = below(4); n > 0; --n) list += encode_user_property(utf8(length()), utf8(length()));
    return keep(list);
  }
  MessageProperties message_properties() {
    MessageProperties p;
    p.payload_format_indicator = maybe(static_cast<std::uint8_t>(below(2)));
    p.message_expiry_interval_s = maybe(number());
    p.content_type = maybe(text());
    p.response_topic = maybe(topic());
    p.correlation_data = maybe(binary());
    p.user_properties = user_properties();
    return p;
  }
  ReasonCode reason(PacketType type, Sender sender) {
    for (;;) {
      const auto code = static_cast<ReasonCode>(below(256));
      if (is_valid_reason(type, sender, code)) return code;
    }
  }

  AnyPacket connect(ProtocolVersion version);
  AnyPacket connack(ProtocolVersion version);
  AnyPacket publish(ProtocolVersion version, Sender sender);
  AnyPacket ack(ProtocolVersion version, Sender sender);
  AnyPacket subscribe(ProtocolVersion version);
  AnyPacket unsubscribe(ProtocolVersion version);
  AnyPacket suback(ProtocolVersion version);
  AnyPacket disconnect(ProtocolVersion version, Sender sender);
  AnyPacket auth(Sender sender);

  std::mt19937_64 random_;
  std::deque<std::string> kept_;
};

}  // namespace petrel::wire::test
