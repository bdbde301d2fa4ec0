// SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (MQTT 5.0, 3.8 to 3.11).
#include <gtest/gtest.h>

#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Subscribe, Valid) {
  check(std::vector<Valid>{
      {k3, kClient, "82 ~ 0001 'a/#' 00", "SUBSCRIBE id=1 filter='a/#' qos=0"},
      {kV5, kClient, "82 ~ 0001 () 'a/#' 00", "SUBSCRIBE id=1 filter='a/#' qos=0"},
      {k3, kClient, "82 ~ ffff 'a' 01 '+/b' 02 '#' 00",
       "SUBSCRIBE id=65535 filter='a' qos=1 filter='+/b' qos=2 filter='#' qos=0"},
      {kV31, kClient, "82 ~ 0001 'a' fd", "SUBSCRIBE id=1 filter='a' qos=1"},  // the upper bits are not used
      {kV5, kClient, "82 ~ 0001 () 'a' 2e '$share/g/a' 19",
       "SUBSCRIBE id=1 filter='a' qos=2 no_local retain_as_published retain_handling=2 filter='$share/g/a' qos=1 "
       "retain_as_published retain_handling=1"},
      {kV5, kClient, "82 ~ 0001 (0b ffffff7f 26 'k' 'v') 'a' 00",
       "SUBSCRIBE id=1 identifier=268435455 user='k' is='v' filter='a' qos=0"},
      {kV5, kClient, "82 ~ 0001 (26 'k' 'v' 0b 01 26 'l' 'w') 'a' 00",
       "SUBSCRIBE id=1 identifier=1 user='k' is='v' user='l' is='w' filter='a' qos=0"},
  });
}

TEST(Subscribe, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kClient, "3.8.2", "82 00", kMalformedPacket},
      {kAll, kClient, "3.8.2", "82 01 00", kMalformedPacket},
      {k3, kClient, "MQTT-2.2.1-3", "82 ~ 0000 'a' 00", kMalformedPacket},
      {kV5, kClient, "MQTT-2.2.1-3", "82 ~ 0000 () 'a' 00", kMalformedPacket},
      {k3, kClient, "MQTT-3.8.3-2", "82 ~ 0001", kProtocolError},
      {kV5, kClient, "MQTT-3.8.3-2", "82 ~ 0001 ()", kProtocolError},
      {kV5, kClient, "MQTT-2.2.2-1", "82 ~ 0001", kMalformedPacket},
      {k3, kClient, "3.8.3", "82 ~ 0001 'a'", kMalformedPacket},
      {kV5, kClient, "3.8.3", "82 ~ 0001 () 'a' 00 'b'", kMalformedPacket},
      {k3, kClient, "3.8.3", "82 ~ 0001 0005 61 00", kMalformedPacket},
      {k3, kClient, "MQTT-3.8.3-1", "82 ~ 0001 0001 ff 00", kMalformedPacket},
      {kV5, kClient, "MQTT-3.8.3-1", "82 ~ 0001 () 0001 00 00", kMalformedPacket},
      {k3, kClient, "MQTT-4.7.3-1", "82 ~ 0001 '' 00", kMalformedPacket},
      {kV5, kClient, "MQTT-4.7.3-1", "82 ~ 0001 () '' 00", kMalformedPacket},
      {k3, kClient, "MQTT-3.8.3-4 (3.1.1)", "82 ~ 0001 'a' 03", kMalformedPacket},
      {kV311, kClient, "MQTT-3.8.3-4 (3.1.1)", "82 ~ 0001 'a' 04", kMalformedPacket},
      {kV311, kClient, "MQTT-3.8.3-4 (3.1.1)", "82 ~ 0001 'a' 81", kMalformedPacket},
      {kV5, kClient, "3.8.3.1", "82 ~ 0001 () 'a' 03", kProtocolError},
      {kV5, kClient, "3.8.3.1", "82 ~ 0001 () 'a' 30", kProtocolError},
      {kV5, kClient, "MQTT-3.8.3-5", "82 ~ 0001 () 'a' 40", kMalformedPacket},
      {kV5, kClient, "MQTT-3.8.3-5", "82 ~ 0001 () 'a' 80", kMalformedPacket},
      {kV5, kClient, "MQTT-3.8.3-4", "82 ~ 0001 () '$share/g/a' 04", kProtocolError},
      {kV5, kClient, "3.8.2.1.2", "82 ~ 0001 (0b 00) 'a' 00", kProtocolError},
      {kV5, kClient, "3.8.2.1.2", "82 ~ 0001 (0b 01 0b 02) 'a' 00", kProtocolError},
      {kV5, kClient, "2.2.2.2", "82 ~ 0001 (1f 'why') 'a' 00", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "82 ~ 0001 (23 0001) 'a' 00", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "82 ~ 0001 20 'a' 00", kMalformedPacket},
  });
}

TEST(Unsubscribe, Valid) {
  check(std::vector<Valid>{
      {k3, kClient, "a2 ~ 0001 'a/#'", "UNSUBSCRIBE id=1 filter='a/#'"},
      {k3, kClient, "a2 ~ 0001 'a' 'b'", "UNSUBSCRIBE id=1 filter='a' filter='b'"},
      {kV5, kClient, "a2 ~ 0001 () 'a' '$share/g/b'", "UNSUBSCRIBE id=1 filter='a' filter='$share/g/b'"},
      {kV5, kClient, "a2 ~ 0001 (26 'k' 'v') 'a'", "UNSUBSCRIBE id=1 user='k' is='v' filter='a'"},
  });
}

TEST(Unsubscribe, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kClient, "3.10.2", "a2 01 00", kMalformedPacket},
      {k3, kClient, "MQTT-2.2.1-3", "a2 ~ 0000 'a'", kMalformedPacket},
      {k3, kClient, "MQTT-3.10.3-2", "a2 ~ 0001", kProtocolError},
      {kV5, kClient, "MQTT-3.10.3-2", "a2 ~ 0001 ()", kProtocolError},
      {kV5, kClient, "MQTT-2.2.2-1", "a2 ~ 0001", kMalformedPacket},
      {k3, kClient, "MQTT-3.10.3-1", "a2 ~ 0001 0002 61", kMalformedPacket},
      {k3, kClient, "MQTT-3.10.3-1", "a2 ~ 0001 0001 c3", kMalformedPacket},
      {kV5, kClient, "MQTT-3.10.3-1", "a2 ~ 0001 () 0003 edbfbf", kMalformedPacket},
      {k3, kClient, "MQTT-4.7.3-1", "a2 ~ 0001 ''", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "a2 ~ 0001 (0b 01) 'a'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "a2 ~ 0001 (1f 'why') 'a'", kMalformedPacket},
  });
}

TEST(Suback, Valid) {
  check(std::vector<Valid>{
      {k3, kServer, "90 ~ 0001 00 01 02 80", "SUBACK id=1 reason=0 reason=1 reason=2 reason=128"},
      {kV5, kServer, "90 ~ 0001 () 00 01 02 87 8f a2",
       "SUBACK id=1 reason=0 reason=1 reason=2 reason=135 reason=143 reason=162"},
      {kV5, kServer, "90 ~ 0001 (1f 'why' 26 'k' 'v') 80",
       "SUBACK id=1 reason_string='why' user='k' is='v' reason=128"},
      {k3, kServer, "b0 02 0001", "UNSUBACK id=1"},
      {kV5, kServer, "b0 ~ 0001 () 00 11 87", "UNSUBACK id=1 reason=0 reason=17 reason=135"},
      {kV5, kServer, "b0 ~ 0001 (26 'k' 'v' 1f 'why' 26 'k' 'w') 00",
       "UNSUBACK id=1 reason_string='why' user='k' is='v' user='k' is='w' reason=0"},
  });
}

TEST(Suback, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kServer, "3.9.2", "90 01 00", kMalformedPacket},
      {k3, kServer, "MQTT-2.2.1-6", "90 ~ 0000 00", kMalformedPacket},
      {k3, kServer, "3.9.3", "90 ~ 0001", kProtocolError},
      {kV5, kServer, "3.9.3", "90 ~ 0001 ()", kProtocolError},
      {kV5, kServer, "3.11.3", "b0 ~ 0001 ()", kProtocolError},
      {k3, kServer, "MQTT-3.9.3-2 (3.1.1)", "90 ~ 0001 03", kMalformedPacket},
      {k3, kServer, "MQTT-3.9.3-2 (3.1.1)", "90 ~ 0001 87", kMalformedPacket},
      {kV5, kServer, "MQTT-3.9.3-2", "90 ~ 0001 () 03", kProtocolError},
      {kV5, kServer, "MQTT-3.9.3-2", "90 ~ 0001 () 11", kProtocolError},
      {kV5, kServer, "MQTT-3.11.3-2", "b0 ~ 0001 () 01", kProtocolError},
      {k3, kServer, "3.1.1, 3.11.3", "b0 ~ 0001 00", kMalformedPacket},
      {kV5, kServer, "2.2.2.2", "90 ~ 0001 (0b 01) 00", kMalformedPacket},
      {kV5, kServer, "3.9.2.1.2", "90 ~ 0001 (1f 'a' 1f 'b') 00", kProtocolError},
  });
}

TEST(Suback, OneFailureOnlyBefore5_MQTT_3_9_3_2) {
  Suback suback;
  suback.packet_id = 1;
  suback.reasons = {kGrantedQos1, kNotAuthorized, kQuotaExceeded};
  EXPECT_EQ(encode_any(ProtocolVersion::kV311, suback).view(), bytes_of("90 ~ 0001 01 80 80"));
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, suback).view(), bytes_of("90 ~ 0001 () 01 87 97"));
}

TEST(Suback, IsEmptiedAndReused) {
  Suback acknowledged;
  const std::string refused = bytes_of("0001 (1f 'why' 26 'k' 'v') 80");
  ASSERT_TRUE(decode_suback(ProtocolVersion::kV5, PacketType::kSuback, refused, acknowledged).has_value());
  ASSERT_TRUE(decode_suback(ProtocolVersion::kV311, PacketType::kUnsuback, bytes_of("0002"), acknowledged).has_value());
  EXPECT_EQ(describe(acknowledged), "UNSUBACK id=2");
  EXPECT_GE(acknowledged.reasons.capacity(), 1U);
}

}  // namespace
}  // namespace petrel::wire::test
