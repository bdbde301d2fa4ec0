// How connections and sessions end, and wills (MQTT 5.0, 3.1.2.5, 3.14, 4.1 and 4.13).
#include <fmt/format.h>

#include <algorithm>

#include "broker/shard.h"
#include "broker/write_packet.h"

namespace petrel::broker {

using wire::ProtocolVersion;

void Shard::handle_disconnect(Connection& connection, const wire::Frame& frame) {
  const auto decoded = wire::decode_disconnect(connection.version, wire::Sender::kClient, frame.body);
  if (!decoded.has_value()) return fail(connection, decoded.error().reason, decoded.error().what);
  Session& session = *connection.session;
  if (decoded->session_expiry_interval_s) {
    if (session.expiry_interval_s == 0 && *decoded->session_expiry_interval_s != 0)
      return fail(connection, Reason::kProtocolError,
                  "DISCONNECT sets a session expiry interval where CONNECT had none [MQTT-3.14.2-2]");
    session.expiry_interval_s = std::min(*decoded->session_expiry_interval_s, settings_.session_expiry_max_s);
  }
  log_.debug("client disconnected", {{"client", session.client_id}, {"code", wire::name(decoded->reason)}});
  // Only a normal disconnection discards the will [MQTT-3.14.4-3].
  leave(connection, decoded->reason != Reason::kSuccess);
  close(connection);
}

void Shard::fail(Connection& connection, Reason reason, Limit limit) {
  counters_.reached(limit);
  fail(connection, reason, reached(limit));
}

// What comes is no packet, or too large a one.
void Shard::fail(Connection& connection, const wire::Error& of_frame) {
  if (of_frame.reason != Reason::kPacketTooLarge) return fail(connection, of_frame.reason, of_frame.what);
  counters_.reached(Limit::kPacketBytes);
  fail(connection, of_frame.reason,
       fmt::format("packet is larger than {}", key_of(Limit::kPacketBytes, connection.listener_limits())));
}

void Shard::fail(Connection& connection, Reason reason, std::string_view why) {
  if (connection.state == Connection::State::kClosing) return;
  const bool known = connection.session != nullptr;
  refusals_.info(known ? "client disconnected by server" : "connection refused",
                 {{"client", known ? std::string_view(connection.session->client_id) : std::string_view{}},
                  {"address", connection.peer_name()},
                  {"listener", connection.listener_name()},
                  {"code", wire::name(reason)},
                  {"reason", why}});
  if (!known) counters_.connections_refused.add();
  if (connection.state == Connection::State::kOpen && connection.version == ProtocolVersion::kV5) {
    wire::Disconnect disconnect;
    disconnect.reason = reason;
    if (connection.problem_information) disconnect.reason_string = why;
    if (wire::encoded_size(connection.version, disconnect) > connection.maximum_packet_bytes)
      disconnect.reason_string.reset();
    write(connection, disconnect);
  }
  leave(connection, true);
  close(connection);
}

void Shard::disconnected(Connection& connection, std::string_view why) {
  if (connection.state == Connection::State::kClosing) return;
  forget(connection);
  if (connection.session == nullptr) {
    refusals_.info("connection refused", {{"address", connection.peer_name()},
                                          {"listener", connection.listener_name()},
                                          {"reason", fmt::format("{}, before a complete CONNECT", why)}});
    counters_.connections_refused.add();
  } else {
    log_.debug("client gone", {{"client", connection.session->client_id}, {"reason", why}});
  }
  leave(connection, true);
  connection.state = Connection::State::kClosing;
}

// The session loses its connection; what becomes of it depends on its expiry interval.
void Shard::leave(Connection& connection, bool publish_will) {
  if (connection.session == nullptr) return;
  counters_.connections_closed.add();
  shared_.clients.fetch_sub(1, std::memory_order_relaxed);
  Session& session = *std::exchange(connection.session, nullptr);
  session.connection = nullptr;
  session.set_presence(topics::Presence::kOffline);
  if (!publish_will && session.will != nullptr) {
    session.will.reset();
    if (session.stored != 0) change(storage::EraseWill{session.stored});
  }
  if (session.outbound != nullptr) {
    session.outbound->read_request = 0;
    session.outbound->forget_held();
  }
  tell_event("disconnect/clients", session.client_id);
  finish_session(session);
}

void Shard::finish_session(Session& session) {
  if (session.expiry_interval_s == 0) return end_session(session);
  store_session(session, false, now_);
  become_absent(session, now_);
  update_marks(session);
  check_absence(*session.absence);
}

// What is due after the client has left: its will, and the end of the session.
void Shard::become_absent(Session& session, TimeMs left_at) {
  session.absence = std::make_unique<Absence>(session);
  session.absence->left_at = left_at;
  if (session.expiry_interval_s != kSessionNeverExpires)
    session.absence->expires_at = left_at + TimeMs{session.expiry_interval_s} * 1000;
  if (session.will != nullptr)
    session.absence->will_at = left_at + TimeMs{session.will->record.delay_interval_s} * 1000;
  if (settings_.subscription_ttl_ms != 0 && session.subscriptions.size() != 0)
    session.absence->subscriptions_end_at = left_at + settings_.subscription_ttl_ms;
  if (session.outbound != nullptr && (session.outbound->backlog_messages > 0 || !session.outbound->queue.empty()))
    watch_for_outstayed(*session.absence, left_at);
}

void Shard::publish_will(Session& session) {
  const std::unique_ptr<PendingWill> will = std::move(session.will);
  if (session.stored != 0) change(storage::EraseWill{session.stored});
  const storage::WillRecord& record = will->record;
  TimeMs expires_at = kNever;
  if (record.message_expiry_interval_s) expires_at = now_ + TimeMs{*record.message_expiry_interval_s} * 1000;
  publish({.topic = record.topic,
           .payload = record.payload,
           .forwarded_properties = record.forwarded_properties,
           .qos = record.qos,
           .retain = record.retain,
           .expires_at = expires_at,
           .publisher = session.id});
}

// The session and all that belongs to it ends [MQTT-3.1.2-23]; its will is due at the latest now [MQTT-3.1.2-8].
void Shard::end_session(Session& session) {
  if (session.will != nullptr) publish_will(session);
  if (session.absence != nullptr) wheel_.cancel(*session.absence);
  const bool shared_member =
      std::any_of(session.subscriptions.begin(), session.subscriptions.end(),
                  [](const SessionSubscription& subscription) { return bool{subscription.member}; });
  end_subscriptions(session);
  bool backlog = false;
  storage::QueuePosition position;
  if (session.outbound != nullptr) {
    Outbound& out = *session.outbound;
    backlog = out.backlog_messages > 0;
    position = std::move(out.position);
    // What was sent with QoS 2 stays with the client it was sent to [MQTT-4.8.2-5]; the rest goes to another member.
    out.outgoing.abandon([&](const session::Delivery& delivery) {
      if (delivery.qos == wire::Qos::k1) return hand_on(session, delivery);
      if (delivery.id != 0) change(storage::Acknowledge{session.stored, delivery.id});
    });
    // Of a long queue only what came through a shared subscription is looked at now.
    for (std::size_t i = 0; i < out.queue.size(); ++i)
      if (out.queue[i].group) hand_on(session, out.queue[i]);
    set_backlog(session, 0, 0);
    discard(std::move(session.outbound));
  }
  if (session.stored != 0) {
    by_stored_id_.erase(session.stored);
    shared_.directory.set(session.id, 0);
    if (shared_member && (backlog || shared_.shard_count > 1)) {
      depart(session, std::move(position));
    } else {
      change(storage::EraseSession{session.stored});
    }
  }
  counters_.sessions_ended.add();
  shared_.sessions.fetch_sub(1, std::memory_order_relaxed);
  if (const auto known = by_client_id_.find(session.client_id); known != by_client_id_.end())
    if (known->second == &session) by_client_id_.erase(known);
  const std::uint32_t slot = topics::slot_of(session.id);
  slots_[slot].session.reset();
  free_slots_.push_back(slot);
}

void Shard::store_session(const Session& session, bool connected, TimeMs disconnected_at) {
  if (session.stored == 0) return;
  change(
      storage::PutSession{{session.stored, session.client_id, session.expiry_interval_s, connected, disconnected_at}});
}

}  // namespace petrel::broker
