// What the session_* targets do with an input: a script of events for a whole broker of two shards over the memory
// store, with six clients. No sockets, no threads; the script moves the clock. Each event is a byte that names it, one
// that names the client, and what more it needs; an input that ends early reads zeros.
//
// What must hold: the broker's answers are packets that decode; nobody gets more bytes than its output may hold; every
// session and connection that is gone is gone from the counts; what is over has left no packet identifier behind, so
// that at the end a client can be sent as many messages as its window allows.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "broker/shard.h"
#include "fuzz/require.h"
#include "storage/memory/memory_store.h"
#include "wire/encode.h"

namespace petrel::fuzz {

using wire::PacketType;
using wire::ProtocolVersion;
using wire::Qos;

class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool done() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::size_t below(std::size_t n) { return byte() % n; }
  std::string bytes(std::size_t count) {
    std::string taken;
    for (; count > 0 && left_ > 0; --count) taken.push_back(static_cast<char>(byte()));
    return taken;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

class FuzzBroker;

class FuzzClient final : public broker::Connection {
 public:
  FuzzClient(FuzzBroker& owner, std::uint32_t s) : broker(owner), shard(s) {}
  std::string peer_name() const override { return "fuzz"; }

  FuzzBroker& broker;
  std::uint32_t shard;
  std::string input, answers;
  std::uint64_t messages = 0;                 // PUBLISH that came
  std::deque<wire::PacketId> unacknowledged;  // of QoS 1 and 2
  std::deque<wire::PacketId> received;        // QoS 2, before PUBREL
  bool paused = false, ended = false, reads = true;
};

class FuzzBroker {
 public:
  static constexpr std::uint32_t kShards = 2;
  static constexpr std::size_t kMaxOutputBytes = 4096;
  static constexpr std::size_t kMaxPacketBytes = 8192;

  FuzzBroker() : shared_(settings(), kShards, 1), log_(null_file()) {
    for (std::uint32_t i = 0; i < kShards; ++i) drivers_.push_back(std::make_unique<Driver>(*this, i));
    for (auto& driver : drivers_) PETREL_REQUIRE(driver->shard.recover(store_, now_).has_value());
  }
  ~FuzzBroker() {
    for (auto& client : clients_)
      if (!client->ended) drivers_[client->shard]->shard.release(*client);
    clients_.clear();
  }
  FuzzBroker(const FuzzBroker&) = delete;
  FuzzBroker& operator=(const FuzzBroker&) = delete;

  FuzzClient& open(std::uint32_t shard) {
    FuzzClient& client = *clients_.emplace_back(std::make_unique<FuzzClient>(*this, shard));
    drivers_[shard]->shard.begin_turn(now_);
    drivers_[shard]->shard.do_waiting_work();
    drivers_[shard]->shard.connected(client);
    return client;
  }
  void cut(FuzzClient& client) {
    if (client.ended) return;
    drivers_[client.shard]->shard.disconnected(client, "cut");
    client.ended = true;
    client.output.clear();
  }
  void turn(std::uint32_t shard) { drivers_[shard]->turn(); }
  void settle() {
    for (int round = 0; round < 1000; ++round) {
      bool busy = false;
      for (auto& driver : drivers_) busy = driver->turn() || busy;
      if (!busy) return;
    }
    const bool comes_to_rest = false;
    PETREL_REQUIRE(comes_to_rest);
  }
  void pass(TimeMs ms) { now_ += ms; }
  void shut_down() {
    for (auto& driver : drivers_) {
      driver->turn();
      driver->shard.shut_down();
    }
    settle();
  }
  std::size_t sessions() const {
    std::size_t sum = 0;
    for (const auto& driver : drivers_) sum += driver->shard.session_count();
    return sum;
  }
  const broker::SharedState& shared() const { return shared_; }

 private:
  struct Driver final : broker::ShardHost {
    Driver(FuzzBroker& b, std::uint32_t i)
        : owner(b),
          index(i),
          lane(b.store_.open_lane(i, [] {})),
          shard(i, b.shared_, *lane, *this, b.log_, b.random_) {}
    void request_flush(broker::Connection&) override {}
    void send_now(broker::Connection& connection, std::size_t) override {
      auto& client = static_cast<FuzzClient&>(connection);
      if (client.reads && !client.ended) take_output(client);
    }
    void close(broker::Connection& connection) override { static_cast<FuzzClient&>(connection).ended = true; }
    void resume(broker::Connection& connection) override { static_cast<FuzzClient&>(connection).paused = false; }
    void post(std::uint32_t to, broker::Mail what) override { owner.drivers_[to]->mail.push_back(std::move(what)); }

    // True if something happened.
    bool turn() {
      bool busy = false;
      shard.begin_turn(owner.now_);
      shard.do_waiting_work();
      for (; !mail.empty(); busy = true) {
        broker::Mail first = std::move(mail.front());
        mail.pop_front();
        shard.on_mail(std::move(first));
      }
      for (std::size_t i = 0; i < owner.clients_.size(); ++i) busy = feed(*owner.clients_[i]) || busy;
      shard.end_turn();
      for (auto& client : owner.clients_) busy = flush(*client) || busy;
      return busy || shard.next_deadline() <= owner.now_;
    }
    bool feed(FuzzClient& client) {
      using Then = broker::Shard::Received::Then;
      if (client.shard != index || client.ended || client.paused || client.input.empty()) return false;
      const broker::Shard::Received taken = shard.receive(client, client.input);
      PETREL_REQUIRE(taken.consumed <= client.input.size());
      client.input.erase(0, taken.consumed);
      client.paused = taken.then == Then::kPause;
      if (taken.then == Then::kHandOver) {
        PETREL_REQUIRE(taken.owner != index && taken.owner < kShards);
        shard.release(client);
        client.shard = taken.owner;
        owner.drivers_[taken.owner]->shard.begin_turn(owner.now_);
        owner.drivers_[taken.owner]->shard.do_waiting_work();
        owner.drivers_[taken.owner]->shard.connected(client);
        return true;
      }
      return taken.consumed > 0;
    }
    bool flush(FuzzClient& client) {
      client.flush_requested = false;
      if (client.shard != index || client.output.empty()) return false;
      // Answers may double it, and the last of them, a packet's worth of reason codes, comes on top.
      PETREL_REQUIRE(client.output.size() <= 2 * kMaxOutputBytes + 2 * kMaxPacketBytes);
      if (!client.reads && !client.ended) {
        if (client.blocked_since != 0) return false;
        client.blocked_since = owner.now_;
        shard.output_blocked(client);
        return true;
      }
      take_output(client);
      client.blocked_since = 0;
      look_at_answers(client);
      if (!client.ended && client.wants_drain_notice) shard.output_drained(client);
      return true;
    }
    static void take_output(FuzzClient& client) {
      while (!client.output.empty()) {
        OutputBuffer::Piece piece{};
        client.output.gather({&piece, 1});
        client.answers.append(piece.data, piece.size);
        client.output.consume(piece.size);
      }
    }
    static void look_at_answers(FuzzClient& client);

    FuzzBroker& owner;
    const std::uint32_t index;
    std::unique_ptr<storage::Lane> lane;
    std::deque<broker::Mail> mail;
    broker::Shard shard;
  };

  static broker::Settings settings() {
    broker::Settings made;
    made.max_output_bytes = kMaxOutputBytes;
    made.max_packet_bytes = kMaxPacketBytes;
    made.max_connect_bytes = kMaxPacketBytes;
    made.max_queued_messages = 20;
    made.max_inflight_messages = 5;
    made.receive_maximum = 5;
    made.max_subscriptions_per_client = 10;
    made.max_retained_messages = 10;
    made.max_sessions = 20;
    made.session_expiry_default_s = 10;
    made.match_cache_topics = 16;
    made.sys.events = true;
    return made;
  }
  static std::FILE* null_file() {
    static std::FILE* const file = std::fopen("/dev/null", "w");
    return file;
  }

  TimeMs now_ = 1'700'000'000'000;
  broker::SharedState shared_;
  storage::MemoryStore store_;
  SeededRandom random_{1};
  Log log_;
  std::vector<std::unique_ptr<FuzzClient>> clients_;  // before the drivers: their timers lie in the shards' wheels
  std::vector<std::unique_ptr<Driver>> drivers_;
};

// A packet's bytes.
template <class Packet>
std::string packed(ProtocolVersion version, const Packet& packet) {
  std::string bytes(wire::encoded_size(version, packet), '\0');
  wire::encode(version, packet, bytes.data());
  return bytes;
}

// Runs a script; most clients speak `version`.
int run_session_script(ProtocolVersion version, const std::uint8_t* data, std::size_t size);

}  // namespace petrel::fuzz
