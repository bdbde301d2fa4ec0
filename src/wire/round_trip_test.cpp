// Properties of the whole codec, over random packets of every type and version.
#include <gtest/gtest.h>

#include "wire/cursor.h"
#include "wire/test_random.h"
#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

constexpr int kPackets = 4000;  // of each version and sender

struct Side {
  ProtocolVersion version;
  Sender sender;
};

class RoundTrip : public testing::TestWithParam<Side> {
 protected:
  ProtocolVersion version() const { return GetParam().version; }
  Sender sender() const { return GetParam().sender; }
};

TEST_P(RoundTrip, DecodeGivesWhatWasEncoded) {
  for (std::uint64_t seed = 0; seed < kPackets; ++seed) {
    SCOPED_TRACE(seed);
    RandomPackets packets(seed);
    const AnyPacket packet = packets.next(version(), sender());
    const Encoded encoded = encode_any(version(), packet);
    ASSERT_EQ(encoded.filled, encoded.size);
    const Decoded decoded = decode_bytes(version(), sender(), encoded.view());
    ASSERT_TRUE(decoded.packet.has_value()) << decoded.packet.error().what << ": " << describe(packet);
    ASSERT_EQ(describe(*decoded.packet), describe(packet));
    // Once more, from the decoded packet: the encoding is the only one.
    ASSERT_EQ(encode_any(version(), *decoded.packet).view(), encoded.view());
  }
}

TEST_P(RoundTrip, APartIsNeverTakenForTheWhole) {
  for (std::uint64_t seed = 0; seed < kPackets / 20; ++seed) {
    SCOPED_TRACE(seed);
    RandomPackets packets(seed);
    const Encoded encoded = encode_any(version(), packets.next(version(), sender()));
    const std::size_t step = 1 + encoded.size / 200;
    for (std::size_t size = 0; size < encoded.size; size += step) {
      const std::unique_ptr<char[]> part(new char[size]);
      encoded.view().copy(part.get(), size);
      const auto frame = next_frame(version(), {part.get(), size}, kMaxVariableByteInteger);
      ASSERT_TRUE(frame.has_value());
      ASSERT_FALSE(frame->complete);
      ASSERT_TRUE(frame->needed_bytes == 0 || frame->needed_bytes == encoded.size);
      // The same with a remaining length that says so: refused, or no larger than what is there.
      const auto whole = next_frame(version(), encoded.view(), kMaxVariableByteInteger);
      const std::size_t header = encoded.size - whole->frame.body.size();
      if (size < header) continue;
      const Frame cut{whole->frame.type, whole->frame.flags, {part.get() + header, size - header}, size};
      const auto decoded = decode_any(version(), sender(), cut);
      ASSERT_TRUE(!decoded.has_value() || size_any(version(), *decoded) <= size);
    }
  }
}

// What was damaged is refused with a reason, or is another packet that survives the round trip.
TEST_P(RoundTrip, DamagedPacketsAreRefusedOrOthers) {
  std::size_t refused = 0;
  std::size_t others = 0;
  for (std::uint64_t seed = 0; seed < kPackets; ++seed) {
    SCOPED_TRACE(seed);
    RandomPackets packets(seed);
    const Encoded encoded = encode_any(version(), packets.next(version(), sender()));
    for (int round = 0; round < 8; ++round) {
      std::string bytes(encoded.view());
      const auto whole = next_frame(version(), bytes, kMaxVariableByteInteger);
      const std::size_t header = bytes.size() - whole->frame.body.size();
      for (std::uint64_t n = 1 + packets.below(3); n > 0; --n) {
        if (bytes.size() == header) break;
        // Mostly near the front, where lengths and flags are.
        const std::size_t span =
            packets.coin() ? std::min<std::size_t>(bytes.size() - header, 30) : bytes.size() - header;
        char& byte = bytes[header + packets.below(span)];
        byte = static_cast<char>(packets.coin() ? packets.below(256)
                                                : static_cast<unsigned char>(byte) ^ (1U << packets.below(8)));
      }
      const Decoded decoded = decode_bytes(version(), sender(), bytes);
      if (!decoded.packet.has_value()) {
        ASSERT_TRUE(is_error(decoded.packet.error().reason));
        ++refused;
        continue;
      }
      ++others;
      const Encoded again = encode_any(version(), *decoded.packet);
      ASSERT_EQ(again.filled, again.size);
      ASSERT_LE(again.size, bytes.size());
      const Decoded twice = decode_bytes(version(), sender(), again.view());
      ASSERT_TRUE(twice.packet.has_value()) << twice.packet.error().what << ": " << describe(*decoded.packet);
      ASSERT_EQ(describe(*twice.packet), describe(*decoded.packet));
    }
  }
  EXPECT_GT(refused, 0U);
  EXPECT_GT(others, 0U);
}

TEST_P(RoundTrip, NoiseNeverHarms) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t size = 2 + random() % 40;
    const std::unique_ptr<char[]> noise(new char[size]);
    for (std::size_t i = 0; i < size; ++i) noise[i] = static_cast<char>(random() >> 32);
    noise[1] = static_cast<char>(size - 2);
    const auto frame = next_frame(version(), {noise.get(), size}, kMaxVariableByteInteger);
    if (!frame.has_value()) continue;
    ASSERT_TRUE(frame->complete);
    const auto decoded = decode_any(version(), sender(), frame->frame);
    ASSERT_TRUE(!decoded.has_value() || size_any(version(), *decoded) <= size) << describe(*decoded);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RoundTrip,
    testing::Values(Side{ProtocolVersion::kV31, Sender::kClient}, Side{ProtocolVersion::kV31, Sender::kServer},
                    Side{ProtocolVersion::kV311, Sender::kClient}, Side{ProtocolVersion::kV311, Sender::kServer},
                    Side{ProtocolVersion::kV5, Sender::kClient}, Side{ProtocolVersion::kV5, Sender::kServer}),
    [](const testing::TestParamInfo<Side>& side) {
      return "Version" + std::to_string(static_cast<int>(side.param.version)) +
             (side.param.sender == Sender::kClient ? "Client" : "Server");
    });

}  // namespace
}  // namespace petrel::wire::test
