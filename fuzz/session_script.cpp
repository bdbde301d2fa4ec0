// The events of a script, and what must hold when it is over.
#include <algorithm>
#include <array>

#include "fuzz/broker_fuzz.h"
#include "wire/decode.h"

namespace petrel::fuzz {

namespace {

constexpr std::array<std::string_view, 8> kTopics = {"a",  "a/b", "a/b/c", "b",
                                                     "$x", "/",   "a//c",  "long/topic/of/levels"};
constexpr std::array<std::string_view, 12> kFilters = {"a",  "a/b",        "a/#",        "+/b",    "#",       "+/+/+",
                                                       "$x", "$share/g/a", "$share/g/#", "$SYS/#", "a/b/#/c", ""};
constexpr std::size_t kClients = 6;
constexpr TimeMs kLongerThanAnything = 11'000;  // any session and will

class Play {
 public:
  Play(ProtocolVersion version, Script script) : version_(version), script_(script) {}

  void run() {
    for (int events = 0; !script_.done() && events < 200; ++events) event();
    finish();
  }

 private:
  struct Client {
    FuzzClient* connection = nullptr;
    ProtocolVersion speaks = ProtocolVersion::kV5;
    wire::PacketId last_id = 0;
  };

  void event() {
    const std::uint8_t what = script_.byte();
    index_ = script_.below(kClients);
    Client& client = clients_[index_];
    if (client.connection == nullptr || client.connection->ended) return connect(client);
    switch (what % 16) {
      case 0:
        return connect(client);
      case 1:
        return subscribe(client);
      case 2:
        return unsubscribe(client);
      case 3:
      case 4:
      case 5:
        return publish(client);
      case 6:
      case 7:
        return acknowledge(client);
      case 8:
        return answer_exchange(client);
      case 9:
        return send(client, packed(client.speaks, wire::Disconnect{.reason = disconnect_reason(client)}));
      case 10:
        return broker_.cut(*client.connection);
      case 11:
        return broker_.pass(TimeMs{1} << script_.below(15));
      case 12:
        return broker_.turn(static_cast<std::uint32_t>(script_.below(FuzzBroker::kShards)));
      case 13:
        client.connection->reads = !client.connection->reads;
        return;
      case 14:
        return send(client, script_.bytes(script_.below(64)));
      default:
        return broker_.settle();
    }
  }

  wire::ReasonCode disconnect_reason(const Client& client) {
    const bool with_will = client.speaks == ProtocolVersion::kV5 && script_.below(2) == 1;
    return with_will ? wire::ReasonCode::kDisconnectWithWillMessage : wire::ReasonCode::kSuccess;
  }

  void send(Client& client, std::string_view bytes) { client.connection->input += bytes; }

  void connect(Client& client) {
    if (client.connection != nullptr) broker_.cut(*client.connection);
    client.connection = &broker_.open(static_cast<std::uint32_t>(index_ % FuzzBroker::kShards));
    const std::uint8_t flags = script_.byte();
    client.speaks = version_;
    if ((flags & 7) == 7) client.speaks = static_cast<ProtocolVersion>(3 + script_.below(3));
    wire::Connect packet;
    packet.version = client.speaks;
    const std::string client_id(1, static_cast<char>('0' + script_.below(kClients)));
    packet.client_id = client_id;
    packet.clean_start = (flags & 8) != 0;
    packet.keep_alive_s = static_cast<std::uint16_t>((flags & 16) != 0 ? 4 : 0);
    if (client.speaks == ProtocolVersion::kV5) {
      packet.session_expiry_interval_s = (flags & 32) != 0 ? 10U : 0U;
      packet.receive_maximum = static_cast<std::uint16_t>(1 + script_.below(8));
      packet.topic_alias_maximum = static_cast<std::uint16_t>(script_.below(4));
      if ((flags & 128) != 0) packet.maximum_packet_size_bytes = static_cast<std::uint32_t>(32 + script_.below(64));
    }
    if ((flags & 64) != 0) {
      packet.will = wire::Will{.qos = static_cast<Qos>(script_.below(3)),
                               .retain = script_.below(2) == 1,
                               .topic = kTopics[script_.below(kTopics.size())],
                               .payload = "will",
                               .delay_interval_s = 0,
                               .properties = {}};
      if (client.speaks == ProtocolVersion::kV5)
        packet.will->delay_interval_s = static_cast<std::uint32_t>(script_.below(3)) * 3;
    }
    send(client, packed(client.speaks, packet));
  }

  void subscribe(Client& client) {
    wire::Subscribe packet;
    packet.packet_id = next_id(client);
    if (client.speaks == ProtocolVersion::kV5)
      packet.subscription_identifier = static_cast<std::uint32_t>(script_.below(4));
    for (std::size_t count = 1 + script_.below(3); count > 0; --count) {
      wire::SubscriptionOptions options;
      options.maximum_qos = static_cast<Qos>(script_.below(3));
      const std::string_view filter = kFilters[script_.below(kFilters.size())];
      if (client.speaks == ProtocolVersion::kV5) {
        const std::uint8_t bits = script_.byte();
        options.no_local = (bits & 1) != 0 && !filter.starts_with("$share");
        options.retain_as_published = (bits & 2) != 0;
        options.retain_handling = static_cast<wire::RetainHandling>((bits >> 2) % 3);
      }
      packet.subscriptions.push_back({filter, options});
    }
    send(client, packed(client.speaks, packet));
  }

  void unsubscribe(Client& client) {
    wire::Unsubscribe packet;
    packet.packet_id = next_id(client);
    packet.filters.push_back(kFilters[script_.below(kFilters.size())]);
    send(client, packed(client.speaks, packet));
  }

  void publish(Client& client) {
    wire::Publish packet;
    const std::uint8_t flags = script_.byte();
    packet.topic = kTopics[script_.below(kTopics.size())];
    packet.qos = static_cast<Qos>((flags & 3) % 3);
    packet.retain = (flags & 4) != 0;
    packet.dup = (flags & 8) != 0 && packet.qos != Qos::k0;
    if (packet.qos != Qos::k0) packet.packet_id = (flags & 16) != 0 ? wire::PacketId{1} : next_id(client);
    const std::string payload((flags & 32) != 0 ? 2000U : script_.below(5), 'p');
    packet.payload = payload;
    if (client.speaks == ProtocolVersion::kV5) {
      if ((flags & 64) != 0)
        packet.properties.message_expiry_interval_s = static_cast<std::uint32_t>(script_.below(30));
      if ((flags & 128) != 0) packet.topic_alias = static_cast<std::uint16_t>(1 + script_.below(3));
      if (packet.topic_alias && script_.below(2) == 1) packet.topic = {};
    }
    send(client, packed(client.speaks, packet));
  }

  // What came is acknowledged, or what never came.
  void acknowledge(Client& client) {
    wire::Ack packet;
    packet.type = script_.below(2) == 0 ? PacketType::kPuback : PacketType::kPubrec;
    auto& waiting = client.connection->unacknowledged;
    if (!waiting.empty()) {
      packet.packet_id = waiting.front();
      waiting.pop_front();
    } else {
      packet.packet_id = static_cast<wire::PacketId>(1 + script_.below(8));
    }
    send(client, packed(client.speaks, packet));
  }

  void answer_exchange(Client& client) {
    wire::Ack packet;
    packet.type = script_.below(2) == 0 ? PacketType::kPubrel : PacketType::kPubcomp;
    packet.packet_id = static_cast<wire::PacketId>(1 + script_.below(8));
    send(client, packed(client.speaks, packet));
  }

  static wire::PacketId next_id(Client& client) {
    client.last_id = static_cast<wire::PacketId>(client.last_id % 20 + 1);
    return client.last_id;
  }

  // Everybody leaves and every session ends: nothing is left but retained messages.
  void finish() {
    broker_.settle();
    windows_are_whole();
    for (Client& client : clients_)
      if (client.connection != nullptr) broker_.cut(*client.connection);
    broker_.settle();
    PETREL_REQUIRE(broker_.shared().clients.load() == 0);
    for (int i = 0; i < 2; ++i) {
      broker_.pass(kLongerThanAnything);
      broker_.settle();
    }
    PETREL_REQUIRE(broker_.sessions() == 0);
    PETREL_REQUIRE(broker_.shared().index.subscription_count() == 0);
    PETREL_REQUIRE(broker_.shared().index.shared_subscription_count() == 0);
    PETREL_REQUIRE(broker_.shared().retained.count() <= 10 + kTopics.size());
    broker_.shut_down();
    PETREL_REQUIRE(broker_.shared().connections.load() == 0);
  }

  // Whoever acknowledges everything gets as much again: no packet identifier is held for good.
  void windows_are_whole() {
    Client& client = clients_[0];
    index_ = 0;
    wire::Connect packet;
    packet.version = version_;
    packet.client_id = "0";
    packet.clean_start = false;
    if (client.connection != nullptr) broker_.cut(*client.connection);
    broker_.settle();
    client.connection = &broker_.open(0);
    client.speaks = version_;
    send(client, packed(version_, packet));
    wire::Subscribe subscribe;
    subscribe.packet_id = 1;
    wire::SubscriptionOptions options;
    options.maximum_qos = Qos::k1;
    options.retain_handling = wire::RetainHandling::kSend;
    subscribe.subscriptions.push_back({"last", options});
    send(client, packed(version_, subscribe));
    acknowledge_all(client);
    if (client.connection->ended) return;  // refused: a limit
    const std::uint64_t before = client.connection->messages;
    constexpr std::uint64_t kMessages = 12;
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      wire::Publish publish;
      publish.topic = "last";
      publish.qos = Qos::k1;
      publish.packet_id = 21;
      send(client, packed(version_, publish));
      acknowledge_all(client);
      PETREL_REQUIRE(!client.connection->ended);
    }
    // One that has ten filters already is refused this one.
    const std::uint64_t came = client.connection->messages - before;
    PETREL_REQUIRE(came == 0 || came >= kMessages);
  }

  void acknowledge_all(Client& client) {
    FuzzClient& connection = *client.connection;
    for (int round = 0; round < 200; ++round) {
      broker_.settle();
      if (connection.ended || connection.unacknowledged.empty()) return;
      std::deque<wire::PacketId> now;
      now.swap(connection.unacknowledged);
      for (const wire::PacketId id : now) {
        for (const PacketType type : {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubcomp}) {
          const bool exactly_once =
              std::find(connection.received.begin(), connection.received.end(), id) != connection.received.end();
          if ((type == PacketType::kPuback) == exactly_once) continue;
          wire::Ack ack;
          ack.type = type;
          ack.packet_id = id;
          send(client, packed(client.speaks, ack));
          broker_.settle();
        }
        std::erase(connection.received, id);
      }
    }
    const bool messages_end = false;
    PETREL_REQUIRE(messages_end);
  }

  const ProtocolVersion version_;
  Script script_;
  FuzzBroker broker_;
  std::array<Client, kClients> clients_;
  std::size_t index_ = 0;
};

}  // namespace

void FuzzBroker::Driver::look_at_answers(FuzzClient& client) {
  std::string_view rest = client.answers;
  while (!rest.empty()) {
    const auto next = wire::next_frame(client.version, rest, 0xffffffff);
    PETREL_REQUIRE(next.has_value());
    if (!next->complete) break;
    const wire::Frame& frame = next->frame;
    if (frame.type == PacketType::kPublish) {
      const auto packet = wire::decode_publish(client.version, wire::Sender::kServer, frame.flags, frame.body);
      PETREL_REQUIRE(packet.has_value());
      PETREL_REQUIRE(frame.total_bytes <= client.maximum_packet_bytes);
      ++client.messages;
      if (packet->qos != Qos::k0) client.unacknowledged.push_back(packet->packet_id);
      if (packet->qos == Qos::k2) client.received.push_back(packet->packet_id);
    } else if (frame.type == PacketType::kConnack) {
      PETREL_REQUIRE(wire::decode_connack(client.version, frame.body).has_value());
    } else if (frame.type >= PacketType::kPuback && frame.type <= PacketType::kPubcomp) {
      const auto ack = wire::decode_ack(client.version, frame.type, frame.body);
      PETREL_REQUIRE(ack.has_value());
      if (frame.type == PacketType::kPubrel) {  // PUBCOMP is owed
        client.unacknowledged.push_back(ack->packet_id);
        client.received.push_back(ack->packet_id);
      }
    }
    rest.remove_prefix(frame.total_bytes);
  }
  client.answers.erase(0, client.answers.size() - rest.size());
}

int run_session_script(ProtocolVersion version, const std::uint8_t* data, std::size_t size) {
  Play(version, Script(data, size)).run();
  return 0;
}

}  // namespace petrel::fuzz
