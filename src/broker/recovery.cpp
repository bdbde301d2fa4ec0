// What a shard takes back from the store when the broker starts: its own sessions, and (shard 0) the retained messages.
#include "broker/shard.h"
#include "wire/property.h"

namespace petrel::broker {

Result<void, storage::StoreError> Shard::recover(storage::Store& store, TimeMs now) {
  now_ = now;
  wheel_.advance(now, [](TimerNode&) {});
  if (const auto done = store.recover(*this); !done.has_value()) return done.error();
  std::vector<Session*> sessions;
  for (const auto& [stored, session] : by_stored_id_) sessions.push_back(session);
  for (Session* session : sessions) finish_session(*session);
  return {};
}

void Shard::on_session(const storage::SessionRecord& record) {
  if (owner_of(record.client_id) != index_) return;
  Session& session = create_session(record.client_id);
  session.stored = record.id;
  session.expiry_interval_s = record.session_expiry_interval_s;
  by_stored_id_.emplace(record.id, &session);
  shared_.directory.set(session.id, record.id);
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
  auto subscribed = shared_.index.subscribe(record.filter, session.id, request);
  if (subscribed.existed) return;
  if (subscribed.member) subscribed.member->online.store(false, std::memory_order_relaxed);
  session.subscriptions.push_back({subscribed.node, std::move(subscribed.member)});
}

void Shard::on_queue(storage::SessionId stored, std::uint64_t messages) {
  if (const auto it = by_stored_id_.find(stored); it != by_stored_id_.end())
    it->second->out().backlog_messages = messages;
}

void Shard::on_outgoing(storage::SessionId stored, const storage::OutgoingRecord& record) {
  const auto it = by_stored_id_.find(stored);
  if (it == by_stored_id_.end() || !record.released) return;
  it->second->out().outgoing.restore(record.packet_id, session::Outgoing::State::kAwaitsPubcomp, {});
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
  it->second->will = std::make_unique<PendingWill>(PendingWill{will});
}

}  // namespace petrel::broker
