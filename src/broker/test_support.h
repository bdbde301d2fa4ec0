// For the unit tests of this folder: a broker of real shards over a memory store, in one thread, whose clock the test
// moves; and clients that send packets as bytes and look at the packets that come back. No sockets, no waiting.
//
//   TestBroker broker({.max_sessions = 1});
//   TestClient& a = broker.open();
//   EXPECT_EQ(a.connect("a"), wire::ReasonCode::kSuccess);
//   EXPECT_EQ(a.subscribe("t/#"), wire::ReasonCode::kGrantedQos1);
//   EXPECT_EQ(a.publish("t/1", "hello"), wire::ReasonCode::kSuccess);
//   EXPECT_EQ(a.message().payload, "hello");
//
// Threads: one. Clients belong to their broker.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "broker/shard.h"
#include "storage/memory/memory_store.h"
#include "wire/decode.h"
#include "wire/encode.h"

namespace petrel::broker::test {

class TestBroker;

// A packet as it came; decoded views of it are valid as long as it is.
struct Received {
  wire::PacketType type{};
  std::uint8_t flags = 0;
  std::string body;
};

// A PUBLISH as it came.
struct ReceivedMessage {
  std::string topic, payload;
  wire::Qos qos = wire::Qos::k0;
  bool retain = false;
  wire::PacketId packet_id = 0;
};

inline wire::Ack ack(wire::PacketType type, wire::PacketId packet_id) {
  wire::Ack packet;
  packet.type = type;
  packet.packet_id = packet_id;
  return packet;
}

class TestClient final : public Connection {
 public:
  TestClient(TestBroker& broker, std::uint32_t shard) : shard_index(shard), broker_(broker) {}
  std::string peer_name() const override { return "test"; }

  // Bytes as they are; the broker takes them at once.
  void send_bytes(std::string_view bytes);
  template <class Packet>
  void send(const Packet& packet) {
    std::string bytes(wire::encoded_size(speaks, packet), '\0');
    wire::encode(speaks, packet, bytes.data());
    send_bytes(bytes);
  }

  // As send(), but the broker is not run.
  template <class Packet>
  void queue(const Packet& packet) {
    const std::size_t before = to_broker_.size();
    to_broker_.resize(before + wire::encoded_size(speaks, packet));
    wire::encode(speaks, packet, to_broker_.data() + before);
  }

  // CONNECT; the reason code of CONNACK (toward 3.x: a return code), nothing if none came.
  std::optional<wire::ReasonCode> connect(std::string_view client_id, bool clean_start = true,
                                          std::uint32_t session_expiry_interval_s = 0);
  std::optional<wire::ReasonCode> connect(const wire::Connect& packet);
  // The reason code of SUBACK, UNSUBACK, PUBACK or PUBREC (an exchange with QoS 2 is brought to its end). Of an
  // acknowledgement in 3.x: success.
  std::optional<wire::ReasonCode> subscribe(std::string_view filter, wire::Qos qos = wire::Qos::k1);
  std::optional<wire::ReasonCode> unsubscribe(std::string_view filter);
  std::optional<wire::ReasonCode> publish(std::string_view topic, std::string_view payload,
                                          wire::Qos qos = wire::Qos::k1, bool retain = false,
                                          BytesView properties = {});
  void acknowledge(const ReceivedMessage& message);
  void disconnect() { send(wire::Disconnect{}); }
  // The network connection breaks.
  void cut();

  // The first packet of that type, taken out of what has come.
  std::optional<Received> take(wire::PacketType type);
  // The next PUBLISH; a failure of the test if there is none.
  ReceivedMessage message();
  std::size_t messages_waiting() const;
  // The reason code of DISCONNECT, if one came.
  std::optional<wire::ReasonCode> disconnect_reason();

  wire::ProtocolVersion speaks = wire::ProtocolVersion::kV5;
  bool reads = true;       // false: takes no bytes, as a peer whose window is full
  bool closed = false;     // by the broker, or cut
  bool is_paused = false;  // the broker does not read it
  std::uint32_t shard_index;
  std::deque<Received> received;

 private:
  friend class TestBroker;
  std::optional<wire::ReasonCode> acknowledged(wire::PacketType type);
  wire::PacketId next_packet_id() { return ++last_packet_id_ == 0 ? ++last_packet_id_ : last_packet_id_; }

  TestBroker& broker_;
  std::string to_broker_, from_broker_;
  wire::PacketId last_packet_id_ = 0;
};

// A lane whose store takes nothing while a test says so.
class StoppableLane final : public storage::Lane {
 public:
  explicit StoppableLane(std::unique_ptr<storage::Lane> lane) : lane_(std::move(lane)) {}
  void set_trouble(std::optional<storage::StoreError> trouble) {
    trouble_ = std::move(trouble);
    news_ = true;
  }
  // The store is behind, and does not say so.
  void set_slow(bool slow) { slow_ = slow; }
  // What is read is as it was when it was asked for, and comes later.
  void set_pages_slow(bool slow) { pages_slow_ = slow; }
  void commit(storage::Batch batch) override { waiting_.push_back(std::move(batch)); }
  void read_queue(storage::SessionId session, std::uint64_t request, storage::QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    if (unreadable_) {
      storage::QueuePage page;
      page.session = session;
      page.request = request;
      page.error = storage::StoreError{"the store is not open after an error"};
      return errors_.push_back(std::move(page));
    }
    hand_on();
    lane_->read_queue(session, request, std::move(position), limit, limit_bytes);
  }
  void poll(storage::LaneEvents& events) override {
    if (std::exchange(news_, false)) trouble_ ? events.on_trouble(*trouble_) : events.on_trouble_over();
    hand_on();
    for (; !errors_.empty(); errors_.pop_front()) events.on_queue_page(std::move(errors_.front()));
    for (; !pages_slow_ && !pages_.empty(); pages_.pop_front()) events.on_queue_page(std::move(pages_.front()));
    if (!pages_slow_) return lane_->poll(events);
    AllButPages rest(events, pages_);
    lane_->poll(rest);
  }
  // Reads fail, as they do while RocksDB cannot be opened.
  void set_unreadable(bool unreadable) { unreadable_ = unreadable; }

 private:
  struct AllButPages final : storage::LaneEvents {
    AllButPages(storage::LaneEvents& to, std::deque<storage::QueuePage>& later) : events(to), pages(later) {}
    void on_committed(storage::BatchNumber number) override { events.on_committed(number); }
    void on_trouble(const storage::StoreError& error) override { events.on_trouble(error); }
    void on_trouble_over() override { events.on_trouble_over(); }
    void on_queue_page(storage::QueuePage page) override { pages.push_back(std::move(page)); }
    storage::LaneEvents& events;
    std::deque<storage::QueuePage>& pages;
  };
  void hand_on() {
    for (; !trouble_ && !slow_ && !waiting_.empty(); waiting_.pop_front()) lane_->commit(std::move(waiting_.front()));
  }

  std::unique_ptr<storage::Lane> lane_;
  std::deque<storage::Batch> waiting_;
  std::optional<storage::StoreError> trouble_;
  std::deque<storage::QueuePage> errors_, pages_;
  bool news_ = false, slow_ = false, pages_slow_ = false, unreadable_ = false;
};

class TestBroker {
 public:
  explicit TestBroker(const Settings& settings = {}, std::uint32_t shards = 1)
      : shared_(settings, shards, 1), log_file_(open_memstream(&log_text_, &log_bytes_)), log_(log_file_) {
    for (std::uint32_t i = 0; i < shards; ++i) drivers_.push_back(std::make_unique<Driver>(*this, i));
    for (auto& driver : drivers_) EXPECT_TRUE(driver->shard.recover(store_, now_).has_value());
  }
  ~TestBroker() {
    for (auto& client : clients_) drivers_[client->shard_index]->shard.release(*client);
    clients_.clear();
    drivers_.clear();
    std::fclose(log_file_);
    std::free(log_text_);
  }
  TestBroker(const TestBroker&) = delete;
  TestBroker& operator=(const TestBroker&) = delete;

  // A new network connection.
  TestClient& open(wire::ProtocolVersion version = wire::ProtocolVersion::kV5, const ListenerPolicy* policy = nullptr,
                   std::uint32_t shard = 0) {
    TestClient& client = *clients_.emplace_back(std::make_unique<TestClient>(*this, shard));
    client.speaks = version;
    client.policy = policy;
    drivers_[shard]->shard.begin_turn(now_);
    drivers_[shard]->shard.do_waiting_work();
    drivers_[shard]->shard.connected(client);
    run();
    return client;
  }

  // Turns of all shards until nothing is left to do.
  void run() {
    for (bool more = true; more;) {
      more = false;
      for (auto& driver : drivers_) more = turn(*driver) || more;
    }
  }
  // Of each shard.
  void one_turn() {
    for (auto& driver : drivers_) turn(*driver);
  }
  void pass(TimeMs ms) {
    constexpr TimeMs kStep = 500;  // shards that are not woken for longer have been stopped
    for (; ms > kStep; ms -= kStep) stop_for(kStep);
    stop_for(ms);
  }
  // Nothing runs in that time.
  void stop_for(TimeMs ms) {
    now_ += ms;
    run();
  }

  // The store takes nothing from now on, or takes all again.
  void set_store_trouble(std::optional<storage::StoreError> trouble) {
    for (auto& driver : drivers_) driver->lane.set_trouble(trouble);
    run();
  }

  void set_store_unreadable(bool unreadable) {
    for (auto& driver : drivers_) driver->lane.set_unreadable(unreadable);
    run();
  }

  void set_store_slow(bool slow) {
    for (auto& driver : drivers_) driver->lane.set_slow(slow);
    run();
  }

  void set_pages_slow(bool slow) {
    for (auto& driver : drivers_) driver->lane.set_pages_slow(slow);
    run();
  }

  // What one shard sends another stays on its way.
  void set_mail_slow(bool slow) {
    mail_is_slow_ = slow;
    run();
  }

  // What can wait is to wait.
  void set_turns_long(bool turns_are_long) { turns_are_long_ = turns_are_long; }

  TimeMs now() const { return now_; }
  SharedState& shared() { return shared_; }
  storage::Store& store() { return store_; }
  Shard& shard(std::uint32_t index = 0) { return drivers_[index]->shard; }
  // Of all shards.
  std::uint64_t times_reached(Limit limit) const {
    std::uint64_t sum = 0;
    for (const Counters& counters : shared_.counters) sum += counters.times_reached(limit);
    return sum;
  }
  std::string log() const {
    std::fflush(log_file_);
    return {log_text_, log_bytes_};
  }

 private:
  friend class TestClient;
  struct Driver final : ShardHost {
    Driver(TestBroker& b, std::uint32_t i)
        : broker(b), lane(b.store_.open_lane(i, [] {})), shard(i, b.shared_, lane, *this, b.log_, b.random_) {}
    void request_flush(Connection&) override {}
    void send_now(Connection& connection, std::size_t) override {
      auto& client = static_cast<TestClient&>(connection);
      if (client.reads) take_output(client);
    }
    void close(Connection& connection) override { static_cast<TestClient&>(connection).closed = true; }
    void resume(Connection& connection) override { static_cast<TestClient&>(connection).is_paused = false; }
    void post(std::uint32_t to, Mail what) override { broker.drivers_[to]->mail.push_back(std::move(what)); }
    bool turn_is_long() override { return broker.turns_are_long_; }

    TestBroker& broker;
    StoppableLane lane;
    std::deque<Mail> mail;
    Shard shard;
  };

  // True if something happened.
  bool turn(Driver& driver) {
    bool busy = false;
    driver.shard.begin_turn(now_);
    driver.shard.do_waiting_work();
    for (; !mail_is_slow_ && !driver.mail.empty(); busy = true) {
      Mail mail = std::move(driver.mail.front());
      driver.mail.pop_front();
      driver.shard.on_mail(std::move(mail));
    }
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (drivers_[clients_[i]->shard_index].get() == &driver) busy = feed(driver, *clients_[i]) || busy;
    driver.shard.end_turn();
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (drivers_[clients_[i]->shard_index].get() == &driver) busy = flush(driver, *clients_[i]) || busy;
    return busy;
  }

  bool feed(Driver& driver, TestClient& client) {
    if (client.closed || client.is_paused || client.to_broker_.empty()) return false;
    const Shard::Received taken = driver.shard.receive(client, client.to_broker_);
    client.to_broker_.erase(0, taken.consumed);
    client.is_paused = taken.then == Shard::Received::Then::kPause;
    if (taken.then == Shard::Received::Then::kHandOver) {
      driver.shard.release(client);
      client.shard_index = taken.owner;
      drivers_[taken.owner]->shard.begin_turn(now_);
      drivers_[taken.owner]->shard.do_waiting_work();
      drivers_[taken.owner]->shard.connected(client);
      return true;
    }
    return taken.consumed > 0;
  }

  bool flush(Driver& driver, TestClient& client) {
    client.flush_requested = false;
    if (client.output.empty()) return false;
    if (!client.reads && !client.closed) {
      if (client.blocked_since != 0) return false;
      client.blocked_since = now_;
      driver.shard.output_blocked(client);
      return true;
    }
    take_output(client);
    client.blocked_since = 0;
    cut_packets(client);
    if (!client.closed && client.wants_drain_notice) driver.shard.output_drained(client);
    return true;
  }

  static void take_output(TestClient& client) {
    while (!client.output.empty()) {
      OutputBuffer::Piece piece{};
      client.output.gather({&piece, 1});
      client.from_broker_.append(piece.data, piece.size);
      client.output.consume(piece.size);
    }
  }

  static void cut_packets(TestClient& client) {
    for (;;) {
      const auto frame = wire::next_frame(client.speaks, client.from_broker_, 0xffffffff);
      ASSERT_TRUE(frame.has_value()) << frame.error().what;
      if (!frame->complete) return;
      client.received.push_back({frame->frame.type, frame->frame.flags, std::string(frame->frame.body)});
      client.from_broker_.erase(0, frame->frame.total_bytes);
    }
  }

  TimeMs now_ = 1'700'000'000'000;
  bool turns_are_long_ = false, mail_is_slow_ = false;
  SharedState shared_;
  storage::MemoryStore store_{{.survives_reopen = true}};
  SeededRandom random_{1};
  char* log_text_ = nullptr;
  std::size_t log_bytes_ = 0;
  std::FILE* log_file_;
  Log log_;
  std::vector<std::unique_ptr<Driver>> drivers_;
  std::vector<std::unique_ptr<TestClient>> clients_;
};

inline void TestClient::send_bytes(std::string_view bytes) {
  to_broker_ += bytes;
  broker_.run();
}

inline void TestClient::cut() {
  if (!closed) broker_.shard(shard_index).disconnected(*this, "cut");
  closed = true;
  output.clear();
  broker_.run();
}

inline std::optional<Received> TestClient::take(wire::PacketType type) {
  for (auto it = received.begin(); it != received.end(); ++it) {
    if (it->type != type) continue;
    Received found = std::move(*it);
    received.erase(it);
    return found;
  }
  return std::nullopt;
}

inline std::optional<wire::ReasonCode> TestClient::connect(std::string_view client_id, bool clean_start,
                                                           std::uint32_t session_expiry_interval_s) {
  wire::Connect packet;
  packet.client_id = client_id;
  packet.clean_start = clean_start;
  if (speaks == wire::ProtocolVersion::kV5) packet.session_expiry_interval_s = session_expiry_interval_s;
  return connect(packet);
}

inline std::optional<wire::ReasonCode> TestClient::connect(const wire::Connect& packet) {
  wire::Connect said = packet;
  said.version = speaks;
  send(said);
  const auto answer = take(wire::PacketType::kConnack);
  if (!answer) return std::nullopt;
  const auto connack = wire::decode_connack(speaks, answer->body);
  if (!connack.has_value()) return std::nullopt;
  if (speaks != wire::ProtocolVersion::kV5) return static_cast<wire::ReasonCode>(connack->return_code);
  return connack->reason;
}

inline std::optional<wire::ReasonCode> TestClient::acknowledged(wire::PacketType type) {
  const auto answer = take(type);
  if (!answer) return std::nullopt;
  if (type == wire::PacketType::kSuback || type == wire::PacketType::kUnsuback) {
    wire::Suback suback;
    if (!wire::decode_suback(speaks, type, answer->body, suback).has_value()) return std::nullopt;
    return suback.reasons.empty() ? wire::ReasonCode::kSuccess : suback.reasons.front();
  }
  const auto ack = wire::decode_ack(speaks, type, answer->body);
  return ack.has_value() ? std::optional(ack->reason) : std::nullopt;
}

inline std::optional<wire::ReasonCode> TestClient::subscribe(std::string_view filter, wire::Qos qos) {
  wire::Subscribe packet;
  packet.packet_id = next_packet_id();
  packet.subscriptions.push_back({filter, {.maximum_qos = qos}});
  send(packet);
  return acknowledged(wire::PacketType::kSuback);
}

inline std::optional<wire::ReasonCode> TestClient::unsubscribe(std::string_view filter) {
  wire::Unsubscribe packet;
  packet.packet_id = next_packet_id();
  packet.filters.push_back(filter);
  send(packet);
  return acknowledged(wire::PacketType::kUnsuback);
}

inline std::optional<wire::ReasonCode> TestClient::publish(std::string_view topic, std::string_view payload,
                                                           wire::Qos qos, bool retain, BytesView properties) {
  wire::Publish packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = qos;
  packet.retain = retain;
  packet.forwarded_properties = properties;
  if (qos != wire::Qos::k0) packet.packet_id = next_packet_id();
  send(packet);
  if (qos == wire::Qos::k0) return std::nullopt;
  if (qos == wire::Qos::k1) return acknowledged(wire::PacketType::kPuback);
  const auto reason = acknowledged(wire::PacketType::kPubrec);
  if (!reason || wire::is_error(*reason)) return reason;
  send(ack(wire::PacketType::kPubrel, packet.packet_id));
  EXPECT_TRUE(acknowledged(wire::PacketType::kPubcomp).has_value());
  return reason;
}

inline void TestClient::acknowledge(const ReceivedMessage& message) {
  send(ack(wire::PacketType::kPuback, message.packet_id));
}

inline ReceivedMessage TestClient::message() {
  const auto packet = take(wire::PacketType::kPublish);
  if (!packet) {
    ADD_FAILURE() << "no PUBLISH has come";
    return {};
  }
  const auto publish = wire::decode_publish(speaks, wire::Sender::kServer, packet->flags, packet->body);
  if (!publish.has_value()) {
    ADD_FAILURE() << publish.error().what;
    return {};
  }
  return {std::string(publish->topic), std::string(publish->payload), publish->qos, publish->retain,
          publish->packet_id};
}

inline std::size_t TestClient::messages_waiting() const {
  std::size_t count = 0;
  for (const Received& packet : received) count += packet.type == wire::PacketType::kPublish ? 1 : 0;
  return count;
}

inline std::optional<wire::ReasonCode> TestClient::disconnect_reason() {
  const auto packet = take(wire::PacketType::kDisconnect);
  if (!packet) return std::nullopt;
  const auto disconnect = wire::decode_disconnect(speaks, wire::Sender::kServer, packet->body);
  return disconnect.has_value() ? std::optional(disconnect->reason) : std::nullopt;
}

}  // namespace petrel::broker::test
