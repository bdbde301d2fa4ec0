// Acknowledgements wait for the store: what a turn changes is one batch, and every acknowledgement of that turn is held
// until the batch is committed. Held packets leave in the order they were made, so the order of acknowledgements is the
// order of the packets they acknowledge [MQTT-4.6.0-2] to [MQTT-4.6.0-4].
#include <boost/unordered/unordered_flat_set.hpp>

#include "broker/shard.h"
#include "broker/write_packet.h"

namespace petrel::broker {

using wire::PacketType;

namespace {

// Of messages that a shard has taken from its clients and the store has not committed.
constexpr std::size_t kUncommittedBytes = std::size_t{32} << 20;
// Replies to one client that wait for the store: who asks for more is not read until they have gone.
constexpr std::uint32_t kMostHeldReplies = 4096;
constexpr std::uint8_t kQosFlags = 0x06;  // of a PUBLISH (3.3.1.2)

}  // namespace

void Shard::hold_ack(Session& session, PacketType type, wire::PacketId packet_id, Reason reason) {
  if (session.connection != nullptr) ++session.connection->held_replies;
  held_.push_back({Held::Kind::kAck, type, reason, packet_id, session.connection_number, session.id, {}});
}

void Shard::hold_bytes(Session& session, std::string bytes, PacketType type) {
  if (session.connection != nullptr) ++session.connection->held_replies;
  held_.push_back(
      {Held::Kind::kBytes, type, Reason::kSuccess, 0, session.connection_number, session.id, std::move(bytes)});
}

void Shard::hold(Session& session, Held::Kind kind, wire::PacketId packet_id, std::string bytes) {
  held_.push_back({kind, PacketType::kPublish, Reason::kSuccess, packet_id, session.connection_number, session.id,
                   std::move(bytes)});
}

void Shard::submit() {
  if (trouble_ && !held_.empty()) release_independent();
  if (batch_.changes.empty()) {
    turn_published_bytes_ = 0;
    if (held_.empty()) return;
    if (!waiting_.empty()) {
      // Nothing of their own to wait for, but they must not overtake what waits.
      auto& later = waiting_.back().held;
      later.insert(later.end(), std::make_move_iterator(held_.begin()), std::make_move_iterator(held_.end()));
      held_.clear();
      return;
    }
    // What is released may make more to hold, and submit it: neither list is walked where that happens.
    std::vector<Held> made = std::exchange(held_, std::move(spare_held_));
    spare_held_ = {};
    release_held(made);
    spare_held_ = std::move(made);
    return;
  }
  batch_.number = ++last_submitted_;
  uncommitted_bytes_ += turn_published_bytes_;
  waiting_.push_back({batch_.number, std::move(held_), std::exchange(turn_published_bytes_, 0)});
  held_ = {};
  commit(std::exchange(batch_, {}));
}

// Another shard may have replaced a retained message since this turn did, and have submitted its batch before. What is
// written is what memory holds at the moment of the commit: then the last commit of a topic brings its last message.
void Shard::commit(storage::Batch batch) {
  const bool renew = std::exchange(batch_has_retained_, false) && shared_.shard_count > 1;
  if (!renew) return lane_.commit(std::move(batch));
  const std::lock_guard lock(shared_.retained_commits);
  for (storage::Change& change : batch.changes) {
    std::string topic;
    if (const auto* put = std::get_if<storage::PutRetained>(&change)) topic = put->message->topic();
    if (auto* erase = std::get_if<storage::EraseRetained>(&change)) topic = std::move(erase->topic);
    if (topic.empty()) continue;
    if (Ref<const wire::Message> present = shared_.retained.get(topic)) {
      change = storage::PutRetained{std::move(present)};
    } else {
      change = storage::EraseRetained{std::move(topic)};
    }
  }
  lane_.commit(std::move(batch));
}

void Shard::change_retained(storage::Change change) {
  batch_has_retained_ = true;
  batch_.changes.push_back(std::move(change));
}

// While the store takes nothing, what rests on no change must not wait for those that cannot be made: refusals, and all
// that a session without a place in the store is owed, for whatever of it needed the store has been refused. But each
// session's packets stay in their order.
void Shard::release_independent() {
  boost::unordered_flat_set<topics::SubscriberId> waiting;
  for (const HeldBatch& batch : waiting_)
    for (const Held& held : batch.held) waiting.insert(held.session);
  std::vector<Held> made = std::exchange(held_, {});
  std::vector<Held> independent;
  for (Held& one : made) {
    const Session* session = find(one.session);
    const bool rests_on_nothing = session == nullptr || session->stored == 0 || wire::is_error(one.reason);
    if (rests_on_nothing && !waiting.contains(one.session)) {
      independent.push_back(std::move(one));
    } else {
      waiting.insert(one.session);
      held_.push_back(std::move(one));
    }
  }
  release_held(independent);
}

void Shard::on_committed(storage::BatchNumber number) {
  last_committed_ = number;
  while (!waiting_.empty() && waiting_.front().number <= number) {
    std::vector<Held> held = std::move(waiting_.front().held);
    uncommitted_bytes_ -= waiting_.front().published_bytes;
    waiting_.pop_front();
    release_held(held);
  }
  if (uncommitted_bytes_ < kUncommittedBytes / 2) end_store_waits();
}

void Shard::on_trouble(const storage::StoreError& error) {
  if (!trouble_)
    log_.error("the store takes no changes",
               {{"shard", index_}, {"reason", error.what}, {"effect", "what needs storage is refused until it does"}});
  shared_.store_health.set(index_, error);
  const bool begins = !trouble_;
  trouble_ = error.full ? Reason::kQuotaExceeded : Reason::kImplementationSpecificError;
  if (begins) release_live();
  end_store_waits();
}

// From now on live messages of QoS 0 overtake those of the queue, whose commits may not come. They do not overtake each
// other [MQTT-4.6.0-5].
void Shard::release_live() {
  std::vector<topics::SubscriberId> receivers;
  const auto is_live = [&](const Held& one) {
    if (one.kind != Held::Kind::kLive) return false;
    receivers.push_back(one.session);
    return true;
  };
  for (HeldBatch& batch : waiting_) std::erase_if(batch.held, is_live);
  std::erase_if(held_, is_live);
  for (const topics::SubscriberId receiver : receivers) {
    Session* session = find(receiver);
    if (session == nullptr || !online(*session)) continue;
    Outbound& out = session->out();
    const std::vector<session::Delivery> live = out.take_live_qos0();
    for (const session::Delivery& delivery : live) send_held_qos0(*session, delivery);
    if (!live.empty() && out.held_qos0.empty()) pump(*session);
  }
}

// Who publishes with QoS 1 or 2 goes no faster than the store: beyond a mark it is not read until the store has caught
// up. While the store is in trouble its messages are refused instead.
bool Shard::waits_for_store(Connection& connection, const wire::Frame& frame) {
  if (connection.held_replies >= kMostHeldReplies) {
    if (!std::exchange(connection.waits_for_store, true)) store_waits_.push_back(&connection);
    return true;
  }
  if (frame.type != PacketType::kPublish || (frame.flags & kQosFlags) == 0) return false;
  if (trouble_ || uncommitted_bytes_ + turn_published_bytes_ < kUncommittedBytes) return false;
  if (!std::exchange(connection.waits_for_store, true)) store_waits_.push_back(&connection);
  return true;
}

void Shard::end_store_wait(Connection& connection) {
  if (std::exchange(connection.waits_for_store, false)) std::erase(store_waits_, &connection);
}

void Shard::end_store_waits() {
  for (Connection* connection : std::exchange(store_waits_, {})) {
    connection->waits_for_store = false;
    host_.resume(*connection);
  }
}

void Shard::on_trouble_over() {
  if (trouble_) log_.warning("the store takes changes again", {{"shard", index_}});
  trouble_.reset();
  shared_.store_health.set(index_, std::nullopt);
  read_again(SIZE_MAX);
}

void Shard::release_held(std::vector<Held>& held) {
  for (Held& one : held) release_one(one);
  held.clear();
}

void Shard::release_one(Held& held) {
  Session* session = find(held.session);
  if (session == nullptr || session->connection == nullptr || session->connection_number != held.connection_number)
    return;
  Connection& connection = *session->connection;
  if (held.kind == Held::Kind::kOpen) return open(*session, held.bytes);
  if ((held.kind == Held::Kind::kAck || held.kind == Held::Kind::kBytes) &&
      --connection.held_replies == kMostHeldReplies / 2 && connection.waits_for_store) {
    end_store_wait(connection);
    host_.resume(connection);
  }
  if (connection.state != Connection::State::kOpen) return;
  switch (held.kind) {
    case Held::Kind::kAck: {
      if (held.type == PacketType::kPuback) session->incoming.acknowledged_qos1();
      wire::Ack ack;
      ack.type = held.type;
      ack.packet_id = held.packet_id;
      ack.reason = held.reason;
      write(connection, ack);
      return;
    }
    case Held::Kind::kBytes:
      write_bytes(connection, held.bytes);
      if (held.type == PacketType::kSuback && session->outbound != nullptr) pump(*session);
      return;
    case Held::Kind::kPublish:
      --session->out().held_publishes;
      if (held.packet_id != 0) return release_publish(*session, held.packet_id);
      return release_qos0(*session);
    case Held::Kind::kLive:
      --session->out().held_publishes;
      return release_qos0(*session);
    case Held::Kind::kOpen:
      return;
  }
}

void Shard::release_publish(Session& session, wire::PacketId packet_id) {
  using State = session::Outgoing::State;
  const session::Outgoing::Entry* entry = session.out().outgoing.find_sent(packet_id);
  if (entry == nullptr || (entry->state != State::kAwaitsPubrec && entry->state != State::kAwaitsPuback)) return;
  const session::Delivery delivery = entry->delivery;
  const bool expired = delivery.message->expired(now_);
  OutgoingPublish publish(delivery.message, now_, scratch_);
  const bool sent = !expired && publish.append(*session.connection, pool_,
                                               {.qos = delivery.qos,
                                                .retain = delivery.retain,
                                                .dup = delivery.dup,
                                                .packet_id = packet_id,
                                                .identifiers = delivery.identifiers.get()});
  if (sent) {
    count_sent(*session.connection, publish);
    return request_flush(*session.connection);
  }
  discard(session, packet_id, expired ? counters_.dropped_expired : counters_.dropped_too_large);
  pump(session);  // its place in the window is free
}

}  // namespace petrel::broker
