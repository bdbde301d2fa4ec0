// The store against a model: sessions come, go and acknowledge at random, over two lanes, while writes fail now and
// then and the machine stops at any moment. What is read after the restart must be what some beginning of the submitted
// batches left, but for entries that their receiver had acknowledged, which may be gone already; and of every batch
// that was reported nothing else may be missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "storage/rocksdb/fault_env.h"
#include "storage/rocksdb/fault_lane.h"
#include "storage/rocksdb/rocksdb_store.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

using Fault = FaultFileSystem::Fault;

struct Exchange {
  MessageId message = 0;
  bool released = false;
  bool operator==(const Exchange&) const = default;
};
struct Owned {
  bool connected = false;
  std::map<MessageId, wire::Qos> queue;
  std::map<wire::PacketId, Exchange> outgoing;
};
struct State {
  std::map<SessionId, Owned> sessions;
  std::string retained;

  Owned* find(SessionId session) {
    const auto found = sessions.find(session);
    return found == sessions.end() ? nullptr : &found->second;
  }
  void apply(const Change& change) {
    if (const auto* put = std::get_if<PutSession>(&change)) {
      sessions[put->record.id].connected = put->record.connected;
    } else if (const auto* erase = std::get_if<EraseSession>(&change)) {
      sessions.erase(erase->session);
    } else if (const auto* retain = std::get_if<PutRetained>(&change)) {
      retained = retain->message->payload();
    } else if (const auto* enqueue = std::get_if<Enqueue>(&change)) {
      if (Owned* owner = find(enqueue->session)) owner->queue.emplace(enqueue->entry.id, enqueue->entry.qos);
    } else if (const auto* acknowledge = std::get_if<Acknowledge>(&change)) {
      if (Owned* owner = find(acknowledge->session)) owner->queue.erase(acknowledge->message);
    } else if (const auto* outgoing = std::get_if<PutOutgoing>(&change)) {
      if (Owned* owner = find(outgoing->session))
        owner->outgoing[outgoing->record.packet_id] = {outgoing->record.message, outgoing->record.released};
    } else if (const auto* done = std::get_if<EraseOutgoing>(&change)) {
      if (Owned* owner = find(done->session)) owner->outgoing.erase(done->packet_id);
    }
  }
};

using Delivered = std::set<std::pair<SessionId, MessageId>>;

// Whether `found` is what `written` left, but for entries that were delivered.
bool agrees(const State& written, const State& found, const Delivered& delivered) {
  if (written.retained != found.retained || written.sessions.size() != found.sessions.size()) return false;
  for (const auto& [id, left] : written.sessions) {
    const auto there = found.sessions.find(id);
    if (there == found.sessions.end()) return false;
    const Owned& owner = there->second;
    if (owner.connected != left.connected || owner.outgoing != left.outgoing) return false;
    for (const auto& entry : left.queue)
      if (!owner.queue.contains(entry.first) && !delivered.contains({id, entry.first})) return false;
    for (const auto& entry : owner.queue)
      if (!left.queue.contains(entry.first)) return false;
  }
  return true;
}

// What may be reported before it is written: entries that were acknowledged, and such acknowledgements.
bool may_go_unwritten(const std::vector<Change>& changes, const Delivered& delivered) {
  return std::all_of(changes.begin(), changes.end(), [&](const Change& change) {
    if (const auto* enqueue = std::get_if<Enqueue>(&change))
      return delivered.contains({enqueue->session, enqueue->entry.id});
    const auto* acknowledge = std::get_if<Acknowledge>(&change);
    return acknowledge != nullptr && acknowledge->delivered;
  });
}

Ref<const wire::Message> make_message(const std::string& payload) {
  wire::Message::Parts parts;
  parts.topic = "a/b";
  parts.payload = payload;
  parts.qos = wire::Qos::k2;
  return wire::Message::create(parts);
}

// What the broker would take back, and the queues.
struct Found final : Recovery {
  State state;
  std::map<SessionId, std::uint64_t> lengths;

  void on_session(const SessionRecord& record) override { state.sessions[record.id].connected = record.connected; }
  void on_subscription(SessionId, const SubscriptionRecord&) override {}
  void on_queue(SessionId session, std::uint64_t messages, std::uint64_t) override { lengths[session] = messages; }
  void on_outgoing(SessionId session, const OutgoingRecord& record, const QueueEntry* entry) override {
    state.sessions[session].outgoing[record.packet_id] = {record.message, record.released};
    EXPECT_EQ(entry != nullptr, !record.released);
  }
  void on_incoming(SessionId, wire::PacketId) override {}
  void on_retained(Ref<const wire::Message> message) override { state.retained = message->payload(); }
  void on_will(SessionId, const WillRecord&) override {}

  void read_queues(Store& store) {
    FaultLane lane(store);
    for (auto& [id, owner] : state.sessions) {
      for (const QueueEntry& entry : lane.read_entries(id)) {
        EXPECT_EQ(entry.message->payload(), std::to_string(entry.id));
        owner.queue.emplace(entry.id, entry.qos);
      }
      EXPECT_EQ(lengths[id], owner.queue.size()) << "counted at the start, session " << id;
    }
  }
};

class StoreModel : public testing::TestWithParam<unsigned> {
 protected:
  struct Step {
    std::size_t lane;
    BatchNumber number;
    std::vector<Change> changes;
  };

  void open() {
    RocksStoreOptions options;
    options.directory = directory_.path();
    options.sync = sync_;
    options.sync_interval_ms = 3'600'000;
    options.retry_ms = 1;
    options.spacing = std::chrono::microseconds(one_in(2) ? 300 : 4000);  // what is reported early has time to be lost
    options.env = env_.get();
    options.sync_file = [this](const std::string& name) { return system_->sync_file(name); };
    auto opened = RocksStore::open(options);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    store_ = std::move(*opened);
  }
  std::uint64_t random(std::uint64_t below) { return random_() % below; }
  bool one_in(std::uint64_t n) { return random(n) == 0; }
  MessageId next_id() { return make_message_id(++counter_, static_cast<std::uint32_t>(lane_)); }
  std::pair<const SessionId, Owned>& any_session() {
    return *std::next(now_.sessions.begin(), static_cast<std::ptrdiff_t>(random(now_.sessions.size())));
  }
  void change(Change made) {
    now_.apply(made);
    if (const auto* acknowledge = std::get_if<Acknowledge>(&made); acknowledge != nullptr && acknowledge->delivered)
      delivered_.emplace(acknowledge->session, acknowledge->message);
    changes_.push_back(std::move(made));
  }
  void enqueue(SessionId session, MessageId id, wire::Qos qos) {
    change(Enqueue{session, {id, make_message(std::to_string(id)), "", qos, false, ""}});
  }
  void submit(FaultLane& lane) {
    lane.submit(changes_);
    steps_.push_back({lane_, lane.submitted(), std::exchange(changes_, {})});
  }
  void publish();
  void acknowledge(SessionId session, Owned& owner);
  void change_sessions();
  void take_turn();
  void pass_by(std::vector<std::unique_ptr<FaultLane>>& lanes);
  void live();
  void stop();
  void compare();

  TestDirectory directory_;
  std::shared_ptr<FaultFileSystem> system_ = std::make_shared<FaultFileSystem>();
  std::unique_ptr<rocksdb::Env> env_ = std::make_unique<FaultEnv>(system_);
  std::unique_ptr<RocksStore> store_;
  std::mt19937 random_{GetParam()};
  Sync sync_ = Sync::kAlways;

  State before_, now_;  // at the start of this life; with all that was submitted since
  std::vector<Step> steps_;
  Delivered delivered_;
  std::vector<BatchNumber> told_;
  std::vector<Change> changes_;  // of the batch that is made
  std::size_t lane_ = 0;
  std::uint64_t counter_ = 0, retained_ = 0, elided_ = 0;
  SessionId last_session_ = 0;
  wire::PacketId packet_id_ = 0;
};

void StoreModel::publish() {
  const MessageId id = next_id();
  const wire::Qos qos = one_in(6) ? wire::Qos::k2 : wire::Qos::k1;
  std::set<SessionId> receivers;
  for (std::uint64_t i = 1 + random(3); i > 0; --i) receivers.insert(any_session().first);
  for (const SessionId session : receivers) enqueue(session, id, qos);
}

// What may happen to a message that waits; mostly to the oldest.
void StoreModel::acknowledge(SessionId session, Owned& owner) {
  if (!owner.outgoing.empty() && one_in(3)) {
    const auto [packet_id, exchange] = *owner.outgoing.begin();
    if (exchange.released) return change(EraseOutgoing{session, packet_id});
    change(Acknowledge{session, exchange.message});
    return change(PutOutgoing{session, {packet_id, exchange.message, true}});
  }
  if (owner.queue.empty()) return;
  const auto place = one_in(5) ? random(owner.queue.size()) : 0;
  const auto [id, qos] = *std::next(owner.queue.begin(), static_cast<std::ptrdiff_t>(place));
  if (std::any_of(owner.outgoing.begin(), owner.outgoing.end(),
                  [&, m = id](const auto& o) { return o.second.message == m; }))
    return;
  if (one_in(12)) return change(Acknowledge{session, id});  // dropped
  if (one_in(6)) {
    change(Acknowledge{session, id});
    return enqueue(any_session().first, next_id(), wire::Qos::k1);  // handed on
  }
  if (qos == wire::Qos::k1) return change(Acknowledge{session, id, true});
  change(PutOutgoing{session, {++packet_id_, id, false}});
}

void StoreModel::change_sessions() {
  if (now_.sessions.size() < 3 || one_in(4)) {
    const SessionId id = ++last_session_;
    return change(PutSession{{id, "client" + std::to_string(id), 60, !one_in(3), 0}});
  }
  const auto& [id, owner] = any_session();
  if (one_in(3)) return change(EraseSession{id});
  change(PutSession{{id, "client" + std::to_string(id), 60, !owner.connected, 0}});
}

void StoreModel::take_turn() {
  lane_ = random(2);
  std::uint64_t things = one_in(60) ? 150 : 1 + random(4);
  for (; things > 0; --things) {
    if (now_.sessions.empty() || one_in(40)) {
      change_sessions();
    } else if (one_in(30)) {
      change(PutRetained{make_message("retained " + std::to_string(++retained_))});
    } else if (random(5) < 2) {
      publish();
    } else {
      auto& [session, owner] = any_session();
      if (owner.connected || one_in(10)) acknowledge(session, owner);
    }
  }
}

// Messages that leave their queue before they are due, one way or another, and nothing else.
void StoreModel::pass_by(std::vector<std::unique_ptr<FaultLane>>& lanes) {
  for (const auto& lane : lanes) lane->settle();
  for (auto messages = 4 + random(8); messages > 0; --messages) {
    auto& [session, owner] = any_session();
    if (!owner.connected) continue;
    lane_ = random(2);
    const MessageId id = next_id();
    enqueue(session, id, wire::Qos::k1);
    submit(*lanes[lane_]);
    lane_ = random(2);
    change(Acknowledge{session, id, one_in(2)});
    if (one_in(2)) enqueue(any_session().first, next_id(), wire::Qos::k1);
    submit(*lanes[lane_]);
  }
}

void StoreModel::live() {
  std::vector<std::unique_ptr<FaultLane>> lanes;
  for (std::uint32_t i = 0; i < 2; ++i) lanes.push_back(std::make_unique<FaultLane>(*store_, i));
  for (auto turns = 40 + random(120); turns > 0; --turns) {
    take_turn();
    if (changes_.empty()) continue;
    submit(*lanes[lane_]);
    if (one_in(12)) lanes[random(2)]->settle();
    if (one_in(25) && !now_.sessions.empty()) {
      const auto& [session, owner] = any_session();
      std::set<MessageId> waiting;
      for (const auto& entry : owner.queue) waiting.insert(entry.first);
      EXPECT_EQ(lanes[random(2)]->read(session), waiting) << "session " << session;
    }
    if (one_in(40)) store_->flush();
    if (one_in(60)) (void)store_->collect().has_value();
    if (one_in(60)) system_->fail_at(1 + static_cast<long>(random(4)), one_in(2) ? Fault::kError : Fault::kNoSpace);
  }
  if (!now_.sessions.empty() && !one_in(4)) pass_by(lanes);
  // Just when something has been reported is the worst moment to stop.
  if (!one_in(4)) lanes[steps_.back().lane]->await_report();
  for (const auto& lane : lanes) lane->look();
  // From here on nothing is written; what has been told until now is told.
  if (!one_in(4)) system_->fail_all(Fault::kPowerOff);
  system_->fail_at(0, Fault::kNone);
  told_.clear();
  for (const auto& lane : lanes) told_.push_back(lane->committed());
}

void StoreModel::stop() {
  elided_ += store_->counts().elided;
  store_.reset();
  if (sync_ == Sync::kAlways && one_in(2)) return system_->power_loss();
  // Whatever is lost is the end.
  if (sync_ == Sync::kOs && one_in(2)) {
    told_.assign(told_.size(), 0);
    return system_->power_loss();
  }
  system_->fail_all(Fault::kNone);
}

// Finds a beginning of the steps that explains what is there, and goes on from what is there.
void StoreModel::compare() {
  Found found;
  ASSERT_TRUE(store_->recover(found).has_value());
  found.read_queues(*store_);
  std::size_t least = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (steps_[i].number <= told_[steps_[i].lane] && !may_go_unwritten(steps_[i].changes, delivered_)) least = i + 1;
  State written = before_;
  bool explained = false;
  for (std::size_t i = 0; !explained; ++i) {
    explained = i >= least && agrees(written, found.state, delivered_);
    if (i == steps_.size()) break;
    for (const Change& change : steps_[i].changes) written.apply(change);
  }
  EXPECT_TRUE(explained) << "of " << steps_.size() << " batches at least " << least << " must be there";
  before_ = now_ = found.state;
  steps_.clear();
  delivered_.clear();
  // Ids that were given out and are not on the disk may be given out again.
  if (one_in(2)) counter_ = store_->last_message_id() >> kLaneBits;
  EXPECT_GE(counter_, store_->last_message_id() >> kLaneBits);
  last_session_ = std::max(last_session_, store_->last_session_id());
}

TEST_P(StoreModel, WhateverIsReportedIsThereAfterARestart) {
  sync_ = GetParam() % 2 == 0 ? Sync::kAlways : Sync::kOs;
  open();
  for (int life = 0; life < 6 && !HasFailure(); ++life) {
    SCOPED_TRACE("life " + std::to_string(life));
    live();
    stop();
    open();
    if (HasFatalFailure()) return;
    compare();
  }
  EXPECT_GT(elided_, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreModel, testing::Range(1U, 5U));

}  // namespace
}  // namespace petrel::storage
