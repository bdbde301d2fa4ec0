#include "clear.h"

#include <fmt/format.h>

#include <set>
#include <string>

#include "crowd.h"
#include "packets.h"
#include "wire_socket.h"

namespace petrel::hostile {

namespace {

using wire::PacketType;

constexpr std::size_t kIdentifiers = 500;
// U+10FFFD comes behind every other topic: its message ends the list.
constexpr std::string_view kLast = "\xf4\x8f\xbf\xbd";

std::set<std::string> all_retained(const Door& door) {
  WireSocket socket(door, kV5);
  socket.send(connect("clear") + publish(kLast, "end", wire::Qos::k0, 0, true) + subscribe({"#"}));
  std::set<std::string> topics;
  for (;;) {
    const wire::Frame frame = socket.wait();
    if (frame.type != PacketType::kPublish) continue;
    const auto got = wire::decode_publish(kV5, wire::Sender::kServer, frame.flags, frame.body);
    if (!got.has_value()) throw Failure(fmt::format("clear: {}", got.error().what));
    if (!got->retain) continue;
    if (got->topic == kLast) return topics;
    topics.emplace(got->topic);
  }
}

}  // namespace

std::uint64_t clear_retained(const Door& door) {
  const std::set<std::string> topics = all_retained(door);
  WireSocket socket(door, kV5);
  socket.send(connect("clear"));
  for (const std::string& topic : topics) socket.send(publish(topic, "", wire::Qos::k0, 0, true));
  socket.send(publish(kLast, "", wire::Qos::k0, 0, true) + std::string(wire::kPingreq));
  while (socket.wait().type != PacketType::kPingresp) {
  }
  return topics.size();
}

std::uint64_t end_sessions(const Door& door) {
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < kIdentifiers; ++i) {
    WireSocket socket(door, kV5);
    const std::string client_id = fmt::format("hostile-{}", i);
    wire::Connect packet;
    packet.version = kV5;
    packet.client_id = client_id;
    packet.clean_start = false;
    socket.send(encoded(kV5, packet));
    const wire::Frame answer = socket.wait();
    if (answer.type != PacketType::kConnack || answer.body[1] != 0) throw Failure("clear: refused");
    found += static_cast<std::uint64_t>(answer.body[0] & 1);
    socket.send(encoded(kV5, wire::Disconnect{}));
  }
  return found;
}

}  // namespace petrel::hostile
