#include "wire/test_table.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "wire/cursor.h"

namespace petrel::wire::test {

namespace {

std::string with_length(std::string_view bytes) {
  char length[4];
  const char* end = put_variable_byte_integer(length, bytes.size());
  return std::string(length, static_cast<std::size_t>(end - length)).append(bytes);
}

unsigned digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  ADD_FAILURE() << "not of the notation: " << c;
  return 0;
}

// Up to `end`, which is passed over.
std::string parse(std::string_view& rest, char end) {
  std::string out;
  while (!rest.empty() && rest.front() != end) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (std::isspace(static_cast<unsigned char>(c))) continue;
    if (c == '(') {
      out += with_length(parse(rest, ')'));
    } else if (c == '~') {
      out += with_length(parse(rest, end));
      return out;
    } else if (c == '\'' || c == '"') {
      const std::string_view text = rest.substr(0, rest.find(c));
      rest.remove_prefix(std::min(rest.size(), text.size() + 1));
      char length[2];
      if (c == '\'') out.append(length, put_u16(length, static_cast<std::uint16_t>(text.size())));
      out += text;
    } else if (!rest.empty()) {
      out += static_cast<char>((digit(c) << 4) | digit(rest.front()));
      rest.remove_prefix(1);
    }
  }
  if (!rest.empty()) rest.remove_prefix(1);
  return out;
}

std::vector<ProtocolVersion> versions_of(Versions versions) {
  using enum ProtocolVersion;
  switch (versions) {
    case Versions::kV31:
      return {kV31};
    case Versions::kV311:
      return {kV311};
    case Versions::kV5:
      return {kV5};
    case Versions::k3:
      return {kV31, kV311};
    case Versions::kAll:
      break;
  }
  return {kV31, kV311, kV5};
}

void write_seed(ProtocolVersion version, Sender sender, BytesView bytes) {
  const char* corpus = std::getenv("PETREL_WRITE_CORPUS");
  if (corpus == nullptr) return;
  const char* target = version == ProtocolVersion::kV5
                           ? "decode_v5"
                           : (version == ProtocolVersion::kV311 ? "decode_v311" : "decode_v31");
  const std::string seed = std::string(1, sender == Sender::kClient ? '\0' : '\1').append(bytes);
  const std::filesystem::path folder = std::filesystem::path(corpus) / target;
  std::filesystem::create_directories(folder);
  std::uint64_t hash = 14'695'981'039'346'656'037U;  // FNV-1a
  for (const char c : seed) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
  char file[20];
  std::snprintf(file, sizeof file, "%016zx", std::size_t{hash});
  std::ofstream(folder / file, std::ios::binary) << seed;
}

// Views of a decoded packet lie within its bytes: what the sanitizers cannot see when memory is shared.
void check_part(ProtocolVersion version, Sender sender, BytesView bytes, std::size_t size) {
  const std::unique_ptr<char[]> part(new char[size]);
  bytes.copy(part.get(), size);
  const auto frame = next_frame(version, {part.get(), size}, kMaxVariableByteInteger);
  ASSERT_TRUE(frame.has_value()) << frame.error().what;
  EXPECT_FALSE(frame->complete);
  EXPECT_TRUE(frame->needed_bytes == 0 || frame->needed_bytes == bytes.size()) << frame->needed_bytes;
  // The body cut off as well: whatever it decodes to takes no more than there is.
  std::size_t header = 2;
  while ((byte_at(bytes, header - 1) & 0x80) != 0) ++header;
  if (size < header) return;
  const auto cut = decode_any(version, sender,
                              {static_cast<PacketType>(byte_at(bytes, 0) >> 4),
                               static_cast<std::uint8_t>(byte_at(bytes, 0) & 0x0f),
                               {part.get() + header, size - header},
                               size});
  if (!cut.has_value()) return;
  EXPECT_LE(size_any(version, *cut), size) << describe(*cut);
}

}  // namespace

std::string bytes_of(std::string_view notation) { return parse(notation, '\0'); }

Decoded decode_bytes(ProtocolVersion version, Sender sender, BytesView bytes) {
  Decoded out;
  out.bytes.reset(new char[bytes.size()]);
  bytes.copy(out.bytes.get(), bytes.size());
  const auto frame = next_frame(version, {out.bytes.get(), bytes.size()}, kMaxVariableByteInteger);
  if (!frame.has_value()) {
    out.packet = frame.error();
  } else if (!frame->complete || frame->frame.total_bytes != bytes.size()) {
    ADD_FAILURE() << "the bytes are not one frame";
  } else {
    out.packet = decode_any(version, sender, frame->frame);
  }
  return out;
}

void check(const std::vector<Valid>& table) {
  std::map<std::pair<ProtocolVersion, Sender>, std::string> streams;
  for (const Valid& row : table) {
    const std::string bytes = bytes_of(row.packet);
    for (const ProtocolVersion version : versions_of(row.versions)) {
      SCOPED_TRACE(std::string(row.packet) + " in version " + std::to_string(static_cast<int>(version)));
      write_seed(version, row.sender, bytes);
      streams[{version, row.sender}] += bytes;
      const Decoded decoded = decode_bytes(version, row.sender, bytes);
      if (!decoded.packet.has_value()) {
        ADD_FAILURE() << decoded.packet.error().what;
        continue;
      }
      EXPECT_EQ(describe(*decoded.packet), row.content);
      const Encoded again = encode_any(version, *decoded.packet);
      EXPECT_EQ(again.filled, again.size);
      EXPECT_LE(again.size, bytes.size());
      const Decoded twice = decode_bytes(version, row.sender, again.view());
      if (twice.packet.has_value()) {
        EXPECT_EQ(describe(*twice.packet), row.content);
      } else {
        ADD_FAILURE() << twice.packet.error().what;
      }
      for (std::size_t size = 0; size < bytes.size(); ++size) check_part(version, row.sender, bytes, size);
    }
  }
  for (const auto& [side, stream] : streams) write_seed(side.first, side.second, stream);
}

void check(const std::vector<Invalid>& table) {
  for (const Invalid& row : table) {
    const std::string bytes = bytes_of(row.packet);
    for (const ProtocolVersion version : versions_of(row.versions)) {
      SCOPED_TRACE(std::string(row.rule) + ": " + row.packet + " in version " +
                   std::to_string(static_cast<int>(version)));
      write_seed(version, row.sender, bytes);
      const Decoded decoded = decode_bytes(version, row.sender, bytes);
      if (decoded.packet.has_value()) {
        ADD_FAILURE() << "accepted: " << describe(*decoded.packet);
      } else {
        EXPECT_EQ(name(decoded.packet.error().reason), name(row.reason)) << decoded.packet.error().what;
        EXPECT_FALSE(decoded.packet.error().what.empty());
      }
    }
  }
}

TEST(TestTable, Notation) {
  EXPECT_EQ(bytes_of("30 ~ 'a/b' \"hi\""), std::string_view("\x30\x07\x00\x03\x61/b\x68i", 9));
  EXPECT_EQ(bytes_of("e0 ~ 81 (26 'k' 'v')"), std::string_view("\xe0\x09\x81\x07\x26\x00\x01k\x00\x01v", 11));
}

}  // namespace petrel::wire::test
