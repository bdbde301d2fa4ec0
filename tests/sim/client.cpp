#include "client.h"

#include <algorithm>

#include "topics/topic.h"
#include "wire/encode.h"

namespace petrel::sim {

using wire::PacketId;
using wire::PacketType;
using wire::ProtocolVersion;
using wire::Qos;
using wire::ReasonCode;
using Session = ClientPlan::Session;

namespace {

constexpr std::size_t kPlentyOfRoom = 1U << 20;

bool is_will(const std::string& topic) { return topic.starts_with("will/"); }
bool is_retained(const std::string& topic) { return topic.starts_with("r/"); }

}  // namespace

void Client::violation(const std::string& what) const { throw Violation(id() + ": " + what); }

template <class Packet>
void Client::write(const Packet& packet) {
  std::string bytes(wire::encoded_size(plan_.version, packet), '\0');
  wire::encode(plan_.version, packet, bytes.data());
  if (!link_->client_gone) link_->to_broker += bytes;
}

void Client::write_ack(PacketType type, PacketId id) {
  wire::Ack ack;
  ack.type = type;
  ack.packet_id = id;
  write(ack);
}

// --- of its own accord

void Client::act() {
  if (state_ == State::kClosed) {
    if (world_.dice(4) == 0) connect(plan_.session == Session::kClean);
    return;
  }
  if (state_ == State::kConnecting) {
    if (world_.dice(20) == 0) cut();
    return;
  }
  const std::uint64_t what = world_.dice(100);
  if (what < 40) {
    if (plan_.topics.empty() || pending_.size() >= 12) return;
    const std::string& topic = plan_.topics[world_.dice(plan_.topics.size())];
    const bool retain = is_retained(topic);
    // One QoS for all that a topic retains: between different ones there is no order when messages are sent again.
    const Qos qos = retain ? static_cast<Qos>(1 + plan_.number % 2) : static_cast<Qos>(world_.dice(3));
    publish(topic, qos, retain, retain && world_.dice(4) == 0);
  } else if (what < 75) {
    send_owed(1 + world_.dice(6));
  } else if (what < 85) {
    if (!plan_.filters.empty()) subscribe(plan_.filters[world_.dice(plan_.filters.size())]);
  } else if (what < 88) {
    if (!spans_.empty() && !plan_.topics.empty()) unsubscribe(world_.dice(spans_.size()));
  } else if (what < 91) {
    disconnect();
  } else if (what < 95) {
    cut();
  } else if (what == 95) {
    // Takes its own session over from the connection it has.
    lose_connection();
    connect(plan_.session == Session::kClean);
  }
}

void Client::connect(bool clean_start) {
  if (plan_.session == Session::kExpires && unanswered_) {
    // The session that is there may be another than the one that is remembered: nobody can tell.
    lose_session();
    clean_start = true;
  }
  unanswered_ = true;
  // A CONNECT that overtakes the DISCONNECT of the connection before takes the session over.
  if (farewell_.link != nullptr && !farewell_.link->to_broker.empty())
    world_.history().wills[farewell_.will].given_up_in_life = -1;
  farewell_ = {};
  link_ = world_.open_link();
  connected_in_life_ = world_.restarts();
  state_ = State::kConnecting;
  input_.clear();
  asked_clean_ = clean_start;
  wire::Connect packet;
  packet.version = plan_.version;
  packet.clean_start = clean_start;
  const std::string client_id = id();
  packet.client_id = client_id;
  if (plan_.version == ProtocolVersion::kV5) {
    packet.receive_maximum = plan_.receive_maximum;
    packet.topic_alias_maximum = plan_.topic_alias_maximum;
    if (plan_.session == Session::kExpires) packet.session_expiry_interval_s = ClientPlan::kShortExpiryS;
    if (plan_.session == Session::kForever && !clean_start) packet.session_expiry_interval_s = 0xffffffff;
  }
  std::string topic, payload;
  if (plan_.has_will && !clean_start) {
    will_ = world_.history().wills.size();
    world_.history().wills.push_back({plan_.number});
    topic = "will/" + std::to_string(plan_.number);
    payload = std::to_string(*will_);
    wire::Will will;
    will.qos = Qos::k2;
    will.topic = topic;
    will.payload = payload;
    will.delay_interval_s = plan_.will_delay_s;
    packet.will = will;
  }
  write(packet);
  world_.trace(client_id + " connects by link " + std::to_string(link_->number));
}

PacketId Client::next_packet_id() {
  for (;;) {
    last_packet_id_ = static_cast<PacketId>(last_packet_id_ % 65535 + 1);
    const bool used =
        std::any_of(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == last_packet_id_; });
    if (!used && !asked_.contains(last_packet_id_) && !removing_.contains(last_packet_id_)) return last_packet_id_;
  }
}

void Client::publish(const std::string& topic, Qos qos, bool retain, bool clears) {
  if (qos != Qos::k0 && pending_.size() >= peer_receive_maximum_) return;
  std::vector<Publication>& all = world_.history().publications;
  Publication publication;
  publication.publisher = plan_.number;
  publication.topic = topic;
  publication.qos = qos;
  publication.retain = retain;
  publication.clears = clears;
  publication.may_expire = !retain && plan_.version == ProtocolVersion::kV5 && world_.dice(8) == 0;
  publication.sent_at = world_.next_step();
  publication.sent_at_ms = world_.now();
  if (!clears && world_.has_large_messages() && world_.dice(3) == 0) publication.padding_bytes = world_.dice(4000);
  all.push_back(publication);
  const Pending pending{qos == Qos::k0 ? PacketId{0} : next_packet_id(), all.size() - 1, false};
  write_publish(pending, false);
  if (qos != Qos::k0) pending_.push_back(pending);
}

void Client::write_publish(const Pending& pending, bool dup) {
  Publication& publication = world_.history().publications[pending.publication];
  ++publication.attempts;
  const std::string payload = publication.clears ? "" : world_.history().payload_of(pending.publication);
  wire::Publish packet;
  packet.dup = dup;
  packet.qos = publication.qos;
  packet.retain = publication.retain;
  packet.topic = publication.topic;
  packet.packet_id = pending.id;
  packet.payload = payload;
  if (publication.may_expire) packet.properties.message_expiry_interval_s = kExpiryMs / 1000;
  write(packet);
  if (publication.qos == Qos::k1) puback_due_.push_back(pending.id);
  if (publication.qos == Qos::k2) pubrec_due_.push_back(pending.id);
  world_.trace(id() + " publishes " + std::to_string(pending.publication) + " to " + publication.topic + " QoS " +
               std::to_string(static_cast<int>(publication.qos)) + " id " + std::to_string(pending.id) +
               (dup ? " again" : ""));
}

void Client::subscribe(const std::string& filter) {
  for (const auto& [id, span] : asked_)
    if (spans_[span].filter == filter) return;
  wire::Subscribe packet;
  packet.packet_id = next_packet_id();
  packet.subscriptions.push_back({filter, {plan_.subscription_qos}});
  asked_[packet.packet_id] = spans_.size();
  spans_.push_back({filter});
  write(packet);
  world_.trace(id() + " subscribes to " + filter);
}

void Client::unsubscribe(std::size_t which) {
  const std::string filter = spans_[which].filter;
  for (const auto& [id, span] : asked_)
    if (spans_[span].filter == filter) return;
  if (!plan_.group.empty()) return;
  const Step now = world_.next_step();
  for (SubscriptionSpan& span : spans_)
    if (span.filter == filter) span.ended_at = std::min(span.ended_at, now);
  wire::Unsubscribe packet;
  packet.packet_id = next_packet_id();
  packet.filters.push_back(filter);
  removing_[packet.packet_id] = {filter, spans_.size()};
  write(packet);
  world_.trace(id() + " unsubscribes from " + filter);
}

void Client::disconnect() {
  world_.trace(id() + " disconnects");
  write(wire::Disconnect{});
  link_->client_gone = true;
  settle_will(true);
  lose_connection();
}

void Client::cut() {
  world_.trace(id() + " is cut off");
  // Bytes on their way are lost from some point on.
  link_->to_broker.resize(world_.dice(link_->to_broker.size() + 1));
  lose_connection();
}

void Client::send_owed(std::size_t count) {
  for (; count > 0 && !owed_.empty(); --count) {
    const Owed owed = owed_.front();
    owed_.pop_front();
    write_ack(owed.type, owed.id);
    if (owed.type == PacketType::kPuback) unacknowledged_.erase(owed.id);
    if (owed.type != PacketType::kPubrec) window_.erase(owed.id);
  }
}

// --- what ends

void Client::settle_will(bool polite) {
  if (!will_) return;
  WillRecord& will = world_.history().wills[*will_];
  if (polite) {
    // A client that does not read may have been given up by the broker already.
    if (link_->room >= kPlentyOfRoom) will.given_up_in_life = connected_in_life_;
    farewell_ = {link_, *will_};
  } else if (state_ == State::kOpen && plan_.will_delay_s == 0) {
    const bool outlives_a_kill = plan_.session != Session::kClean;
    const bool killed = world_.restarts() != connected_in_life_;
    will.due = outlives_a_kill || !killed ? WillRecord::Due::kYes : WillRecord::Due::kPerhaps;
  }
  will_.reset();
}

void Client::lose_connection() {
  settle_will(false);
  look_at_link();
  link_->client_gone = true;
  link_.reset();
  state_ = State::kClosed;
  left_at_ = world_.next_step();
  if (gone_since_ == kNever) {
    gone_since_ = world_.now();
    gone_step_ = left_at_;
  }
  owed_.clear();
  window_.clear();
  aliases_.clear();
  puback_due_.clear();
  pubrec_due_.clear();
  if (earlier_life_ != world_.restarts()) of_earlier_.clear();
  earlier_life_ = connected_in_life_;
  for (auto& [id, what] : unacknowledged_) of_earlier_[id] = what;
  unacknowledged_.clear();
  // What was asked for may or may not have been done.
  for (const auto& [id, span] : asked_) spans_[span].ended_at = std::min(spans_[span].ended_at, left_at_);
  asked_.clear();
  removing_.clear();
  if (plan_.session == Session::kClean) lose_session();
}

void Client::look_at_link() {
  if (link_ == nullptr || !link_->broker_gone || gone_since_ != kNever) return;
  gone_since_ = world_.now();
  gone_step_ = world_.next_step();
}

// The broker takes it for here again, at the latest when its CONNACK comes; unless the broker is gone by then.
void Client::come_back(bool present) {
  if (gone_since_ == kNever || link_->broker_gone) return;
  const Away away{std::exchange(gone_since_, kNever), world_.now()};
  const TimeMs absence = away.to - away.from;
  if (plan_.session == Session::kExpires && session_known_ && !asked_clean_ && !present &&
      absence < TimeMs{ClientPlan::kShortExpiryS} * 1000)
    violation("the session ended before its time [MQTT-3.1.2-23]");
  away_.push_back(away);
  const TimeMs ttl = world_.settings().subscription_ttl_ms;
  if (ttl == 0 || absence < ttl) return;
  for (SubscriptionSpan& span : spans_) span.ended_at = std::min(span.ended_at, gone_step_);
}

bool Client::may_have_outstayed(const Publication& publication) const {
  const broker::Settings& settings = world_.settings();
  const Qos qos = std::min(publication.qos, plan_.subscription_qos);
  const TimeMs ttl = qos == Qos::k0   ? settings.message_ttl_qos0_ms
                     : qos == Qos::k1 ? settings.message_ttl_qos1_ms
                                      : settings.message_ttl_qos2_ms;
  return ttl != 0 && std::any_of(away_.begin(), away_.end(), [&](const Away& away) {
           return away.to - std::max(away.from, publication.sent_at_ms) >= ttl;
         });
}

// With QoS 0 it was lost if the client was away; otherwise the queue had a limit, of time or of room.
bool Client::may_have_missed_first(const Publication& publication) const {
  if (publication.attempts == 1) return false;
  return std::min(publication.qos, plan_.subscription_qos) == Qos::k0 || may_have_outstayed(publication) ||
         world_.may_be_dropped(*this, publication);
}

void Client::lose_session() {
  // What was under way ended with the session: none of it is due any more.
  for (SubscriptionSpan& span : spans_) span.ended_at = 0;
  pending_.clear();
  held_.clear();
  of_earlier_.clear();
  received_in_session_.clear();
  newest_.clear();
  session_known_ = false;
}

// --- what comes

void Client::read(bool everything) {
  if (link_ == nullptr) return;
  std::string& waiting = link_->to_client;
  const std::size_t count = everything ? waiting.size() : world_.dice(waiting.size() + 1);
  input_ += waiting.substr(0, count);
  waiting.erase(0, count);
  while (link_ != nullptr) {
    const auto frame = wire::next_frame(plan_.version, input_, 1U << 28);
    if (!frame.has_value()) violation(std::string("malformed: ") + std::string(frame.error().what));
    if (!frame->complete) break;
    const std::string packet = input_.substr(0, frame->frame.total_bytes);
    input_.erase(0, packet.size());
    const auto whole = wire::next_frame(plan_.version, packet, 1U << 28);
    dispatch(whole->frame);
  }
  if (link_ != nullptr && link_->broker_gone && link_->to_client.empty()) {
    world_.trace(id() + " sees the end");
    lose_connection();
  }
}

void Client::dispatch(const wire::Frame& frame) {
  const auto need = [&](const auto& decoded) {
    if (!decoded.has_value()) violation(std::string(wire::name(frame.type)) + ": " + std::string(decoded.error().what));
  };
  if ((state_ == State::kConnecting) != (frame.type == PacketType::kConnack))
    violation(std::string(wire::name(frame.type)) + " out of place [MQTT-3.2.0-1]");
  switch (frame.type) {
    case PacketType::kConnack: {
      const auto packet = wire::decode_connack(plan_.version, frame.body);
      need(packet);
      return on_connack(*packet);
    }
    case PacketType::kPublish: {
      const auto packet = wire::decode_publish(plan_.version, wire::Sender::kServer, frame.flags, frame.body);
      need(packet);
      return on_publish(*packet);
    }
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: {
      const auto packet = wire::decode_ack(plan_.version, frame.type, frame.body);
      need(packet);
      return on_ack(*packet);
    }
    case PacketType::kSuback:
    case PacketType::kUnsuback: {
      wire::Suback packet;
      const auto decoded = wire::decode_suback(plan_.version, frame.type, frame.body, packet);
      need(decoded);
      return frame.type == PacketType::kSuback ? on_suback(packet) : on_unsuback(packet);
    }
    case PacketType::kDisconnect: {
      const auto packet = wire::decode_disconnect(plan_.version, wire::Sender::kServer, frame.body);
      need(packet);
      const bool in_order = packet->reason == ReasonCode::kSessionTakenOver ||
                            packet->reason == ReasonCode::kServerShuttingDown ||
                            packet->reason == ReasonCode::kKeepAliveTimeout || world_.refusals_expected();
      // A slow consumer is ended with an unspecified error.
      if (!in_order && packet->reason != ReasonCode::kUnspecifiedError)
        violation("DISCONNECT " + std::string(wire::name(packet->reason)) + ": " +
                  std::string(packet->reason_string.value_or("")));
      return lose_connection();
    }
    default:
      violation(std::string(wire::name(frame.type)) + " from a server that was not asked");
  }
}

void Client::on_connack(const wire::Connack& connack) {
  const bool accepted =
      plan_.version == ProtocolVersion::kV5 ? connack.reason == ReasonCode::kSuccess : connack.return_code == 0;
  if (!accepted) {
    if (!world_.refusals_expected()) violation("refused: " + std::string(wire::name(connack.reason)));
    return lose_connection();
  }
  // 3.1 does not say; its sessions are there unless they were asked away.
  const bool present =
      plan_.version == ProtocolVersion::kV31 ? !asked_clean_ && session_known_ : connack.session_present;
  if (asked_clean_ && connack.session_present) violation("session present after a clean start [MQTT-3.2.2-2]");
  if (plan_.session == Session::kForever && !asked_clean_ && session_known_ && !present)
    violation("the session is lost");
  come_back(present);
  if (!present) lose_session();
  if (!present) ++sessions_begun_;
  session_known_ = true;
  unanswered_ = false;
  state_ = State::kOpen;
  if (earlier_life_ != connected_in_life_) of_earlier_.clear();
  peer_receive_maximum_ = connack.receive_maximum.value_or(65535);
  world_.trace(id() + " is connected" + (present ? ", session present" : ""));
  resend();
}

void Client::resend() {
  for (const Pending& pending : pending_) {
    if (pending.released) {
      write_ack(PacketType::kPubrel, pending.id);
    } else {
      write_publish(pending, true);
    }
  }
}

void Client::on_publish(const wire::Publish& publish) {
  std::string topic(publish.topic);
  if (publish.topic_alias) {
    if (*publish.topic_alias > plan_.topic_alias_maximum) violation("topic alias above the maximum [MQTT-3.1.2-26]");
    if (!topic.empty()) {
      aliases_[*publish.topic_alias] = topic;
    } else if (topic = aliases_[*publish.topic_alias]; topic.empty()) {
      violation("unknown topic alias");
    }
  }
  const std::string what = topic + " " + std::string(publish.payload.substr(0, publish.payload.find(' ')));
  world_.trace(id() + " receives " + what + " QoS " + std::to_string(static_cast<int>(publish.qos)) + " id " +
               std::to_string(publish.packet_id) + (publish.dup ? " dup" : ""));
  if (publish.qos == Qos::k0) return on_message(publish, topic);

  if (unacknowledged_.contains(publish.packet_id) || window_.contains(publish.packet_id))
    violation("packet identifier in use is sent again [MQTT-2.2.1-4]");
  window_.insert(publish.packet_id);
  if (plan_.version == ProtocolVersion::kV5 && window_.size() > plan_.receive_maximum)
    violation("more PUBLISH packets than the Receive Maximum [MQTT-3.3.4-9]");
  if (publish.qos == Qos::k1) {
    const auto earlier = of_earlier_.find(publish.packet_id);
    if (earlier != of_earlier_.end() && earlier->second == what && !publish.dup)
      violation("sent again without DUP [MQTT-3.3.1-1]");
    of_earlier_.erase(publish.packet_id);
    unacknowledged_[publish.packet_id] = what;
    owed_.push_back({PacketType::kPuback, publish.packet_id});
    return on_message(publish, topic);
  }
  owed_.push_back({PacketType::kPubrec, publish.packet_id});
  const auto held = held_.find(publish.packet_id);
  if (held != held_.end()) {
    if (held->second != what) violation("packet identifier of an exchange under way carries another message");
    if (!publish.dup) violation("sent again without DUP [MQTT-3.3.1-1]");
    return;
  }
  held_[publish.packet_id] = what;
  on_message(publish, topic);
}

void Client::on_message(const wire::Publish& publish, const std::string& topic) {
  History& history = world_.history();
  const std::string payload(publish.payload);
  if (is_will(topic)) {
    const std::size_t index = std::stoul(payload);
    if (index >= history.wills.size() || topic != "will/" + std::to_string(history.wills[index].client))
      violation("a will that nobody has: " + payload);
    ++history.wills[index].seen;
    return;
  }
  if (is_retained(topic)) {
    retained_seen_[topic] = payload.empty() ? "" : std::to_string(history.index_of(payload));
    return;
  }
  const std::size_t index = history.index_of(payload);
  const Publication& publication = history.publications[index];
  const auto message = [&] { return "message " + std::to_string(index); };
  if (publication.topic != topic) violation(message() + " under another topic, " + topic);
  if (publish.qos > std::min(publication.qos, plan_.subscription_qos)) violation("QoS above what was granted");
  int filters = 0;
  bool subscribed_all_along = false;
  std::set<std::string> seen;
  for (const SubscriptionSpan& span : spans_) {
    if (!topics::matches(span.filter, topic) || span.gone_at < publication.sent_at) continue;
    if (seen.insert(span.filter).second) ++filters;
    subscribed_all_along =
        subscribed_all_along || (span.active_since < publication.sent_at && span.ended_at == kNotYet);
  }
  if (filters == 0 && plan_.group.empty()) violation(message() + " without a subscription");
  const int times = ++received_in_session_[index];
  // A message of QoS 1 may be published twice, and one of QoS 2 that is not yet stored may pass to QoS 0 twice.
  const bool exactly = publish.qos == publication.qos && publish.qos != Qos::k1;
  if (plan_.group.empty() && exactly && times > filters)
    violation(message() + " of QoS " + std::to_string(static_cast<int>(publish.qos)) + " came " +
              std::to_string(times) + " times [MQTT-4.3.3-10]");
  ever_received_.insert(index);
  // A message may have been sent a first time when there was no subscription, or been refused or have expired then.
  if (publication.may_expire || may_have_missed_first(publication) || times > 1 || !plan_.group.empty() ||
      !subscribed_all_along || world_.store_was_in_trouble())
    return;
  const std::string key =
      std::to_string(publication.publisher) + " " + topic + " " + std::to_string(static_cast<int>(publication.qos));
  const auto [newest, first] = newest_.try_emplace(key, index);
  if (!first && newest->second > index)
    violation(message() + " after " + std::to_string(newest->second) + " [MQTT-4.6.0-6]");
  newest->second = index;
}

void Client::on_ack(const wire::Ack& ack) {
  if (ack.type == PacketType::kPubrel) {
    held_.erase(ack.packet_id);
    owed_.push_back({PacketType::kPubcomp, ack.packet_id});
    return;
  }
  const auto it =
      std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == ack.packet_id; });
  if (it == pending_.end()) violation(std::string(wire::name(ack.type)) + " for a packet identifier not in use");
  Publication& publication = world_.history().publications[it->publication];
  const bool refused = wire::is_error(ack.reason);
  if (refused && !world_.refusals_expected() && ack.type != PacketType::kPubcomp && !world_.may_be_refused(publication))
    violation("message " + std::to_string(it->publication) + " refused: " + std::string(wire::name(ack.reason)));
  world_.trace(id() + " hears " + std::string(wire::name(ack.type)) + " for " + std::to_string(it->publication));
  if (ack.type == PacketType::kPubcomp) {
    if (!it->released) violation("PUBCOMP before PUBREC");
    pending_.erase(it);
    return;
  }
  const bool is_puback = ack.type == PacketType::kPuback;
  if (is_puback != (publication.qos == Qos::k1)) violation("acknowledgement of the wrong kind");
  std::deque<PacketId>& due = is_puback ? puback_due_ : pubrec_due_;
  if (due.empty() || due.front() != ack.packet_id)
    violation(std::string(wire::name(ack.type)) + " out of order [MQTT-4.6.0-2], [MQTT-4.6.0-3]");
  due.pop_front();
  publication.refused = refused;
  if (!refused && !publication.acknowledged()) publication.acknowledged_at = world_.next_step();
  if (is_puback || refused) {
    pending_.erase(it);
  } else {
    it->released = true;
    write_ack(PacketType::kPubrel, ack.packet_id);
  }
}

void Client::on_suback(const wire::Suback& suback) {
  const auto it = asked_.find(suback.packet_id);
  if (it == asked_.end()) violation("SUBACK for a packet identifier not in use");
  if (suback.reasons.size() != 1) violation("SUBACK with another number of reason codes [MQTT-3.8.4-6]");
  SubscriptionSpan& span = spans_[it->second];
  asked_.erase(it);
  if (wire::is_error(suback.reasons[0])) {
    if (!world_.refusals_expected()) violation("subscription refused");
    span.ended_at = 0;
    return;
  }
  span.granted = static_cast<Qos>(suback.reasons[0]);
  if (span.granted != plan_.subscription_qos) violation("granted another QoS than asked for");
  span.active_since = world_.next_step();
}

void Client::on_unsuback(const wire::Suback& unsuback) {
  const auto it = removing_.find(unsuback.packet_id);
  if (it == removing_.end()) violation("UNSUBACK for a packet identifier not in use");
  const Step now = world_.next_step();
  for (std::size_t i = 0; i < it->second.spans; ++i)
    if (spans_[i].filter == it->second.filter) spans_[i].gone_at = std::min(spans_[i].gone_at, now);
  removing_.erase(it);
}

bool Client::is_subscribed(const std::string& filter) const {
  return std::any_of(spans_.begin(), spans_.end(), [&](const SubscriptionSpan& span) {
    return span.filter == filter && span.active_since != kNotYet && span.ended_at == kNotYet;
  });
}

std::string Client::why_not_quiet() const {
  return id() + ": " + std::to_string(pending_.size()) + " publications, " + std::to_string(owed_.size()) + " owed, " +
         std::to_string(held_.size()) + " held, " + std::to_string(asked_.size() + removing_.size()) + " asked";
}

}  // namespace petrel::sim
