// A member of a shared subscription leaves while a message for it is on its way between two shards.
#include <gtest/gtest.h>

#include <map>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

using enum wire::ReasonCode;
using wire::Qos;

// A client identifier that belongs to the shard.
std::string name_on(std::uint32_t shard, std::string name) {
  while (hash_bytes(name, 1) % 2 != shard) name += '+';
  return name;
}

struct SharedDeparture : testing::Test {
  // A member of the group, with a session that lasts, and away.
  void join(const std::string& name) {
    TestClient& client = broker.open();
    EXPECT_EQ(client.connect(name, false, 1000), kSuccess);
    EXPECT_EQ(client.subscribe("$share/g/t", Qos::k2), kGrantedQos2);
    client.cut();
  }
  // From shard 0, which gives one in two to a member of shard 1; its mail waits.
  void publish(std::initializer_list<std::string_view> payloads) {
    broker.shard(0).begin_turn(broker.now());
    broker.shard(0).do_waiting_work();
    for (const std::string_view payload : payloads)
      broker.shard(0).publish({.topic = "t", .payload = payload, .qos = Qos::k2});
    broker.shard(0).end_turn();
  }
  // The client comes with a clean start, and the shard sees that before its mail.
  void begin_anew(const std::string& name, std::uint32_t shard) {
    wire::Connect packet;
    packet.version = wire::ProtocolVersion::kV5;
    packet.client_id = name;
    packet.clean_start = true;
    std::string bytes(wire::encoded_size(packet.version, packet), '\0');
    wire::encode(packet.version, packet, bytes.data());
    broker.shard(shard).begin_turn(broker.now());
    broker.shard(shard).do_waiting_work();
    broker.shard(shard).receive(back, bytes);
    broker.shard(shard).end_turn();
    broker.shard(shard).begin_turn(broker.now());
    broker.shard(shard).do_waiting_work();
    broker.shard(shard).end_turn();
  }
  std::map<std::string, int> messages_of(const std::string& name) {
    TestClient& client = broker.open();
    EXPECT_EQ(client.connect(name, false, 1000), kSuccess);
    std::map<std::string, int> times;
    while (client.messages_waiting() > 0) ++times[client.message().payload];
    return times;
  }
  TestBroker broker{{.sys = {.enabled = false}}, 2};
  const std::string leaver = name_on(1, "leaver"), stayer = name_on(0, "stayer");
  TestClient& back = broker.open(wire::ProtocolVersion::kV5, nullptr, 1);
};

using Times = std::map<std::string, int>;

TEST_F(SharedDeparture, HandsOnOnceWhatIsStoredAndOnItsWay_MQTT_4_3_3) {
  join(leaver);
  join(stayer);
  publish({"1", "2", "3", "4"});
  broker.run();
  publish({"5", "6"});
  begin_anew(leaver, 1);
  broker.run();
  EXPECT_EQ(messages_of(stayer), (Times{{"1", 1}, {"2", 1}, {"3", 1}, {"4", 1}, {"5", 1}, {"6", 1}}));
}

TEST_F(SharedDeparture, HandsOnWhatIsOnItsWayToAnEmptyQueue) {
  join(leaver);
  join(stayer);
  publish({"1", "2"});
  begin_anew(leaver, 1);
  broker.run();
  EXPECT_EQ(messages_of(stayer), (Times{{"1", 1}, {"2", 1}}));
}

}  // namespace
}  // namespace petrel::broker::test
