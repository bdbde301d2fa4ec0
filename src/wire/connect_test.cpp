// CONNECT and CONNACK (MQTT 5.0, 3.1 and 3.2).
#include <gtest/gtest.h>

#include "wire/test_table.h"

namespace petrel::wire::test {
namespace {

using enum Versions;
using enum Sender;
using enum ReasonCode;

TEST(Connect, Valid) {
  check(std::vector<Valid>{
      {kV31, kClient, "10 ~ 'MQIsdp' 03 02 003c 'c'", "CONNECT version=3 clean_start keep_alive_s=60 client_id='c'"},
      {kV311, kClient, "10 ~ 'MQTT' 04 02 003c 'c'", "CONNECT version=4 clean_start keep_alive_s=60 client_id='c'"},
      {kV311, kClient, "10 ~ 'MQTT' 04 00 0000 ''", "CONNECT version=4 client_id=''"},
      {kV5, kClient, "10 ~ 'MQTT' 05 02 ffff () 'c'", "CONNECT version=5 clean_start keep_alive_s=65535 client_id='c'"},
      {kV311, kClient, "10 ~ 'MQTT' 04 c2 0000 'c' 'u' 'p'",
       "CONNECT version=4 clean_start client_id='c' user_name='u' password='p'"},
      {kV311, kClient, "10 ~ 'MQTT' 04 82 0000 'c' ''", "CONNECT version=4 clean_start client_id='c' user_name=''"},
      {kV311, kClient, "10 ~ 'MQTT' 04 c2 0000 'c' 'u' 0002 00ff",
       "CONNECT version=4 clean_start client_id='c' user_name='u' password='\\x00\\xff'"},
      {kV5, kClient, "10 ~ 'MQTT' 05 42 0000 () 'c' 'p'", "CONNECT version=5 clean_start client_id='c' password='p'"},
      {kV311, kClient, "10 ~ 'MQTT' 04 f6 0001 'c' 'w/t' 'bye' 'u' 'p'",
       "CONNECT version=4 clean_start keep_alive_s=1 client_id='c' will='w/t' payload='bye' qos=2 retain user_name='u' "
       "password='p'"},
      {kV31, kClient, "10 ~ 'MQIsdp' 03 0c 0001 'c' 'w' ''",
       "CONNECT version=3 keep_alive_s=1 client_id='c' will='w' payload='' qos=1"},
      {kV5, kClient, "10 ~ 'MQTT' 05 04 0000 () 'c' () 'w' 'x'",
       "CONNECT version=5 client_id='c' will='w' payload='x'"},
      {kV5, kClient,
       "10 ~ 'MQTT' 05 2e 0000 () 'c' (18 00000005 01 01 02 0000000a 03 'json' 08 'r/t' 09 'id' 26 'k' 'v') 'w' 'x'",
       "CONNECT version=5 clean_start client_id='c' will='w' payload='x' qos=1 retain delay_s=5 payload_format=1 "
       "expiry_s=10 content_type='json' response_topic='r/t' correlation='id' user='k' is='v'"},
      {kV5, kClient,
       "10 ~ 'MQTT' 05 02 0000 (11 ffffffff 21 0001 27 00000100 22 000a 19 01 17 00 26 'k' 'v' 26 'k' 'w' 15 'SCRAM' "
       "16 'data') 'c'",
       "CONNECT version=5 clean_start client_id='c' session_expiry_s=4294967295 receive_maximum=1 "
       "maximum_packet_size=256 topic_alias_maximum=10 request_response_information no_problem_information user='k' "
       "is='v' user='k' is='w' method='SCRAM' data='data'"},
      {kV5, kClient, "10 ~ 'MQTT' 05 02 0000 (26 'a' '1' 11 00000001 26 'b' '2' 21 0005) 'c'",
       "CONNECT version=5 clean_start client_id='c' session_expiry_s=1 receive_maximum=5 user='a' is='1' user='b' "
       "is='2'"},
      {kV5, kClient, "10 ~ 'MQTT' 05 02 0000 (22 0000 19 00 17 01) 'c'", "CONNECT version=5 clean_start client_id='c'"},
  });
}

TEST(Connect, Version31DisregardsWhatItDoesNotUse) {
  check(std::vector<Valid>{
      {kV31, kClient, "10 ~ 'MQIsdp' 03 3a 0000 'c'", "CONNECT version=3 clean_start client_id='c'"},
      {kV31, kClient, "10 ~ 'MQIsdp' 03 03 0000 'c'", "CONNECT version=3 clean_start client_id='c'"},
      // The flag says a user name and a password follow, the remaining length that they do not (3.1, 3.1).
      {kV31, kClient, "10 ~ 'MQIsdp' 03 82 0000 'c'", "CONNECT version=3 clean_start client_id='c'"},
      {kV31, kClient, "10 ~ 'MQIsdp' 03 c2 0000 'c'", "CONNECT version=3 clean_start client_id='c'"},
      {kV31, kClient, "10 ~ 'MQIsdp' 03 c2 0000 'c' 'u'", "CONNECT version=3 clean_start client_id='c' user_name='u'"},
  });
}

TEST(Connect, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kClient, "MQTT-3.1.2-1", "10 ~ 'MQTX' 04 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-1", "10 ~ 'mqtt' 05 02 003c () 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-1", "10 ~ '' 04 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-2", "10 ~ 'MQTT' 06 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-2", "10 ~ 'MQTT' 03 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-2", "10 ~ 'MQTT' 00 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-2", "10 ~ 'MQIsdp' 04 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.2-2", "10 ~ 'MQTT' 84 02 003c 'c'", kUnsupportedProtocolVersion},
      {kAll, kClient, "MQTT-3.1.4-1", "10 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.4-1", "10 02 0004", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.4-1", "10 ~ 'MQTT'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.4-1", "10 ~ 'MQTT' 04", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.4-1", "10 ~ 'MQTT' 04 02 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-3", "10 ~ 'MQTT' 04 03 003c 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-3", "10 ~ 'MQTT' 05 03 003c () 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-11", "10 ~ 'MQTT' 04 0a 003c 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-11", "10 ~ 'MQTT' 05 12 003c () 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-12", "10 ~ 'MQTT' 04 1e 003c 'c' 'w' ''", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-12", "10 ~ 'MQTT' 05 1e 003c () 'c' () 'w' ''", kMalformedPacket},
      {kAll, kClient, "3.1, 3.1: will QoS", "10 ~ 'MQIsdp' 03 1e 003c 'c' 'w' ''", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-13", "10 ~ 'MQTT' 04 22 003c 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-13", "10 ~ 'MQTT' 05 22 003c () 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-22 (3.1.1)", "10 ~ 'MQTT' 04 42 003c 'c' 'p'", kMalformedPacket},
      {kAll, kClient, "3.1, 3.1: password", "10 ~ 'MQIsdp' 03 42 003c 'c' 'p'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.3-3", "10 ~ 'MQTT' 04 02 003c", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.3-3", "10 ~ 'MQTT' 04 02 003c 0002 63", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.3-4", "10 ~ 'MQTT' 04 02 003c 0001 ff", kMalformedPacket},
      {kAll, kClient, "MQTT-1.5.4-1", "10 ~ 'MQTT' 05 02 003c () 0003 eda080", kMalformedPacket},
      {kAll, kClient, "MQTT-1.5.4-2", "10 ~ 'MQTT' 04 02 003c 0001 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-9", "10 ~ 'MQTT' 04 06 003c 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-9", "10 ~ 'MQTT' 04 06 003c 'c' 'w'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-9", "10 ~ 'MQTT' 05 06 003c () 'c' 'w' 'x'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.3-11", "10 ~ 'MQTT' 04 06 003c 'c' 0001 ff ''", kMalformedPacket},
      {kAll, kClient, "MQTT-4.7.3-1", "10 ~ 'MQTT' 04 06 003c 'c' '' ''", kProtocolError},
      {kAll, kClient, "MQTT-4.7.0-1", "10 ~ 'MQTT' 04 06 003c 'c' 'a/#' ''", kTopicNameInvalid},
      {kAll, kClient, "MQTT-4.7.0-1", "10 ~ 'MQTT' 05 06 003c () 'c' () '+/a' ''", kTopicNameInvalid},
      {kAll, kClient, "MQTT-3.1.2-17", "10 ~ 'MQTT' 04 82 003c 'c'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.3-12", "10 ~ 'MQTT' 04 82 003c 'c' 0001 c0", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-19", "10 ~ 'MQTT' 04 c2 003c 'c' 'u'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-19", "10 ~ 'MQTT' 05 42 003c () 'c' 0002 00", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-16", "10 ~ 'MQTT' 04 02 003c 'c' 'u'", kMalformedPacket},
      {kAll, kClient, "MQTT-3.1.2-18", "10 ~ 'MQTT' 05 82 003c () 'c' 'u' 'p'", kMalformedPacket},
      {kAll, kClient, "3.1, 3.1: user name", "10 ~ 'MQIsdp' 03 82 003c 'c' 00", kMalformedPacket},
  });
}

TEST(Connect, InvalidProperties) {
  check(std::vector<Invalid>{
      {kV5, kClient, "MQTT-2.2.2-1", "10 ~ 'MQTT' 05 02 003c", kMalformedPacket},
      {kV5, kClient, "2.2.2.1", "10 ~ 'MQTT' 05 02 003c 7f 'c'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 02 003c (7e 00) 'c'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 02 003c (23 0001) 'c'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 02 003c (01 00) 'c'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 02 003c (18 00000001) 'c'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 06 003c () 'c' (11 00000001) 'w' 'x'", kMalformedPacket},
      {kV5, kClient, "2.2.2.2", "10 ~ 'MQTT' 05 02 003c (11 0000) 'c'", kMalformedPacket},
      {kV5, kClient, "3.1.2.11.2", "10 ~ 'MQTT' 05 02 003c (11 00000001 11 00000001) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.3", "10 ~ 'MQTT' 05 02 003c (21 0001 21 0001) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.3", "10 ~ 'MQTT' 05 02 003c (21 0000) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.4", "10 ~ 'MQTT' 05 02 003c (27 00000000) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.4", "10 ~ 'MQTT' 05 02 003c (27 00000009 27 00000009) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.5", "10 ~ 'MQTT' 05 02 003c (22 0001 22 0001) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.6", "10 ~ 'MQTT' 05 02 003c (19 02) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.6", "10 ~ 'MQTT' 05 02 003c (19 01 19 01) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.7", "10 ~ 'MQTT' 05 02 003c (17 ff) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.7", "10 ~ 'MQTT' 05 02 003c (17 01 17 00) 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.9", "10 ~ 'MQTT' 05 02 003c (15 'm' 15 'm') 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.10", "10 ~ 'MQTT' 05 02 003c (16 'd') 'c'", kProtocolError},
      {kV5, kClient, "3.1.2.11.10", "10 ~ 'MQTT' 05 02 003c (15 'm' 16 'd' 16 'd') 'c'", kProtocolError},
      {kV5, kClient, "MQTT-1.5.7-1", "10 ~ 'MQTT' 05 02 003c (26 0001 ff 'v') 'c'", kMalformedPacket},
      {kV5, kClient, "MQTT-1.5.7-1", "10 ~ 'MQTT' 05 02 003c (26 'k' 0001 00) 'c'", kMalformedPacket},
      {kV5, kClient, "3.1.3.2.2", "10 ~ 'MQTT' 05 06 003c () 'c' (18 00000001 18 00000001) 'w' 'x'", kProtocolError},
      {kV5, kClient, "3.1.3.2.3", "10 ~ 'MQTT' 05 06 003c () 'c' (01 02) 'w' 'x'", kProtocolError},
      {kV5, kClient, "3.1.3.2.6", "10 ~ 'MQTT' 05 06 003c () 'c' (08 'a/+') 'w' 'x'", kProtocolError},
  });
}

TEST(Connack, Valid) {
  check(std::vector<Valid>{
      {k3, kServer, "20 02 00 00", "CONNACK"},
      {kV5, kServer, "20 ~ 00 00 ()", "CONNACK"},
      {kV311, kServer, "20 02 01 00", "CONNACK session_present"},
      {kV5, kServer, "20 ~ 01 00 ()", "CONNACK session_present"},
      {kV31, kServer, "20 02 fe 00", "CONNACK"},
      {k3, kServer, "20 02 00 01", "CONNACK reason='unsupported protocol version'"},
      {k3, kServer, "20 02 00 02", "CONNACK reason='client identifier not valid'"},
      {k3, kServer, "20 02 00 03", "CONNACK reason='server unavailable'"},
      {k3, kServer, "20 02 00 04", "CONNACK reason='bad user name or password'"},
      {k3, kServer, "20 02 00 05", "CONNACK reason='not authorized'"},
      {kV5, kServer, "20 ~ 00 8a ()", "CONNACK reason='banned'"},
      {kV5, kServer,
       "20 ~ 00 00 (11 00000001 21 0002 24 01 25 00 27 00000003 12 'id' 22 0004 1f 'why' 26 'k' 'v' 28 00 29 01 2a 00 "
       "13 0005 1a 'info' 1c 'other' 15 'm' 16 'd')",
       "CONNACK session_expiry_s=1 receive_maximum=2 maximum_qos=1 retain_available=0 maximum_packet_size=3 "
       "client_id='id' topic_alias_maximum=4 reason_string='why' user='k' is='v' wildcards=0 identifiers=1 shared=0 "
       "keep_alive_s=5 response_information='info' server_reference='other' method='m' data='d'"},
  });
}

TEST(Connack, Invalid) {
  check(std::vector<Invalid>{
      {kAll, kServer, "3.2.2", "20 01 00", kMalformedPacket},
      {kV311, kServer, "MQTT-3.2.2-1", "20 02 02 00", kMalformedPacket},
      {kV5, kServer, "MQTT-3.2.2-1", "20 ~ 80 00 ()", kMalformedPacket},
      {k3, kServer, "3.1.1, 3.2.2.3", "20 02 00 06", kMalformedPacket},
      {kV311, kServer, "MQTT-3.2.2-4 (3.1.1)", "20 02 01 05", kProtocolError},
      {kV5, kServer, "MQTT-3.2.2-6", "20 ~ 01 87 ()", kProtocolError},
      {kV5, kServer, "MQTT-3.2.2-8", "20 ~ 00 01 ()", kProtocolError},
      {kV5, kServer, "MQTT-3.2.2-8", "20 ~ 00 8e ()", kProtocolError},
      {kV5, kServer, "MQTT-3.2.2-8", "20 ~ 00 ff ()", kProtocolError},
      {kV5, kServer, "MQTT-2.2.2-1", "20 02 00 00", kMalformedPacket},
      {kAll, kServer, "3.2.3", "20 ~ 00 00 00 00", kMalformedPacket},
      {kV5, kServer, "3.2.2.3.3", "20 ~ 00 00 (21 0000)", kProtocolError},
      {kV5, kServer, "3.2.2.3.4", "20 ~ 00 00 (24 02)", kProtocolError},
      {kV5, kServer, "3.2.2.3.4", "20 ~ 00 00 (24 01 24 01)", kProtocolError},
      {kV5, kServer, "3.2.2.3.5", "20 ~ 00 00 (25 02)", kProtocolError},
      {kV5, kServer, "3.2.2.3.6", "20 ~ 00 00 (27 00000000)", kProtocolError},
      {kV5, kServer, "3.2.2.3.11", "20 ~ 00 00 (28 03)", kProtocolError},
      {kV5, kServer, "3.2.2.3.12", "20 ~ 00 00 (29 03)", kProtocolError},
      {kV5, kServer, "3.2.2.3.13", "20 ~ 00 00 (2a 03)", kProtocolError},
      {kV5, kServer, "3.2.2.3.14", "20 ~ 00 00 (13 0001 13 0001)", kProtocolError},
      {kV5, kServer, "2.2.2.2", "20 ~ 00 00 (17 01)", kMalformedPacket},
  });
}

TEST(Connack, ReasonsAsReturnCodes) {
  // MQTT 3.1.1, 3.2.2.3: codes 0 to 5, whatever the reason.
  for (unsigned code = 0; code < 256; ++code) {
    const auto reason = static_cast<ReasonCode>(code);
    EXPECT_LE(connect_return_code(reason), 5) << code;
    EXPECT_EQ(connect_return_code(reason) == 0, reason == kSuccess) << code;
  }
  Connack refusal;
  refusal.reason = kBanned;
  EXPECT_EQ(encode_any(ProtocolVersion::kV311, refusal).view(), bytes_of("20 02 00 05"));
  refusal = {};
  refusal.session_present = true;
  EXPECT_EQ(encode_any(ProtocolVersion::kV31, refusal).view(), bytes_of("20 02 00 00"));
}

}  // namespace
}  // namespace petrel::wire::test
