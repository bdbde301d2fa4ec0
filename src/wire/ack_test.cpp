// PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5.0, 3.4 to 3.7), and the table of reason codes (2.4).
#include <gtest/gtest.h>

#include "wire/reason_table.h"
#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Ack, Valid) {
  check(std::vector<Valid>{
      {kAll, kClient, "40 02 0001", "PUBACK id=1"},
      {kAll, kServer, "50 02 ffff", "PUBREC id=65535"},
      {kAll, kClient, "62 02 0100", "PUBREL id=256"},
      {kAll, kServer, "70 02 0001", "PUBCOMP id=1"},
      {kV5, kClient, "40 03 0001 00", "PUBACK id=1"},
      {kV5, kClient, "40 ~ 0001 00 ()", "PUBACK id=1"},
      {kV5, kServer, "40 03 0001 10", "PUBACK id=1 reason='no matching subscribers'"},
      {kV5, kServer, "50 ~ 0001 97 ()", "PUBREC id=1 reason='quota exceeded'"},
      {kV5, kClient, "62 03 0001 92", "PUBREL id=1 reason='packet identifier not found'"},
      {kV5, kServer, "70 ~ 0001 92 (1f 'why' 26 'k' 'v')",
       "PUBCOMP id=1 reason='packet identifier not found' reason_string='why' user='k' is='v'"},
      {kV5, kClient, "40 ~ 0001 00 (1f '' 26 'k' 'v' 26 'k' 'w')",
       "PUBACK id=1 reason_string='' user='k' is='v' user='k' is='w'"},
      {kV5, kServer, "50 ~ 0001 99 (26 'k' 'v' 1f 'why' 26 'l' 'w')",
       "PUBREC id=1 reason='payload format invalid' reason_string='why' user='k' is='v' user='l' is='w'"},
  });
}

TEST(Ack, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kClient, "3.4.2", "40 00", kMalformedPacket},
      {kAll, kClient, "3.4.2", "40 01 00", kMalformedPacket},
      {kAll, kClient, "MQTT-2.2.1-5", "40 02 0000", kMalformedPacket},
      {kAll, kClient, "MQTT-2.2.1-5", "62 02 0000", kMalformedPacket},
      {k3, kClient, "3.1.1, 3.4.3", "40 03 0001 00", kMalformedPacket},
      {k3, kServer, "3.1.1, 3.7.3", "70 04 0001 00 00", kMalformedPacket},
      {kV5, kClient, "MQTT-3.4.2-1", "40 03 0001 01", kProtocolError},
      {kV5, kClient, "MQTT-3.4.2-1", "40 03 0001 92", kProtocolError},
      {kV5, kClient, "MQTT-3.5.2-1", "50 03 0001 92", kProtocolError},
      {kV5, kClient, "MQTT-3.6.2-1", "62 03 0001 10", kProtocolError},
      {kV5, kClient, "MQTT-3.7.2-1", "70 03 0001 80", kProtocolError},
      {kV5, kClient, "MQTT-3.4.2-1", "40 03 0001 7f", kProtocolError},
      {kV5, kClient, "2.2.2.1", "40 ~ 0001 00 01", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "40 ~ 0001 00 (11 00000001)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "50 ~ 0001 00 (02 00000001)", kMalformedPacket},
      {kV5, kClient, "3.4.2.2.2", "40 ~ 0001 00 (1f 'a' 1f 'b')", kProtocolError},
      {kV5, kClient, "3.6.2.2.2", "62 ~ 0001 00 (1f 'a' 1f 'b')", kProtocolError},
      {kV5, kClient, "MQTT-1.5.4-1", "40 ~ 0001 00 (1f 0001 ff)", kMalformedPacket},
      {kV5, kClient, "3.4.3", "40 ~ 0001 00 () 00", kMalformedPacket},
  });
}

TEST(Ack, ShortestForm_3_4_2_1) {
  Ack ack;
  ack.packet_id = 1;
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, ack).view(), bytes_of("40 02 0001"));
  ack.reason = kNotAuthorized;
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, ack).view(), bytes_of("40 03 0001 87"));
  ack.reason_string = "x";
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, ack).view(), bytes_of("40 08 0001 87 (1f 'x')"));
  EXPECT_EQ(encode_any(ProtocolVersion::kV311, ack).view(), bytes_of("40 02 0001"));
}

// The codes of each packet, as its own section lists them.
struct Codes {
  PacketType type;
  Sender sender;
  std::vector<unsigned> codes;
};

TEST(ReasonCodes, EachPacketCarriesItsOwn) {
  const std::vector<unsigned> puback = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
  const std::vector<Codes> table = {
      {PacketType::kConnack, kServer, {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                                       0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f}},
      {PacketType::kPuback, kServer, puback},
      {PacketType::kPuback, kClient, puback},
      {PacketType::kPubrec, kServer, puback},
      {PacketType::kPubrec, kClient, puback},
      {PacketType::kPubrel, kServer, {0x00, 0x92}},
      {PacketType::kPubrel, kClient, {0x00, 0x92}},
      {PacketType::kPubcomp, kServer, {0x00, 0x92}},
      {PacketType::kPubcomp, kClient, {0x00, 0x92}},
      {PacketType::kSuback, kServer, {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2}},
      {PacketType::kUnsuback, kServer, {0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91}},
      {PacketType::kDisconnect,
       kClient,
       {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}},
      {PacketType::kDisconnect, kServer, {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d,
                                          0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
                                          0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2}},
      {PacketType::kAuth, kClient, {0x18, 0x19}},
      {PacketType::kAuth, kServer, {0x00, 0x18}},
      {PacketType::kSubscribe, kClient, {}},
  };
  for (const Codes& row : table) {
    for (unsigned code = 0; code < 256; ++code) {
      const bool expected = std::ranges::find(row.codes, code) != row.codes.end();
      EXPECT_EQ(is_valid_reason(row.type, row.sender, static_cast<ReasonCode>(code)), expected)
          << name(row.type) << ' ' << code;
    }
  }
}

TEST(ReasonCodes, Names) {
  EXPECT_EQ(name(kSuccess), "success");
  EXPECT_EQ(name(kWildcardSubscriptionsNotSupported), "wildcard subscriptions not supported");
  EXPECT_EQ(name(static_cast<ReasonCode>(0x03)), "reserved");
  EXPECT_EQ(name(static_cast<ReasonCode>(0xff)), "reserved");
  unsigned defined = 0;
  for (unsigned code = 0; code < 256; ++code) defined += name(static_cast<ReasonCode>(code)) != "reserved";
  EXPECT_EQ(defined, 43U);  // table 2-6
}

}  // namespace
}  // namespace petrel::wire::test
