// PUBLISH (MQTT 5.0, 3.3), and the properties that a server forwards.
#include <gtest/gtest.h>

#include "wire/publish_encoder.h"
#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Publish, Valid) {
  check(std::vector<Valid>{
      {k3, kClient, "30 ~ 'a/b' \"hi\"", "PUBLISH topic='a/b' payload='hi'"},
      {kV5, kClient, "30 ~ 'a/b' () \"hi\"", "PUBLISH topic='a/b' payload='hi'"},
      {k3, kServer, "31 ~ 'a'", "PUBLISH retain topic='a' payload=''"},
      {kV5, kServer, "31 ~ 'a' ()", "PUBLISH retain topic='a' payload=''"},
      {k3, kClient, "32 ~ 'a' 0001 00ff", "PUBLISH qos=1 topic='a' id=1 payload='\\x00\\xff'"},
      {kV5, kClient, "32 ~ 'a' ffff () 00ff", "PUBLISH qos=1 topic='a' id=65535 payload='\\x00\\xff'"},
      {k3, kClient, "3d ~ '/' 0100", "PUBLISH dup qos=2 retain topic='/' id=256 payload=''"},
      {kV5, kClient, "3d ~ '/' 0100 ()", "PUBLISH dup qos=2 retain topic='/' id=256 payload=''"},
      {k3, kClient, "30 ~ 0003 e282ac 00", "PUBLISH topic='\\xe2\\x82\\xac' payload='\\x00'"},
      {kV5, kClient, "30 ~ '' (23 0001) \"hi\"", "PUBLISH topic='' alias=1 payload='hi'"},
      {kV5, kClient, "30 ~ 'a' (23 ffff) \"hi\"", "PUBLISH topic='a' alias=65535 payload='hi'"},
      {kV5, kClient, "32 ~ 'a' 0001 (01 01 02 0000000a 03 'json' 08 'r/t' 09 'id' 26 'k' 'v' 26 'k' 'w') \"{}\"",
       "PUBLISH qos=1 topic='a' id=1 payload_format=1 expiry_s=10 content_type='json' response_topic='r/t' "
       "correlation='id' user='k' is='v' user='k' is='w' payload='{}'"},
      {kV5, kServer, "30 ~ 'a' (0b 01 0b ffffff7f)",
       "PUBLISH topic='a' subscription=1 subscription=268435455 payload=''"},
      {kV5, kServer, "30 ~ 'a' (26 'k' 'v' 0b 8001 02 00000001 26 'l' 'w' 0b 02 01 00)",
       "PUBLISH topic='a' payload_format=0 expiry_s=1 user='k' is='v' user='l' is='w' subscription=128 subscription=2 "
       "payload=''"},
      {kV5, kClient, "30 ~ 'a' (09 0002 00ff 03 '')",
       "PUBLISH topic='a' content_type='' correlation='\\x00\\xff' payload=''"},
  });
}

TEST(Publish, Invalid) {
  check(std::vector<Invalid>{
      {k3, kClient, "MQTT-3.3.1-4", "36 ~ 'a' 0001", kMalformedPacket},
      {kV5, kClient, "MQTT-3.3.1-4", "37 ~ 'a' 0001 ()", kMalformedPacket},
      {k3, kClient, "MQTT-3.3.1-2", "38 ~ 'a'", kMalformedPacket},
      {kV5, kClient, "MQTT-3.3.1-2", "38 ~ 'a' ()", kMalformedPacket},
      {k3, kClient, "MQTT-2.2.1-3", "32 ~ 'a' 0000", kMalformedPacket},
      {kV5, kServer, "MQTT-2.2.1-4", "34 ~ 'a' 0000 ()", kMalformedPacket},
      {kAll, kClient, "MQTT-3.3.2-1", "30 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.3.2-1", "30 01 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.3.2-1", "30 03 0002 61", kMalformedPacket},
      {kAll, kClient, "3.3.2.2", "32 ~ 'a'", kMalformedPacket},
      {kAll, kClient, "3.3.2.2", "32 ~ 'a' 00", kMalformedPacket},
      {kV5, kClient, "MQTT-2.2.2-1", "30 ~ 'a'", kMalformedPacket},
      {k3, kClient, "MQTT-3.3.2-1", "30 ~ 0001 ff", kMalformedPacket},
      {kV5, kClient, "MQTT-3.3.2-1", "30 ~ 0002 c080 ()", kMalformedPacket},
      {kV5, kClient, "MQTT-1.5.4-1", "30 ~ 0003 eda080 ()", kMalformedPacket},
      {k3, kClient, "MQTT-1.5.4-2", "30 ~ 0003 610062", kMalformedPacket},
      {k3, kClient, "MQTT-3.3.2-2", "30 ~ 'a/+'", kTopicNameInvalid},
      {kV5, kClient, "MQTT-3.3.2-2", "30 ~ 'a/#' ()", kTopicNameInvalid},
      {k3, kClient, "MQTT-4.7.3-1", "30 ~ ''", kProtocolError},
      {kV5, kClient, "3.3.2.1", "30 ~ '' () \"hi\"", kProtocolError},
  });
}

// Every byte at every place of a short and a long topic name: the reason does not depend on where it lies.
TEST(Publish, EveryByteInATopicName_MQTT_3_3_2_1_and_2) {
  for (std::size_t length = 1; length <= 20; ++length) {
    for (std::size_t place = 0; place < length; ++place) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string topic(length, 'a');
        topic[place] = static_cast<char>(byte);
        char head[4] = {'\x30', static_cast<char>(length + 2)};
        put_u16(head + 2, static_cast<std::uint16_t>(length));
        const Decoded decoded = decode_bytes(ProtocolVersion::kV311, kClient, std::string(head, 4) + topic);
        const auto expected = byte == '+' || byte == '#'  ? kTopicNameInvalid
                              : byte == 0 || byte >= 0x80 ? kMalformedPacket
                                                          : kSuccess;
        ASSERT_EQ(decoded.packet.has_value() ? kSuccess : decoded.packet.error().reason, expected)
            << byte << " at " << place << " of " << length;
      }
    }
  }
}

TEST(Publish, InvalidProperties) {
  check(std::vector<Invalid>{
      {kV5, kClient, "MQTT-3.3.2-8", "30 ~ 'a' (23 0000)", kTopicAliasInvalid},
      {kV5, kClient, "3.3.2.3.4", "30 ~ 'a' (23 0001 23 0001)", kProtocolError},
      {kV5, kClient, "3.3.2.3.2", "30 ~ 'a' (01 02)", kProtocolError},
      {kV5, kClient, "3.3.2.3.2", "30 ~ 'a' (01 01 01 01)", kProtocolError},
      {kV5, kClient, "3.3.2.3.3", "30 ~ 'a' (02 00000001 02 00000001)", kProtocolError},
      {kV5, kClient, "MQTT-3.3.2-13", "30 ~ 'a' (08 0001 ff)", kMalformedPacket},
      {kV5, kClient, "MQTT-3.3.2-14", "30 ~ 'a' (08 '#')", kProtocolError},
      {kV5, kClient, "MQTT-4.7.3-1", "30 ~ 'a' (08 '')", kProtocolError},
      {kV5, kClient, "3.3.2.3.5", "30 ~ 'a' (08 'b' 08 'b')", kProtocolError},
      {kV5, kClient, "3.3.2.3.6", "30 ~ 'a' (09 'b' 09 'b')", kProtocolError},
      {kV5, kClient, "MQTT-3.3.2-19", "30 ~ 'a' (03 0001 80)", kMalformedPacket},
      {kV5, kClient, "3.3.2.3.9", "30 ~ 'a' (03 'b' 03 'b')", kProtocolError},
      {kV5, kClient, "MQTT-3.3.4-6", "30 ~ 'a' (0b 01)", kProtocolError},
      {kV5, kServer, "3.3.2.3.8", "30 ~ 'a' (0b 00)", kProtocolError},
      {kV5, kServer, "MQTT-1.5.5-1", "30 ~ 'a' (0b 8100)", kMalformedPacket},
      {kV5, kServer, "1.5.5", "30 ~ 'a' (0b 8080808001)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (11 00000001)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (18 00000001)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (1f 'why')", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (00)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (8101 00)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "30 ~ 'a' (26 'k')", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "30 ~ 'a' 05", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "30 ~ 'a' 8000", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "30 ~ 'a' ffffffff", kMalformedPacket},
      {kV5, kClient, "MQTT-1.5.7-1", "30 ~ 'a' (26 'k' 0001 c0)", kMalformedPacket},
  });
}

Publish decode(BytesView bytes, Sender sender = kClient) {
  const auto frame = next_frame(ProtocolVersion::kV5, bytes, 1'000'000);
  const auto publish = decode_publish(ProtocolVersion::kV5, sender, frame->frame.flags, frame->frame.body);
  EXPECT_TRUE(publish.has_value());
  return *publish;
}

TEST(Publish, ForwardedPropertiesAreOneViewOfThePacket_MQTT_3_3_2_18) {
  const std::string bytes = bytes_of("30 ~ 'a' (02 00000001 26 'k' 'v' 01 01 26 'k' 'w' 23 0001) \"hi\"");
  const Publish publish = decode(bytes);
  EXPECT_FALSE(publish.forwarded_properties_scattered);
  EXPECT_EQ(publish.forwarded_properties, bytes_of("26 'k' 'v' 01 01 26 'k' 'w'"));
  EXPECT_GE(publish.forwarded_properties.data(), bytes.data());
  EXPECT_LT(publish.forwarded_properties.data(), bytes.data() + bytes.size());
  std::string collected;
  collect_forwarded_properties(publish, collected);
  EXPECT_EQ(collected, publish.forwarded_properties);
}

TEST(Publish, ScatteredPropertiesAreCollectedInOrder_MQTT_3_3_2_18) {
  const std::string bytes =
      bytes_of("30 ~ 'a' (26 'k' 'v' 02 00000001 03 'json' 0b 05 09 'id' 23 0001 08 'r' 26 'k' 'w' 01 01) \"hi\"");
  const Publish publish = decode(bytes, kServer);
  EXPECT_TRUE(publish.forwarded_properties_scattered);
  EXPECT_EQ(publish.forwarded_properties, "");
  std::string collected;
  collect_forwarded_properties(publish, collected);
  EXPECT_EQ(collected, bytes_of("26 'k' 'v' 03 'json' 09 'id' 08 'r' 26 'k' 'w' 01 01"));
  // From single fields: the same properties, in the encoder's order.
  std::string appended;
  append_forwarded_properties(publish.properties, appended);
  EXPECT_EQ(appended, bytes_of("01 01 03 'json' 08 'r' 09 'id' 26 'k' 'v' 26 'k' 'w'"));
}

TEST(Publish, NothingToForward) {
  const std::string bytes = bytes_of("30 ~ 'a' (02 00000001 23 0001)");
  const Publish publish = decode(bytes);
  EXPECT_FALSE(publish.forwarded_properties_scattered);
  EXPECT_EQ(publish.forwarded_properties, "");
}

TEST(PublishEncoder, WritesWhatEncodeWrites) {
  for (const std::size_t payload_bytes : {0UL, 1UL, 100UL, 127UL, 200UL, 16'384UL, 70'000UL, 2'100'000UL}) {
    const std::string payload(payload_bytes, 'x');
    for (const std::size_t property_bytes : {0UL, 10UL, 150UL, 20'000UL}) {
      const std::string properties =
          property_bytes == 0 ? "" : encode_user_property("name", std::string(property_bytes, 'v'));
      for (unsigned bits = 0; bits < 24; ++bits) {
        const auto version = (bits & 1) != 0 ? ProtocolVersion::kV5 : ProtocolVersion::kV311;
        Publish publish;
        publish.topic = "a/topic/name";
        publish.payload = payload;
        publish.qos = static_cast<Qos>(bits / 8);
        publish.retain = (bits & 2) != 0;
        publish.packet_id = publish.qos == Qos::k0 ? 0 : 0x1234;
        publish.forwarded_properties = properties;
        if ((bits & 4) != 0) publish.properties.message_expiry_interval_s = 77;
        const Encoded expected = encode_any(version, publish);
        const PublishParts parts{publish.topic, properties, payload, (bits & 4) != 0, 77};
        const PublishEncoder encoder(parts, version == ProtocolVersion::kV5, publish.qos != Qos::k0);
        ASSERT_EQ(encoder.size(), expected.size);
        ASSERT_EQ(encoder.size_without_payload(), expected.size - payload_bytes);
        std::string bytes(encoder.size(), '\0');
        const char* end = encoder.write(bytes.data(), publish.qos, publish.retain, publish.packet_id);
        ASSERT_EQ(end, bytes.data() + bytes.size());
        ASSERT_EQ(bytes, expected.view());
        if (publish.qos == Qos::k0) continue;
        ASSERT_EQ(get_u16(bytes.data() + encoder.packet_id_offset()), 0x1234);
      }
    }
  }
}

}  // namespace
}  // namespace petrel::wire::test
