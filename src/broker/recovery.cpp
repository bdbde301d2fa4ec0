// What a shard takes back from the store when the broker starts: its own sessions, and (shard 0) the retained messages.
#include <algorithm>

#include "base/release_memory.h"
#include "broker/shard.h"
#include "topics/topic.h"
#include "wire/property.h"

namespace petrel::broker {

namespace {

// Packet identifiers are given out in sequence and go round: the oldest is the one after the widest gap.
void sort_from_oldest(std::vector<Shard::RecoveredExchange>& exchanges) {
  const auto by_id = [](const auto& a, const auto& b) { return a.packet_id < b.packet_id; };
  std::sort(exchanges.begin(), exchanges.end(), by_id);
  std::size_t oldest = 0;
  int widest = exchanges.front().packet_id + 65535 - exchanges.back().packet_id;
  for (std::size_t i = 1; i < exchanges.size(); ++i) {
    const int gap = exchanges[i].packet_id - exchanges[i - 1].packet_id;
    if (gap > widest) widest = gap, oldest = i;
  }
  std::rotate(exchanges.begin(), exchanges.begin() + static_cast<std::ptrdiff_t>(oldest), exchanges.end());
}

}  // namespace

Result<void, storage::StoreError> Shard::recover(storage::Store& store, TimeMs now) {
  now_ = now;
  if (index_ == 0) shared_.sys.start(now);
  wheel_.advance(now, [](TimerNode&) {});
  if (const auto done = store.recover(*this); !done.has_value()) return done.error();
  for (auto& [stored, recovered] : recovered_) {
    Session* session = by_stored_id_.at(stored);
    if (!recovered.exchanges.empty()) {
      sort_from_oldest(recovered.exchanges);
      for (RecoveredExchange& exchange : recovered.exchanges)
        session->out().outgoing.restore(exchange.packet_id, exchange.state, std::move(exchange.delivery));
    }
    become_absent(*session, recovered.left_at);
    update_marks(*session);
    // What is overdue happens in the first turn, when all shards know their sessions.
    if (const TimeMs due = session->absence->due(); due != kNever) wheel_.schedule(*session->absence, due);
  }
  release_memory(recovered_);
  return {};
}

void Shard::on_session(const storage::SessionRecord& record) {
  if (owner_of(record.client_id) != index_) return;
  // An earlier session of the same client is one that had ended, and whose queue was still to be handed on.
  by_client_id_.erase(record.client_id);
  Session& session = create_session(record.client_id);
  session.stored = record.id;
  session.expiry_interval_s = record.session_expiry_interval_s;
  by_stored_id_.emplace(record.id, &session);
  shared_.directory.set(session.id, record.id);
  // Who was connected when the broker ended is absent from now on.
  recovered_[record.id].left_at = record.connected ? now_ : record.disconnected_at;
}

void Shard::on_subscription(storage::SessionId stored, const storage::SubscriptionRecord& record) {
  const auto it = by_stored_id_.find(stored);
  if (it == by_stored_id_.end()) return;
  Session& session = *it->second;
  topics::SubscriptionRequest request;
  request.qos = static_cast<std::uint8_t>(record.options.maximum_qos);
  request.no_local = record.options.no_local;
  request.retain_as_published = record.options.retain_as_published;
  if (record.identifier != 0)
    request.identifiers = make_ref<topics::EncodedIdentifiers>(wire::encode_subscription_identifier(record.identifier));
  if (topics::is_shared(record.filter)) session.make_presence(topics::Presence::kOffline);
  auto subscribed = shared_.index.subscribe(record.filter, session.id, request, session.presence);
  if (subscribed.existed) return;
  session.subscriptions.add({subscribed.node, std::move(subscribed.member)});
}

void Shard::on_queue(storage::SessionId stored, std::uint64_t messages, std::uint64_t bytes) {
  const auto it = by_stored_id_.find(stored);
  if (it == by_stored_id_.end() || messages == 0) return;
  it->second->out();
  set_backlog(*it->second, messages, bytes);
}

void Shard::on_outgoing(storage::SessionId stored, const storage::OutgoingRecord& record,
                        const storage::QueueEntry* entry) {
  const auto it = by_stored_id_.find(stored);
  if (it == by_stored_id_.end()) return;
  std::vector<RecoveredExchange>& exchanges = recovered_[stored].exchanges;
  if (record.released) {
    session::Delivery released;
    released.qos = wire::Qos::k2;
    exchanges.push_back({record.packet_id, session::Outgoing::State::kAwaitsPubcomp, std::move(released)});
  } else if (entry != nullptr) {
    // Sent with this packet identifier, perhaps: it must never be sent with another one. The queue still has it, and
    // will be read past it.
    session::Delivery sent = to_delivery(*entry);
    sent.dup = true;
    it->second->out().restored.push_back(sent.id);
    exchanges.push_back({record.packet_id, session::Outgoing::State::kAwaitsPubrec, std::move(sent)});
  }
}

void Shard::on_incoming(storage::SessionId stored, wire::PacketId packet_id) {
  if (const auto it = by_stored_id_.find(stored); it != by_stored_id_.end()) it->second->incoming.restore(packet_id);
}

void Shard::on_retained(Ref<const wire::Message> message) {
  if (index_ == 0 && !message->expired(now_)) shared_.retained.set(std::move(message));
}

void Shard::on_will(storage::SessionId stored, const storage::WillRecord& will) {
  const auto it = by_stored_id_.find(stored);
  if (it == by_stored_id_.end()) return;
  it->second->will = std::make_unique<PendingWill>(will);
}

}  // namespace petrel::broker
