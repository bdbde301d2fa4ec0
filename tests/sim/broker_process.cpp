#include "broker_process.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace petrel::sim {

using broker::Shard;

struct BrokerProcess::SimConnection final : broker::Connection {
  explicit SimConnection(std::shared_ptr<Link> l) : link(std::move(l)) {}
  std::string peer_name() const override { return "link " + std::to_string(link->number); }
  std::shared_ptr<Link> link;
  std::string partial;
  bool paused = false;
  bool yielded = false;  // `partial` has whole packets
  bool closing = false;
  bool dead = false;
};

class BrokerProcess::Driver final : public broker::ShardHost {
 public:
  Driver(BrokerProcess& process, std::uint32_t index, SimStore& store, Log& log)
      : process_(process),
        lane_(store.open_lane(index, [] {})),
        shard(index, process.shared_, *lane_, *this, log, process.random_) {}
  ~Driver() {
    for (auto& connection : connections) shard.release(*connection);
    for (auto* list : {&connections, &handed_over})
      for (auto& connection : *list) connection->link->broker_gone = connection->link->client_gone = true;
  }

  void adopt(std::unique_ptr<SimConnection> connection) {
    SimConnection& added = *connection;
    connections.push_back(std::move(connection));
    shard.connected(added);
    if (!added.partial.empty()) feed(added, {});
  }

  void turn(TimeMs now, bool everything) {
    now_ = now;
    shard.begin_turn(now);
    shard.do_waiting_work();
    take_mail(everything);
    std::vector<std::unique_ptr<SimConnection>> arrived;
    arrived.swap(handed_over);
    for (auto& connection : arrived) adopt(std::move(connection));
    // By index: feeding may add and bury, and a burial only marks.
    for (std::size_t i = 0; i < connections.size(); ++i)
      if (everything || chance(2)) read(*connections[i], everything);
    finish_turn();
    flush(now);
    std::erase_if(connections, [](const auto& connection) { return connection->dead; });
  }

  bool has_work() const {
    if (!mail.empty() || !handed_over.empty() || shard.next_deadline() <= now_) return true;
    return std::any_of(connections.begin(), connections.end(), [](const auto& c) {
      if (c->paused) return false;
      return c->yielded || !c->link->to_broker.empty() || c->link->client_gone || !c->output.empty();
    });
  }

  // broker::ShardHost
  void request_flush(broker::Connection&) override {}
  void send_now(broker::Connection& connection, std::size_t left) override {
    auto& sim = static_cast<SimConnection&>(connection);
    if (!sim.dead && !sim.closing) take_output(sim, left);
  }
  void close(broker::Connection& connection) override { static_cast<SimConnection&>(connection).closing = true; }
  void resume(broker::Connection& connection) override { resumed_.push_back(static_cast<SimConnection*>(&connection)); }
  bool turn_is_long() override { return chance(2) == 0; }
  void post(std::uint32_t to, broker::Mail what) override { process_.drivers_[to]->mail.push_back(std::move(what)); }

 private:
  std::uint64_t chance(std::uint64_t n) { return process_.random_.next() % n; }

  void take_mail(bool everything) {
    std::size_t count = mail.size();
    if (!everything && count > 0) count = chance(count + 1);
    for (; count > 0; --count) {
      broker::Mail first = std::move(mail.front());
      mail.pop_front();
      shard.on_mail(std::move(first));
    }
  }

  void read(SimConnection& connection, bool everything) {
    if (connection.dead || connection.paused || connection.closing) return;
    if (std::exchange(connection.yielded, false)) return feed(connection, {});
    std::string& waiting = connection.link->to_broker;
    std::size_t count = waiting.size();
    if (!everything && count > 0) count = chance(3) == 0 ? chance(count + 1) : count;
    if (count > 0) {
      const std::string bytes = waiting.substr(0, count);
      waiting.erase(0, count);
      feed(connection, bytes);
    } else if (waiting.empty() && connection.link->client_gone) {
      shard.disconnected(connection, "cut");
      bury(connection);
    }
  }

  void feed(SimConnection& connection, const std::string& bytes) {
    using Then = Shard::Received::Then;
    const std::string input = std::exchange(connection.partial, {}) + bytes;
    const Shard::Received received = shard.receive(connection, input);
    switch (received.then) {
      case Then::kContinue:
        connection.partial = input.substr(received.consumed);
        return;
      case Then::kPause:
        connection.partial = input.substr(received.consumed);
        connection.paused = true;
        return;
      case Then::kYield:
        connection.partial = input.substr(received.consumed);
        connection.yielded = true;
        return;
      case Then::kClosed:
        return;
      case Then::kHandOver: {
        connection.partial = input;
        shard.release(connection);
        const auto it =
            std::find_if(connections.begin(), connections.end(), [&](const auto& c) { return c.get() == &connection; });
        auto moved = std::make_unique<SimConnection>(connection.link);
        moved->partial = std::move(connection.partial);
        moved->policy = connection.policy;
        (*it)->dead = true;
        process_.drivers_[received.owner]->handed_over.push_back(std::move(moved));
        return;
      }
    }
  }

  void finish_turn() {
    shard.end_turn();
    while (!resumed_.empty()) {
      for (SimConnection* connection : std::exchange(resumed_, {})) {
        if (connection->dead || !connection->paused) continue;
        connection->paused = false;
        if (!connection->partial.empty()) feed(*connection, {});
      }
      shard.end_turn();
    }
  }

  void flush(TimeMs now) {
    for (int round = 0; round < 4; ++round) {
      bool drained = false;
      for (std::size_t i = 0; i < connections.size(); ++i) {
        SimConnection& connection = *connections[i];
        if (connection.dead) continue;
        connection.flush_requested = false;
        process_.largest_output_ = std::max(process_.largest_output_, connection.output.size());
        write(connection, now);
        if (connection.dead) continue;
        if (connection.wants_drain_notice && connection.output.size() < shard.drain_mark()) {
          drained = true;
          shard.output_drained(connection);
        }
      }
      if (!drained) return;
      finish_turn();
    }
  }

  // Until no more than `left` bytes are left, or its peer has no room.
  static void take_output(SimConnection& connection, std::size_t left) {
    Link& link = *connection.link;
    while (connection.output.size() > left && link.to_client.size() < link.room) {
      OutputBuffer::Piece piece{};
      if (connection.output.gather({&piece, 1}) == 0) std::abort();
      const std::size_t count = std::min(piece.size, link.room - link.to_client.size());
      link.to_client.append(piece.data, count);
      connection.output.consume(count);
    }
  }

  void write(SimConnection& connection, TimeMs now) {
    take_output(connection, 0);
    if (connection.output.empty()) {
      connection.blocked_since = 0;
    } else if (connection.blocked_since == 0) {
      connection.blocked_since = now;
      shard.output_blocked(connection);
    }
    // What a closing peer does not take is dropped, as it is after the linger time.
    if (connection.closing) bury(connection);
  }

  void bury(SimConnection& connection) {
    connection.link->broker_gone = true;
    connection.output.clear();
    connection.dead = true;
  }

  BrokerProcess& process_;
  std::unique_ptr<storage::Lane> lane_;
  TimeMs now_ = 0;
  std::vector<SimConnection*> resumed_;

 public:
  Shard shard;
  std::vector<std::unique_ptr<SimConnection>> connections;
  std::vector<std::unique_ptr<SimConnection>> handed_over;
  std::deque<broker::Mail> mail;
};

BrokerProcess::BrokerProcess(const broker::Settings& settings, std::uint32_t shards, SimStore& store, Random& random,
                             Log& log, TimeMs now)
    : shared_(settings, shards, random.next()), random_(random) {
  shared_.last_message_id = store.last_message_id();
  shared_.last_session_id = store.last_session_id();
  for (std::uint32_t i = 0; i < shards; ++i) drivers_.push_back(std::make_unique<Driver>(*this, i, store, log));
  for (auto& driver : drivers_)
    if (!driver->shard.recover(store, now).has_value()) std::abort();
}

BrokerProcess::~BrokerProcess() = default;

void BrokerProcess::accept(std::uint32_t shard, std::shared_ptr<Link> link) {
  drivers_[shard]->adopt(std::make_unique<SimConnection>(std::move(link)));
}

void BrokerProcess::turn(std::uint32_t shard, TimeMs now, bool everything) { drivers_[shard]->turn(now, everything); }

void BrokerProcess::shut_down(TimeMs now) {
  for (auto& driver : drivers_) {
    driver->turn(now, false);
    driver->shard.publish_last_wills();
    driver->shard.shut_down();
    for (auto& connection : driver->connections) connection->closing = true;
    driver->turn(now, false);
  }
}

std::size_t BrokerProcess::session_count() const {
  std::size_t count = 0;
  for (const auto& driver : drivers_) count += driver->shard.session_count();
  return count;
}

std::size_t BrokerProcess::connection_count() const {
  std::size_t count = 0;
  for (const auto& driver : drivers_) count += driver->connections.size();
  return count;
}

bool BrokerProcess::has_work() const {
  return std::any_of(drivers_.begin(), drivers_.end(), [](const auto& driver) { return driver->has_work(); });
}

}  // namespace petrel::sim
