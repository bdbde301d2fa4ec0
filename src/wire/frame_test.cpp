// The fixed header (MQTT 5.0, 2.1; 3.1.1, 2.2; 3.1, 2.1) and the packets that are nothing else.
#include <gtest/gtest.h>

#include "wire/cursor.h"
#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Frame, Ping_MQTT_3_12_3_13) {
  check(std::vector<Valid>{
      {kAll, kClient, "c0 00", "PINGREQ"},
      {kAll, kServer, "d0 00", "PINGRESP"},
  });
  check(std::vector<Invalid>{
      {kAll, kClient, "3.12", "c0 01 00", kMalformedPacket},
      {kAll, kServer, "3.13", "d0 01 00", kMalformedPacket},
  });
}

TEST(Frame, ReservedTypesAndFlags_MQTT_2_1_3_1) {
  check(std::vector<Invalid>{
      {kAll, kClient, "2.1.2: type 0", "00 00", kMalformedPacket},
      {kAll, kClient, "2.1.2: type 0", "0f 00", kMalformedPacket},
      {k3, kClient, "3.1.1, 2.2.1: type 15", "f0 00", kMalformedPacket},
      {kAll, kClient, "MQTT-2.1.3-1", "11 00", kMalformedPacket},
      {kAll, kServer, "MQTT-2.1.3-1", "28 00", kMalformedPacket},
      {kAll, kClient, "MQTT-2.1.3-1", "42 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-2.1.3-1", "51 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-3.6.1-1", "60 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-3.6.1-1", "63 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-2.1.3-1", "74 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-3.8.1-1", "80 ~ 0001 'a' 00", kMalformedPacket},
      {kAll, kServer, "MQTT-2.1.3-1", "92 ~ 0001 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.10.1-1", "a0 ~ 0001 'a'", kMalformedPacket},
      {kAll, kServer, "MQTT-2.1.3-1", "b2 02 0001", kMalformedPacket},
      {kAll, kClient, "MQTT-2.1.3-1", "c1 00", kMalformedPacket},
      {kAll, kServer, "MQTT-2.1.3-1", "d8 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.14.1-1", "e1 00", kMalformedPacket},
      {kV5, kClient, "MQTT-3.15.1-1", "f1 00", kMalformedPacket},
      {kV311, kClient, "MQTT-3.6.1-1", "6a 02 0001", kMalformedPacket},
      {kV5, kClient, "MQTT-3.6.1-1", "6a 02 0001", kMalformedPacket},
      {kV311, kClient, "MQTT-3.8.1-1", "8a ~ 0001 'a' 00", kMalformedPacket},
      {kV5, kClient, "MQTT-3.8.1-1", "8a ~ 0001 () 'a' 00", kMalformedPacket},
      {kV311, kClient, "MQTT-3.10.1-1", "aa ~ 0001 'a'", kMalformedPacket},
      {kV5, kClient, "MQTT-3.10.1-1", "aa ~ 0001 () 'a'", kMalformedPacket},
  });
}

TEST(Frame, SentAgainIsTakenIn31) {
  check(std::vector<Valid>{
      {kV31, kClient, "6a 02 0001", "PUBREL id=1"},
      {kV31, kClient, "8a ~ 0001 'a' 01", "SUBSCRIBE id=1 filter='a' qos=1"},
      {kV31, kClient, "aa ~ 0001 'a'", "UNSUBSCRIBE id=1 filter='a'"},
  });
}

TEST(Frame, RemainingLength_MQTT_1_5_5_1) {
  check(std::vector<Invalid>{
      {kV5, kClient, "MQTT-1.5.5-1", "c0 80 00", kMalformedPacket},
      {kV5, kClient, "MQTT-1.5.5-1", "30 84 80 00 'a' 00", kMalformedPacket},
      {kAll, kClient, "2.1.4", "30 80 80 80 80", kMalformedPacket},
      {kAll, kClient, "2.1.4", "30 ff ff ff ff 7f", kMalformedPacket},
  });
  // 3.x leaves the width free.
  check(std::vector<Valid>{
      {k3, kClient, "c0 80 00", "PINGREQ"},
      {k3, kClient, "30 85 80 80 00 'a' \"hi\"", "PUBLISH topic='a' payload='hi'"},
  });
}

TEST(Frame, NeededBytesOfEveryLength) {
  for (const std::size_t length :
       {0UL, 1UL, 127UL, 128UL, 16'383UL, 16'384UL, 2'097'151UL, 2'097'152UL, 268'435'455UL}) {
    char header[5] = {'\x30'};
    const auto size = static_cast<std::size_t>(put_variable_byte_integer(header + 1, length) - header);
    for (std::size_t i = 0; i <= size; ++i) {
      const auto frame = next_frame(ProtocolVersion::kV5, {header, i}, 268'435'460);
      ASSERT_TRUE(frame.has_value());
      EXPECT_EQ(frame->needed_bytes, i < size ? 0 : size + length);
      EXPECT_EQ(frame->complete, i == size && length == 0);
    }
    // The limit counts the whole packet and is applied as soon as the header is there.
    const auto total = static_cast<std::uint32_t>(size + length);
    EXPECT_TRUE(next_frame(ProtocolVersion::kV5, {header, size}, total).has_value());
    EXPECT_EQ(next_frame(ProtocolVersion::kV5, {header, size}, total - 1).error().reason, kPacketTooLarge);
  }
}

TEST(Frame, CutsOneFrameFromAStream) {
  const std::string stream = bytes_of("c0 00 30 05 'a' \"hi\" d0 00");
  const auto first = next_frame(ProtocolVersion::kV5, stream, 100);
  ASSERT_TRUE(first.has_value() && first->complete);
  EXPECT_EQ(first->frame.total_bytes, 2U);
  const auto second = next_frame(ProtocolVersion::kV5, BytesView(stream).substr(2), 100);
  ASSERT_TRUE(second.has_value() && second->complete);
  EXPECT_EQ(second->frame.type, PacketType::kPublish);
  EXPECT_EQ(second->frame.total_bytes, 7U);
  EXPECT_EQ(second->frame.body, bytes_of("'a' \"hi\""));
}

TEST(Frame, NamesOfPacketTypes) {
  EXPECT_EQ(name(PacketType::kConnect), "CONNECT");
  EXPECT_EQ(name(PacketType::kAuth), "AUTH");
}

}  // namespace
}  // namespace petrel::wire::test
