#include "corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crowd.h"
#include "packets.h"

namespace petrel::hostile {

namespace {

using wire::PacketType;
using wire::ProtocolVersion;
using wire::Qos;

std::string any_connect(RandomSource& random, ProtocolVersion version) {
  wire::Connect packet;
  packet.version = version;
  const std::string client_id = fmt::format("hostile-{}", random.below(500));
  packet.client_id = client_id;
  packet.clean_start = !random.one_in(8);
  packet.keep_alive_s = static_cast<std::uint16_t>(random.below(3) * 30);
  if (random.one_in(4)) packet.user_name = "user";
  if (random.one_in(4)) {
    packet.will = wire::Will{.qos = static_cast<Qos>(random.below(3)),
                             .retain = random.one_in(4),
                             .topic = "hostile/will",
                             .payload = "gone",
                             .delay_interval_s = 0,
                             .properties = {}};
  }
  if (version == ProtocolVersion::kV5) {
    packet.receive_maximum = static_cast<std::uint16_t>(random.between(1, 100));
    packet.topic_alias_maximum = static_cast<std::uint16_t>(random.below(20));
    if (random.one_in(4)) packet.session_expiry_interval_s = 1;
  }
  return encoded(version, packet);
}

std::string any_publish(RandomSource& random, ProtocolVersion version) {
  wire::Publish packet;
  const std::string topic = fmt::format("hostile/{}/{}", random.below(20), random.below(20));
  const std::string payload = random.bytes(random.below(200));
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = static_cast<Qos>(random.below(3));
  packet.retain = random.one_in(6);
  if (packet.qos != Qos::k0) packet.packet_id = static_cast<wire::PacketId>(random.between(1, 50));
  if (version == ProtocolVersion::kV5) {
    if (random.one_in(3)) packet.topic_alias = static_cast<std::uint16_t>(random.between(1, 64));
    if (random.one_in(3)) packet.properties.response_topic = "hostile/response";
    if (random.one_in(3)) packet.properties.message_expiry_interval_s = 1;
  }
  return encoded(version, packet);
}

std::string any_packet(RandomSource& random, ProtocolVersion version) {
  const auto id = static_cast<wire::PacketId>(random.between(1, 50));
  const std::string filter =
      random.one_in(3) ? fmt::format("hostile/{}/#", random.below(20)) : fmt::format("hostile/+/{}", random.below(20));
  switch (random.below(8)) {
    case 0:
      return subscribe({filter, random.one_in(2) ? "$share/hostile/" + filter : filter},
                       static_cast<Qos>(random.below(3)), id, version);
    case 1:
      return unsubscribe({filter}, id, version);
    case 2:
      return std::string(wire::kPingreq);
    case 3:
      return ack(static_cast<PacketType>(random.between(4, 7)), id, version);
    case 4:
      return random.one_in(8) ? encoded(version, wire::Disconnect{}) : std::string(wire::kPingreq);
    default:
      return any_publish(random, version);
  }
}

// The remaining length of the packet at `at` says something else.
void lie_about_length(std::string& stream, std::size_t at, RandomSource& random) {
  static constexpr std::string_view kLies[] = {
      {"\x00", 1}, "\x7f", "\xff\x7f", "\xff\xff\x7f", "\xff\xff\xff\x7f", "\xff\xff\xff\xff"};
  if (at + 1 < stream.size()) stream.replace(at + 1, 1, kLies[random.below(std::size(kLies))]);
}

}  // namespace

Corpus::Corpus(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  if (fs::is_directory(directory))
    for (const auto& folder : fs::directory_iterator(directory))
      if (folder.path().filename().string().starts_with("decode_"))
        for (const auto& file : fs::directory_iterator(folder)) files.push_back(file.path());
  // The order of a directory is not the same everywhere, but a seed's meaning shall be.
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (bytes.size() > 1) seeds_.push_back(bytes.substr(1));  // the first byte names the sender (fuzz/decode_fuzz.h)
  }
  if (seeds_.empty()) throw Failure(fmt::format("no seeds in {}/decode_*", directory));
}

std::string valid_session(RandomSource& random, std::size_t packets) {
  const auto version = static_cast<ProtocolVersion>(random.between(3, 5));
  std::string stream = any_connect(random, version);
  for (std::size_t i = 0; i < packets; ++i) stream += any_packet(random, version);
  return stream;
}

void mutate(std::string& stream, RandomSource& random, const Corpus& corpus) {
  for (std::size_t round = random.between(1, 6); round > 0 && !stream.empty(); --round) {
    const std::size_t at = random.below(stream.size());
    const std::size_t length = random.between(1, 1 + std::min<std::size_t>(stream.size() - at - 1, 64));
    switch (random.below(8)) {
      case 0:
        stream.resize(at);
        break;
      case 1:
        lie_about_length(stream, random.one_in(2) ? 0 : at, random);
        break;
      case 2:
        stream.insert(at, corpus.seed(random));
        break;
      case 3:
        stream.insert(at, stream.substr(at, length));
        break;
      case 4:
        stream.erase(at, length);
        break;
      case 5:
        stream[at] = random.byte();
        break;
      default:
        stream[at] = static_cast<char>(stream[at] ^ (1 << random.below(8)));
    }
  }
}

}  // namespace petrel::hostile
