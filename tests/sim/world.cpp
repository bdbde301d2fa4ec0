#include "world.h"

#include <algorithm>
#include <cstdio>

#include "examination.h"
#include "topics/topic.h"
#include "wire/encode.h"

namespace petrel::sim {

using wire::ProtocolVersion;
using wire::Qos;
using Session = ClientPlan::Session;

namespace {

constexpr int kTopics = 3;
constexpr const char* kGroupFilter = "$share/g/s/#";
// Clients beside those with wishes of their own.
constexpr int kGroupMembers = 2;

}  // namespace

World::World(std::uint64_t seed, bool trace, Log& log) : random_(seed), trace_(trace), log_(log) {
  settings_.session_expiry_default_s = broker::kSessionNeverExpires;
  settings_.receive_maximum = static_cast<std::uint16_t>(3 + dice(20));
  settings_.max_inflight_messages = static_cast<std::uint16_t>(2 + dice(20));
  settings_.max_output_bytes = dice(3) == 0 ? 300 : 1U << 20;
  may_have_trouble_ = dice(3) == 0;
  settings_.match_cache_topics = dice(2) == 0 ? 2 : 1000;
  set_limits();
  syncs_late_ = dice(3) == 0;
  has_large_messages_ = dice(4) == 0;
  open_store(false);
  broker_ =
      std::make_unique<BrokerProcess>(settings_, 1 + static_cast<std::uint32_t>(dice(3)), *store_, random_, log_, now_);
  make_clients();
}

// Queues with little room, and times to live, each in some of the runs.
void World::set_limits() {
  settings_.queue_qos0 = dice(3) == 0;
  constexpr broker::QueuePolicy kPolicies[] = {broker::QueuePolicy::kReject, broker::QueuePolicy::kDropNewest,
                                               broker::QueuePolicy::kDropOldest};
  settings_.queue_policy = kPolicies[dice(3)];
  if (dice(3) == 0) settings_.max_queued_messages = 5 + dice(16);
  if (dice(5) == 0) settings_.max_backlog_messages_total = 10 + dice(16);
  constexpr TimeMs kTtl[] = {0, 2'000, 20'000, 200'000};
  if (dice(3) == 0) {
    settings_.message_ttl_qos0_ms = kTtl[dice(4)];
    settings_.message_ttl_qos1_ms = kTtl[dice(4)];
    settings_.message_ttl_qos2_ms = kTtl[dice(4)];
  }
  if (dice(6) == 0) settings_.subscription_ttl_ms = kTtl[1 + dice(3)];
}

void World::trace(const std::string& line) {
  if (trace_) std::fprintf(stderr, "%6llu %s\n", static_cast<unsigned long long>(step_), line.c_str());
}

void World::make_clients() {
  const int wishful = 2 + static_cast<int>(dice(4));
  for (int number = 0; number < wishful + kGroupMembers + 1; ++number) {
    ClientPlan plan;
    plan.number = number;
    const ProtocolVersion versions[] = {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5,
                                        ProtocolVersion::kV5};
    plan.version = versions[dice(4)];
    plan.receive_maximum = static_cast<std::uint16_t>(1 + dice(10));
    plan.topic_alias_maximum = static_cast<std::uint16_t>(dice(2) * 3);
    if (number < wishful) {
      const std::uint64_t life = dice(10);
      if (life < 3) plan.session = Session::kClean;
      if (life == 3 && plan.version == ProtocolVersion::kV5) plan.session = Session::kExpires;
      plan.subscription_qos = static_cast<Qos>(dice(3));
      plan.has_will = dice(2) == 0;
      if (plan.version == ProtocolVersion::kV5 && dice(3) == 0)
        plan.will_delay_s = 1 + static_cast<std::uint32_t>(dice(3));
      plan.topics.push_back("r/" + std::to_string(number));
      for (int topic = 0; topic < kTopics; ++topic) {
        plan.topics.push_back("t/" + std::to_string(topic));
        plan.filters.push_back("t/" + std::to_string(topic));
      }
      plan.topics.emplace_back("s/x");
      plan.filters.insert(plan.filters.end(), {"t/#", "t/+", "r/+"});
    } else if (number < wishful + kGroupMembers) {
      plan.group = "g";
      plan.subscription_qos = dice(2) == 0 ? Qos::k1 : Qos::k2;
      if (number > wishful && dice(2) == 0) plan.session = Session::kClean;
      plan.filters.emplace_back(kGroupFilter);
    } else {
      // The observer: sees every will, and never loses its session.
      plan.version = ProtocolVersion::kV5;
      plan.filters.emplace_back("will/#");
    }
    clients_.push_back(std::make_unique<Client>(*this, plan));
  }
}

std::shared_ptr<Link> World::open_link() {
  auto link = std::make_shared<Link>(++links_);
  if (dice(4) == 0) link->room = 64 + dice(512);
  broker_->accept(static_cast<std::uint32_t>(dice(broker_->shard_count())), link);
  return link;
}

void World::run() {
  // What is to be guaranteed from the beginning must be subscribed first.
  store_->set_eager(true);
  observer().connect(false);
  settle("begin");
  observer().subscribe("will/#");
  Client& member = *clients_[clients_.size() - 1 - kGroupMembers];
  member.connect(false);
  settle("begin");
  member.subscribe(kGroupFilter);
  settle("begin");
  store_->set_eager(dice(3) == 0);
  const std::uint64_t count = 50 + dice(400);
  for (std::uint64_t i = 0; i < count; ++i) happen();
  heal();
  settle_and_reconnect();
  check_messages();
  check_shared();
  check_wills();
  check_retained();
  check_windows();
  examine();
  end_sessions();
  check_nothing_is_left();
}

// Something happens.
void World::happen() {
  ++step_;
  now_ += static_cast<TimeMs>(dice(4));
  const std::uint64_t what = dice(1000);
  if (what < 400) {
    clients_[dice(clients_.size())]->act();
  } else if (what < 650) {
    clients_[dice(clients_.size())]->read(dice(2) == 0);
  } else if (what < 900) {
    turn(dice(2) == 0);
  } else if (what < 970) {
    if (dice(2) == 0) store_->sync(1 + dice(8));
    store_->advance(1 + dice(8));
  } else if (what < 978) {
    now_ += static_cast<TimeMs>(dice(dice(4) == 0 ? 200'000 : 3'000));
    trace("the clock jumps");
  } else if (what < 985) {
    if (!may_have_trouble_) return;
    store_->set_trouble(!store_->trouble());
    refusals_expected_ = refusals_expected_ || store_->trouble();
    store_was_in_trouble_ = store_was_in_trouble_ || store_->trouble();
    trace(store_->trouble() ? "the store takes nothing" : "the store is well again");
  } else if (what < 990) {
    stranger();
  } else if (what < 996) {
    restart(dice(3) != 0);
  } else {
    store_->set_eager(dice(2) == 0);
  }
}

void World::turn(bool everything) {
  if (everything) {
    for (std::uint32_t shard = 0; shard < broker_->shard_count(); ++shard) broker_->turn(shard, now_, true);
  } else {
    broker_->turn(static_cast<std::uint32_t>(dice(broker_->shard_count())), now_, false);
  }
  if (broker_->largest_output() > settings_.max_output_bytes + std::size_t{64} * 1024)
    throw Violation("an output of " + std::to_string(broker_->largest_output()) + " bytes");
  for (auto& client : clients_) client->look_at_link();
}

void World::open_store(bool eager) {
  store_ = std::make_unique<SimStore>(disk_);
  store_->set_syncs_late(syncs_late_);
  store_->set_eager(eager);
}

void World::restart(bool kill) {
  trace(kill ? "the broker is killed" : "the broker is stopped");
  if (!kill) {
    refusals_expected_ = true;
    store_->set_trouble(false);
    broker_->shut_down(now_);
    // A graceful stop waits for the store.
    store_->set_syncs_late(false);
    store_->advance(store_->waiting());
    turn(true);
    store_->advance(store_->waiting());
  }
  ++restarts_;
  const bool loses = store_->unsynced() != 0;
  broker_.reset();
  for (auto& client : clients_) client->look_at_link();
  if (loses) disk_.lose_unsynced();
  open_store(dice(3) == 0);
  now_ += static_cast<TimeMs>(dice(5'000));
  broker_ =
      std::make_unique<BrokerProcess>(settings_, 1 + static_cast<std::uint32_t>(dice(3)), *store_, random_, log_, now_);
}

// Someone who does not keep to the rules: bytes at random, often after a proper beginning.
void World::stranger() {
  const auto link = open_link();
  strangers_.push_back(link);
  std::string bytes;
  const auto versions = {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5};
  const ProtocolVersion version = *(versions.begin() + dice(3));
  if (dice(4) != 0) {
    wire::Connect connect;
    connect.version = version;
    const std::string id = "stranger-" + std::to_string(dice(3));
    connect.client_id = id;
    bytes.resize(wire::encoded_size(version, connect));
    wire::encode(version, connect, bytes.data());
  }
  const std::size_t begin = dice(8) == 0 ? 0 : bytes.size();
  // A CONNECT changed at random may ask for a session that lasts.
  if (begin == 0) strangers_may_stay_ = true;
  for (std::uint64_t i = dice(5); i > 0; --i) {
    wire::Publish publish;
    publish.qos = static_cast<Qos>(dice(3));
    publish.topic = "zzzz";
    publish.packet_id = publish.qos == Qos::k0 ? std::uint16_t{0} : static_cast<std::uint16_t>(dice(3));
    const std::size_t at = bytes.size();
    bytes.resize(at + wire::encoded_size(version, publish));
    wire::encode(version, publish, bytes.data() + at);
  }
  for (std::uint64_t i = dice(40); i > 0; --i) bytes += static_cast<char>(random_.next());
  for (std::uint64_t i = dice(4); i > 0 && bytes.size() > begin; --i)
    bytes[begin + dice(bytes.size() - begin)] = static_cast<char>(random_.next());
  link->to_broker = bytes;
  link->client_gone = dice(2) == 0;
  trace("a stranger sends " + std::to_string(bytes.size()) + " bytes");
}

// Nothing goes wrong any more, and everything under way comes to its end.
void World::settle(const std::string& when) {
  if (settles(when)) return;
  std::string why = "not quiet " + when + "; store " + std::to_string(store_->waiting());
  if (broker_->has_work()) why += "; the broker has work";
  for (auto& client : clients_)
    if (!client->quiet()) why += "; " + client->why_not_quiet();
  throw Violation(why);
}

bool World::settles(const std::string& when) {
  trace("settling " + when);
  for (int round = 0; round < 3000; ++round) {
    now_ += 1;
    store_->advance(store_->waiting());
    store_->sync(store_->waiting());
    turn(true);
    bool quiet = !broker_->has_work() && store_->waiting() == 0;
    for (auto& client : clients_) {
      client->read(true);
      client->send_owed(1000);
      quiet = quiet && client->quiet();
    }
    for (auto& link : strangers_) link->to_client.clear();
    if (quiet && !broker_->has_work() && store_->waiting() == 0) return true;
    // Who is hung up on has to come again first.
    if (round > 20 && std::any_of(clients_.begin(), clients_.end(),
                                  [](const auto& client) { return client->closed() && !client->quiet(); }))
      return false;
  }
  return false;
}

void World::heal() {
  trace("all is healed");
  store_->set_trouble(false);
  store_->set_eager(true);
  store_->advance(store_->waiting());
  for (auto& link : strangers_) link->client_gone = true;
  // Until refusals that are on their way have been read.
  for (int i = 0; i < 4 || (i < 1000 && broker_->has_work()); ++i) {
    turn(true);
    for (auto& client : clients_) client->read(true);
  }
  refusals_expected_ = false;
}

void World::reconnect_all() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    bool all = true;
    for (auto& client : clients_) {
      if (client->closed()) client->connect(client->plan().session == Session::kClean);
      all = all && client->open();
    }
    if (all) return;
    for (int i = 0; i < 5; ++i) {
      turn(true);
      for (auto& client : clients_) client->read(true);
    }
  }
  throw Violation("a client cannot connect though nothing is wrong");
}

// A 3.x publisher whose message is refused is hung up on a second later, and comes again.
void World::settle_and_reconnect() {
  const auto closed = [](const auto& client) { return client->closed(); };
  for (int attempt = 0; attempt < 40; ++attempt) {
    reconnect_all();
    if (settles("after healing") && std::none_of(clients_.begin(), clients_.end(), closed)) return;
  }
  settle("after healing");
}

void World::check_messages() {
  for (auto& client : clients_) {
    if (!client->plan().group.empty()) continue;
    for (std::size_t i = 0; i < history_.publications.size(); ++i) {
      const Publication& publication = history_.publications[i];
      if (publication.refused && publication.attempts == 1 && client->received(i))
        throw Violation("refused message " + std::to_string(i) + " came to " + client->id());
      if (publication.retain || publication.clears || client->received(i)) continue;
      if (client->may_have_outstayed(publication) || allowance_.may_be_dropped(*client, publication)) continue;
      for (const SubscriptionSpan& span : client->subscriptions())
        if (topics::matches(span.filter, publication.topic) && History::must_bring(span, publication))
          throw Violation("acknowledged message " + std::to_string(i) + " never came to " + client->id());
    }
  }
}

void World::check_shared() {
  // What was sent with QoS 2 to a member whose session ended goes to nobody else [MQTT-4.8.2-5]; what a member has that
  // ends with the broker ends with it.
  bool qos1_may_end = false, qos2_may_end = false;
  for (const auto& client : clients_) {
    const ClientPlan& plan = client->plan();
    if (plan.group.empty() || plan.session != Session::kClean) continue;
    qos1_may_end = qos1_may_end || restarts_ > 0;
    qos2_may_end = qos2_may_end || restarts_ > 0 || plan.subscription_qos == Qos::k2;
  }
  for (std::size_t i = 0; i < history_.publications.size(); ++i) {
    const Publication& publication = history_.publications[i];
    if (!publication.topic.starts_with("s/")) continue;
    if (publication.qos == Qos::k2 ? qos2_may_end : qos1_may_end) continue;
    bool due = false, came = false;
    for (auto& client : clients_) {
      if (client->may_have_outstayed(publication) || allowance_.may_be_dropped(*client, publication)) came = true;
      came = came || client->received(i);
      for (const SubscriptionSpan& span : client->subscriptions())
        due = due || (span.filter == kGroupFilter && client->plan().session == Session::kForever &&
                      History::must_bring(span, publication));
    }
    if (due && !came) throw Violation("acknowledged message " + std::to_string(i) + " came to no member of the group");
  }
}

void World::check_wills() {
  // Delayed wills are due by now.
  now_ += 10'000;
  settle("for wills");
  const bool may_be_lost =
      settings_.subscription_ttl_ms != 0 || settings_.message_ttl_qos2_ms != 0 || allowance_.may_lose_wills(observer());
  for (std::size_t i = 0; i < history_.wills.size(); ++i) {
    const WillRecord& will = history_.wills[i];
    if (will.seen > 1) throw Violation("will " + std::to_string(i) + " came " + std::to_string(will.seen) + " times");
    if (will.due == WillRecord::Due::kYes && will.seen == 0 && !may_be_lost)
      throw Violation("will " + std::to_string(i) + " of client " + std::to_string(will.client) + " never came");
    if (will.given_up_in_life == restarts_ && !store_was_in_trouble_ && will.seen != 0)
      throw Violation("will " + std::to_string(i) + " came though the client had disconnected [MQTT-3.14.4-3]");
  }
}

// The retained message of a topic, which has one publisher, is the last acknowledged one or a later one.
void World::check_retained() {
  observer().subscribe("r/#");
  settle("for retained messages");
  std::map<std::string, std::vector<std::size_t>> by_topic;
  for (std::size_t i = 0; i < history_.publications.size(); ++i)
    if (history_.publications[i].retain) by_topic[history_.publications[i].topic].push_back(i);
  for (const auto& [topic, all] : by_topic) {
    bool may_be_nothing = true;
    std::vector<std::string> allowed;
    for (const std::size_t i : all) {
      const Publication& publication = history_.publications[i];
      if (publication.acknowledged()) {
        allowed.clear();
        may_be_nothing = false;
      }
      if (publication.clears) {
        may_be_nothing = true;
      } else {
        allowed.push_back(std::to_string(i));
      }
    }
    const auto seen = observer().retained_seen().find(topic);
    // What was refused and comes again may come behind what was not.
    if (store_was_in_trouble_) continue;
    const bool found = seen != observer().retained_seen().end();
    if (found ? std::find(allowed.begin(), allowed.end(), seen->second) == allowed.end() : !may_be_nothing)
      throw Violation("retained message of " + topic + " is " + (found ? seen->second : "missing") + ", not " +
                      (allowed.empty() ? "none" : allowed.front() + " or later"));
  }
}

// More messages than any window holds go through every session: no packet identifier has leaked.
void World::check_windows() {
  for (auto& client : clients_) {
    const std::string topic = "window/" + std::to_string(client->plan().number);
    client->subscribe(topic);
  }
  settle("for windows");
  for (auto& client : clients_) {
    const std::string topic = "window/" + std::to_string(client->plan().number);
    const std::size_t first = history_.publications.size();
    for (int i = 0; i < 60; ++i) {
      observer().publish(topic, i % 2 == 0 ? Qos::k1 : Qos::k2, false, false);
      if (i % 4 == 3) settle("in windows");
    }
    settle("in windows");
    if (client->plan().subscription_qos == Qos::k0) continue;
    for (std::size_t i = first; i < history_.publications.size(); ++i)
      if (!history_.publications[i].may_expire && !client->received(i))
        throw Violation("message " + std::to_string(i) + " is stuck before " + client->id());
  }
}

// Exactly what the limits and times to live say, of one client whose session outlives its connection.
void World::examine() {
  std::vector<Client*> able;
  for (auto& client : clients_)
    if (client.get() != &observer() && client->plan().group.empty() && client->plan().session != Session::kClean)
      able.push_back(client.get());
  if (able.empty()) return;
  Client& chosen = *able[dice(able.size())];
  // Retained messages, which its other subscriptions would bring, are not what is examined.
  refusals_expected_ = settings_.queue_policy == broker::QueuePolicy::kReject;
  Examination examination(
      settings_, history_, [this] { settle("in the examination"); },
      [this](TimeMs time) {
        for (int i = 0; i < 10; ++i) {
          now_ += time / 10;
          turn(true);
        }
      },
      [this](std::uint64_t sides) { return dice(sides); });
  examination.run(chosen, observer(), "window/" + std::to_string(chosen.plan().number));
  refusals_expected_ = false;
}

void World::end_sessions() {
  std::vector<std::string> topics;
  for (const Publication& publication : history_.publications)
    if (publication.retain) topics.push_back(publication.topic);
  std::sort(topics.begin(), topics.end());
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  for (const std::string& topic : topics) {
    observer().publish(topic, Qos::k1, true, true);
    settle("at the end");
  }
  for (auto& client : clients_) client->disconnect();
  settle("at the end");
  for (auto& client : clients_) client->connect(true);
  settle("at the end");
  for (auto& client : clients_) client->disconnect();
  settle("at the end");
  now_ += 3'600'000;
  settle("at the end");
}

void World::check_nothing_is_left() {
  if (strangers_may_stay_) return;
  if (broker_->session_count() != 0) throw Violation(std::to_string(broker_->session_count()) + " sessions are left");
  if (broker_->connection_count() != 0)
    throw Violation(std::to_string(broker_->connection_count()) + " connections are left");
  struct Count final : storage::Recovery {
    std::vector<std::string> records;
    void on_session(const storage::SessionRecord& record) override {
      records.push_back("session of " + record.client_id);
    }
    void on_subscription(storage::SessionId, const storage::SubscriptionRecord& record) override {
      records.push_back("subscription to " + record.filter);
    }
    void on_queue(storage::SessionId, std::uint64_t, std::uint64_t) override {}
    void on_outgoing(storage::SessionId, const storage::OutgoingRecord&, const storage::QueueEntry*) override {
      records.emplace_back("outgoing exchange");
    }
    void on_incoming(storage::SessionId, wire::PacketId) override {
      records.emplace_back("incoming packet identifier");
    }
    void on_retained(Ref<const wire::Message> message) override {
      // A stranger's may stay.
      if (message->topic().starts_with("r/")) records.push_back("retained message of " + std::string(message->topic()));
    }
    void on_will(storage::SessionId, const storage::WillRecord&) override { records.emplace_back("will"); }
  } count;
  (void)disk_.written().recover(count);
  if (!count.records.empty())
    throw Violation(std::to_string(count.records.size()) +
                    " records are left in the store, the first: " + count.records.front());
}

}  // namespace petrel::sim
