// DISCONNECT and AUTH (MQTT 5.0, 3.14 and 3.15).
#include <gtest/gtest.h>

#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Disconnect, Valid) {
  check(std::vector<Valid>{
      {kAll, kClient, "e0 00", "DISCONNECT"},
      {kV5, kServer, "e0 00", "DISCONNECT"},
      {kV5, kClient, "e0 01 00", "DISCONNECT"},
      {kV5, kClient, "e0 ~ 00 ()", "DISCONNECT"},
      {kV5, kClient, "e0 01 04", "DISCONNECT reason='disconnect with will message'"},
      {kV5, kServer, "e0 01 8e", "DISCONNECT reason='session taken over'"},
      {kV5, kClient, "e0 ~ 00 (11 0000000a)", "DISCONNECT session_expiry_s=10"},
      {kV5, kServer, "e0 ~ 9d (1f 'why' 26 'k' 'v' 1c 'other:1883' 26 'l' 'w')",
       "DISCONNECT reason='server moved' reason_string='why' user='k' is='v' user='l' is='w' "
       "server_reference='other:1883'"},
  });
}

TEST(Disconnect, Invalid) {
  check(std::vector<Invalid>{
      {k3, kClient, "3.1.1, 3.14", "e0 01 00", kMalformedPacket},
      {kV5, kClient, "MQTT-3.14.2-1", "e0 01 01", kProtocolError},
      {kV5, kClient, "MQTT-3.14.2-1", "e0 01 ff", kProtocolError},
      {kV5, kClient, "MQTT-3.14.2-1", "e0 01 8e", kProtocolError},
      {kV5, kServer, "MQTT-3.14.2-1", "e0 01 04", kProtocolError},
      {kV5, kServer, "MQTT-3.14.2-2", "e0 ~ 00 (11 00000000)", kProtocolError},
      {kV5, kClient, "3.14.2.2.2", "e0 ~ 00 (11 00000000 11 00000000)", kProtocolError},
      {kV5, kServer, "3.14.2.2.3", "e0 ~ 00 (1f 'a' 1f 'b')", kProtocolError},
      {kV5, kServer, "3.14.2.2.5", "e0 ~ 00 (1c 'a' 1c 'b')", kProtocolError},
      {kV5, kClient, "2.2.2.2", "e0 ~ 00 (21 0001)", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "e0 ~ 00 05 11", kMalformedPacket},
      {kV5, kClient, "3.14.3", "e0 ~ 00 () 00", kMalformedPacket},
  });
}

TEST(Auth, Valid) {
  check(std::vector<Valid>{
      {kV5, kServer, "f0 00", "AUTH"},
      {kV5, kServer, "f0 ~ 00 (15 'SCRAM')", "AUTH method='SCRAM'"},
      {kV5, kClient, "f0 ~ 18 (15 'SCRAM' 16 'data')",
       "AUTH reason='continue authentication' method='SCRAM' data='data'"},
      {kV5, kServer, "f0 ~ 18 (15 'SCRAM' 16 '' 1f 'why' 26 'k' 'v')",
       "AUTH reason='continue authentication' method='SCRAM' data='' reason_string='why' user='k' is='v'"},
      {kV5, kClient, "f0 ~ 19 (26 'k' 'v' 15 'SCRAM' 26 'l' 'w')",
       "AUTH reason='re-authenticate' method='SCRAM' user='k' is='v' user='l' is='w'"},
  });
}

TEST(Auth, Invalid) {
  check(std::vector<Invalid>{
      {kV5, kClient, "MQTT-3.15.2-1", "f0 ~ 01 (15 'm')", kProtocolError},
      {kV5, kClient, "MQTT-3.15.2-1", "f0 ~ 00 (15 'm')", kProtocolError},
      {kV5, kServer, "MQTT-3.15.2-1", "f0 ~ 19 (15 'm')", kProtocolError},
      {kV5, kClient, "MQTT-3.15.2-1", "f0 00", kProtocolError},
      {kV5, kClient, "3.15.2.2.1", "f0 01 18", kMalformedPacket},
      {kV5, kClient, "3.15.2.2.2", "f0 ~ 18 ()", kProtocolError},
      {kV5, kClient, "3.15.2.2.2", "f0 ~ 18 (16 'data')", kProtocolError},
      {kV5, kClient, "3.15.2.2.2", "f0 ~ 18 (15 'm' 15 'm')", kProtocolError},
      {kV5, kClient, "3.15.2.2.3", "f0 ~ 18 (15 'm' 16 'a' 16 'a')", kProtocolError},
      {kV5, kClient, "3.15.2.2.4", "f0 ~ 18 (15 'm' 1f 'a' 1f 'a')", kProtocolError},
      {kV5, kClient, "MQTT-1.5.4-1", "f0 ~ 18 (15 0001 ff)", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "f0 ~ 18 (15 'm' 11 00000001)", kMalformedPacket},
      {kV5, kClient, "3.15.3", "f0 ~ 18 (15 'm') 00", kMalformedPacket},
  });
}

TEST(Disconnect, ShortestForm_3_14_2_1) {
  Disconnect disconnect;
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, disconnect).view(), bytes_of("e0 00"));
  disconnect.reason = kSessionTakenOver;
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, disconnect).view(), bytes_of("e0 01 8e"));
  disconnect.reason_string = "x";
  EXPECT_EQ(encode_any(ProtocolVersion::kV5, disconnect).view(), bytes_of("e0 ~ 8e (1f 'x')"));
  EXPECT_EQ(encode_any(ProtocolVersion::kV311, disconnect).view(), bytes_of("e0 00"));
}

}  // namespace
}  // namespace petrel::wire::test
