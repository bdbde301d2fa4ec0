// CONNECT (MQTT 5.0, 3.1): whose session is it, may the client have it, what was agreed.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "broker/mount_point.h"
#include "broker/shard.h"
#include "broker/write_packet.h"
#include "topics/topic.h"
#include "wire/encode.h"
#include "wire/property.h"

namespace petrel::broker {

using wire::Connect;
using wire::ProtocolVersion;

Shard::Received Shard::receive_connect(Connection& connection, BytesView bytes) {
  Received result;
  const auto closed = [&](std::string_view why) {
    fail(connection, Reason::kMalformedPacket, why);
    result.consumed = bytes.size();
    result.then = Received::Then::kClosed;
    return result;
  };
  // Told from the first byte, so that a stranger's stream is not gathered in hope of a packet.
  if (byte_at(bytes, 0) != 0x10) return closed("first packet is not a CONNECT [MQTT-3.1.0-1]");
  const ListenerLimits& own = connection.listener_limits();
  const std::uint32_t connect_bytes = own.max_connect_bytes.value_or(settings_.max_connect_bytes);
  const std::uint32_t packet_bytes = own.max_packet_bytes.value_or(settings_.max_packet_bytes);
  const auto frame = wire::next_frame(ProtocolVersion::kV5, bytes, std::min(connect_bytes, packet_bytes));
  if (!frame.has_value()) {
    if (frame.error().reason != Reason::kPacketTooLarge) return closed(frame.error().what);
    const Limit limit = packet_bytes < connect_bytes ? Limit::kPacketBytes : Limit::kConnectBytes;
    counters_.reached(limit);
    return closed(fmt::format("CONNECT is larger than {}", key_of(limit, own)));
  }
  if (!frame->complete) {
    result.needed_bytes = frame->needed_bytes;
    return result;
  }
  const auto connect = wire::decode_connect(frame->frame.body);
  std::string mounted;
  std::string_view client_id;
  if (connect.has_value()) client_id = connect->client_id;
  if (!client_id.empty() && !connection.mount_point().empty())
    client_id = mounted = mounted_client_id(connection.mount_point(), client_id);
  if (!client_id.empty() && owner_of(client_id) != index_) {
    result.then = Received::Then::kHandOver;
    result.owner = owner_of(client_id);
    return result;
  }
  counters_.bytes_received.add(frame->frame.total_bytes);
  counters_.packets_received.add(wire::PacketType::kConnect);
  if (!connect.has_value()) {
    // Before the version is known to be 5.0, only "unacceptable protocol version" has an answer (3.1.1, 3.1.2.2).
    const wire::Error& error = connect.error();
    if (error.reason == Reason::kUnsupportedProtocolVersion) {
      refuse(connection, ProtocolVersion::kV311, error.reason, {}, error.what);
    } else {
      fail(connection, error.reason, error.what);
    }
    result.consumed = frame->frame.total_bytes;
    result.then = Received::Then::kClosed;
    return result;
  }
  if (connect->client_id.empty()) {
    const bool may_be_empty = connect->version == ProtocolVersion::kV5 ||
                              (connect->version == ProtocolVersion::kV311 && connect->clean_start);
    if (!may_be_empty) {
      refuse(connection, connect->version, Reason::kClientIdentifierNotValid, {},
             "empty client identifier [MQTT-3.1.3-8]");
      result.consumed = frame->frame.total_bytes;
      result.then = Received::Then::kClosed;
      return result;
    }
    return accept(connection, *connect, assign_client_id(connection.mount_point()), frame->frame.total_bytes);
  }
  return accept(connection, *connect, client_id, frame->frame.total_bytes);
}

// Random enough not to be guessed, and owned by this shard, so that the connection can stay.
std::string Shard::assign_client_id(std::string_view mount_point) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (;;) {
    std::string id = "petrel-";
    for (int half = 0; half < 2; ++half) {
      std::uint64_t bits = random_.next();
      for (int i = 0; i < 10; ++i, bits /= kDigits.size()) id += kDigits[bits % kDigits.size()];
    }
    if (!mount_point.empty()) id = mounted_client_id(mount_point, id);
    if (owner_of(id) == index_ && !by_client_id_.contains(id)) return id;
  }
}

void Shard::refuse(Connection& connection, ProtocolVersion version, Reason reason, std::string_view client_id,
                   std::string_view why) {
  counters_.connections_refused.add();
  refusals_.info("connection refused", {{"client", client_id},
                                        {"address", connection.peer_name()},
                                        {"listener", connection.listener_name()},
                                        {"code", wire::name(reason)},
                                        {"reason", why}});
  connection.version = version;
  wire::Connack connack;
  connack.reason = reason;
  write(connection, connack);
  close(connection);
}

// Why a client that has sent a good CONNECT must stay out.
std::optional<Shard::Refusal> Shard::refusal_of(const Connection& connection, const Connect& connect,
                                                std::string_view client_id) {
  if (shutting_down_) return Refusal{Reason::kServerUnavailable, "server is shutting down"};
  if (connect.authentication_method)
    return Refusal{Reason::kBadAuthenticationMethod, "no enhanced authentication method is configured"};
  if (trouble_ && (!connect.clean_start || connect.session_expiry_interval_s.value_or(0) != 0))
    return Refusal{Reason::kServerUnavailable, "the store takes no changes, and a session that lasts needs it"};
  if (const ListenerPolicy* policy = connection.policy; policy != nullptr) {
    if (!policy->allows(connect.version))
      return Refusal{Reason::kUnsupportedProtocolVersion, "this listener does not speak that version of MQTT"};
    if (!policy->allow_anonymous && connection.proved_name().empty())
      return Refusal{Reason::kNotAuthorized, "this listener does not admit anonymous clients"};
    if (connect.will && connect.will->qos > policy->maximum_qos)
      return Refusal{Reason::kQosNotSupported, "the will's QoS is above this listener's max_qos [MQTT-3.2.2-12]"};
  }
  const auto beyond = [this](Reason reason, Limit limit) {
    counters_.reached(limit);
    return Refusal{reason, reached(limit)};
  };
  if (connect.will) {
    const bool is_mounted = !connection.mount_point().empty();
    if (is_mounted && connect.will->topic.starts_with('$'))
      return Refusal{Reason::kNotAuthorized, "will topic that begins with $ is not for a mount point"};
    if (is_sys_filter(connect.will->topic))
      return Refusal{Reason::kNotAuthorized, "will topic is the broker's own to publish"};
    if (const auto limit =
            topic_excess(is_mounted ? below_mount(connection, connect.will->topic) : connect.will->topic))
      return beyond(Reason::kTopicNameInvalid, *limit);
    if (const auto limit = property_excess(connect.will->properties.user_properties))
      return beyond(Reason::kQuotaExceeded, *limit);
    if (!fits_full_memory(connect.will->topic.size() + connect.will->payload.size()))
      return beyond(Reason::kQuotaExceeded, Limit::kMemoryBytes);
  }
  if (const auto limit = property_excess(connect.user_properties)) return beyond(Reason::kQuotaExceeded, *limit);
  if (const auto limit = connection_excess(client_id)) return beyond(Reason::kQuotaExceeded, *limit);
  return std::nullopt;
}

void Shard::count_client() {
  counters_.connections_opened.add();
  const std::size_t clients = shared_.clients.fetch_add(1, std::memory_order_relaxed) + 1;
  std::size_t most = shared_.most_clients.load(std::memory_order_relaxed);
  while (clients > most && !shared_.most_clients.compare_exchange_weak(most, clients, std::memory_order_relaxed)) {
  }
}

Shard::Received Shard::accept(Connection& connection, const Connect& connect, std::string_view client_id,
                              std::size_t consumed) {
  Received result;
  result.consumed = consumed;
  result.then = Received::Then::kClosed;
  const auto refused = [&](Reason reason, std::string_view why) {
    refuse(connection, connect.version, reason, client_id, why);
    return result;
  };
  if (const auto refusal = refusal_of(connection, connect, client_id)) return refused(refusal->reason, refusal->why);

  Session* session = nullptr;
  bool present = false;
  if (const auto it = by_client_id_.find(client_id); it != by_client_id_.end()) {
    session = it->second;
    const topics::SubscriberId id = session->id;
    // [MQTT-3.1.4-3]: the existing connection goes.
    if (session->connection != nullptr)
      fail(*session->connection, Reason::kSessionTakenOver, "another connection took the session over");
    // A will or an end that is due comes first, though its timer has not gone off yet.
    if (session = find(id); session != nullptr && session->absence != nullptr) check_absence(*session->absence);
    session = find(id);
    if (session != nullptr && connect.clean_start) {
      end_session(*session);
      session = nullptr;
    } else if (session != nullptr && session->absence != nullptr && session->absence->subscriptions_ended != 0) {
      end_outstayed_subscriptions(*session->absence, SIZE_MAX);
    }
    present = session != nullptr;
  }
  if (session == nullptr) {
    if (by_client_id_.size() >= SessionDirectory::kMaxSlots)
      return refused(Reason::kServerBusy, "this shard holds as many sessions as it can");
    session = &create_session(client_id);
  }
  apply_connect(connection, *session, connect);
  count_client();

  std::string bytes = connack_for(connection, connect, present);
  if (log_.enabled(LogLevel::kDebug))
    log_.debug("client connected", {{"client", session->client_id},
                                    {"address", connection.peer_name()},
                                    {"listener", connection.listener_name()},
                                    {"name", connection.proved_name()},
                                    {"version", static_cast<int>(connect.version)},
                                    {"session_present", present ? "yes" : "no"},
                                    {"keep_alive_s", connection.keep_alive_s}});
  if (present) end_unreadable_subscriptions(*session);
  tell_event("new/clients", session->client_id);
  result.then = Received::Then::kContinue;
  if (session->stored == 0) {
    open(*session, bytes);
  } else {
    connection.state = Connection::State::kAwaitsCommit;
    hold(*session, Held::Kind::kOpen, 0, std::move(bytes));
    result.then = Received::Then::kPause;
  }
  return result;
}

// What was agreed, as the client is to be told.
std::string Shard::connack_for(const Connection& connection, const Connect& connect, bool session_present) const {
  const Session& session = *connection.session;
  const std::string_view client_id = visible_client_id(connection.mount_point(), session.client_id);
  wire::Connack connack;
  // 3.1 has no such flag: the byte is reserved (3.1, 3.2).
  connack.session_present = session_present && connect.version != ProtocolVersion::kV31;
  if (connect.version == ProtocolVersion::kV5) {
    if (connect.session_expiry_interval_s.value_or(0) != session.expiry_interval_s)
      connack.session_expiry_interval_s = session.expiry_interval_s;
    const ListenerLimits& own = connection.listener_limits();
    connack.receive_maximum = own.receive_maximum.value_or(settings_.receive_maximum);
    connack.maximum_packet_size_bytes = max_packet_bytes(connection);
    connack.topic_alias_maximum = own.topic_alias_maximum.value_or(settings_.topic_alias_maximum);
    if (connection.maximum_qos != wire::Qos::k2) connack.maximum_qos = connection.maximum_qos;
    if (connect.client_id.empty()) connack.assigned_client_identifier = client_id;
    if (connect.keep_alive_s != connection.keep_alive_s) connack.server_keep_alive_s = connection.keep_alive_s;
  }
  std::string response_information;
  if (connect.version == ProtocolVersion::kV5 && connect.request_response_information) {
    response_information = std::string("response/").append(client_id);
    connack.response_information = response_information;
  }
  std::string bytes(wire::encoded_size(connect.version, connack), '\0');
  wire::encode(connect.version, connack, bytes.data());
  return bytes;
}

Session& Shard::create_session(std::string_view client_id) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Slot& place = slots_[slot];
  place.generation = place.generation % 0xffffffU + 1;
  place.session = std::make_unique<Session>();
  Session& session = *place.session;
  session.id = topics::make_subscriber_id(index_, slot, place.generation);
  session.client_id = client_id;
  by_client_id_.emplace(session.client_id, &session);
  counters_.sessions_created.add();
  shared_.sessions.fetch_add(1, std::memory_order_relaxed);
  return session;
}

void Shard::apply_connect(Connection& connection, Session& session, const Connect& connect) {
  connection.session = &session;
  connection.version = connect.version;
  if (connection.policy != nullptr) connection.maximum_qos = connection.policy->maximum_qos;
  connection.is_mounted = !connection.mount_point().empty();
  connection.problem_information = connect.request_problem_information;
  std::uint32_t expiry_s = 0;
  if (connect.version == ProtocolVersion::kV5) {
    expiry_s = std::min(connect.session_expiry_interval_s.value_or(0), settings_.session_expiry_max_s);
  } else if (!connect.clean_start) {
    expiry_s = std::min(settings_.session_expiry_default_s, settings_.session_expiry_max_s);
  }
  session.connection = &connection;
  ++session.connection_number;
  session.expiry_interval_s = expiry_s;
  if (session.absence != nullptr) wheel_.cancel(*session.absence);
  note_outstayed(session);
  session.absence.reset();
  agree_on_limits(connection, session, connect);
  if (session.outbound != nullptr) session.outbound->outgoing.begin_connection(session.receive_maximum);
  if (expiry_s > 0 && session.stored == 0) {
    session.stored = shared_.last_session_id.fetch_add(1, std::memory_order_relaxed) + 1;
    by_stored_id_.emplace(session.stored, &session);
    shared_.directory.set(session.id, session.stored);
  }
  if (session.stored != 0) store_session(session, true, 0);

  // A will that waited for the client's return is not published [MQTT-3.1.3-9]; each CONNECT brings its own or none.
  const bool had_will = session.will != nullptr;
  session.will.reset();
  if (connect.will) {
    const wire::Will& will = *connect.will;
    storage::WillRecord record;
    record.topic = std::string(connection.mount_point()).append(will.topic);
    record.payload = will.payload;
    wire::append_forwarded_properties(will.properties, record.forwarded_properties);
    record.qos = will.qos;
    record.retain = will.retain;
    record.delay_interval_s = will.delay_interval_s;
    record.message_expiry_interval_s = will.properties.message_expiry_interval_s;
    if (session.stored != 0) change(storage::PutWill{session.stored, record});
    session.will = std::make_unique<PendingWill>(std::move(record));
  } else if (had_will && session.stored != 0) {
    change(storage::EraseWill{session.stored});
  }
}

// What the client wishes, and what its listener or else the settings allow.
void Shard::agree_on_limits(Connection& connection, Session& session, const Connect& connect) {
  const ListenerLimits& own = connection.listener_limits();
  connection.has_own_packet_limit = own.max_packet_bytes.has_value();
  connection.keep_alive_s = connect.keep_alive_s;
  const bool knows_limits = connect.version == ProtocolVersion::kV5;
  if (knows_limits) {
    const std::uint16_t longest_s = own.keep_alive_max_s.value_or(settings_.keep_alive_max_s);
    if (longest_s != 0 && (connect.keep_alive_s == 0 || connect.keep_alive_s > longest_s))
      connection.keep_alive_s = longest_s;
    connection.maximum_packet_bytes =
        std::min(connect.maximum_packet_size_bytes.value_or(wire::kMaxPacketBytes), wire::kMaxPacketBytes);
    if (const std::uint16_t aliases = own.topic_alias_maximum.value_or(settings_.topic_alias_maximum); aliases > 0)
      connection.incoming_aliases = std::make_unique<session::IncomingAliases>(aliases);
    if (const std::uint16_t aliases = std::min(connect.topic_alias_maximum,
                                               own.topic_alias_maximum_out.value_or(settings_.topic_alias_maximum_out));
        aliases > 0)
      connection.outgoing_aliases = std::make_unique<session::OutgoingAliases>(aliases);
  }
  // Clients of 3.x know no Receive Maximum.
  session.incoming.begin_connection(knows_limits ? own.receive_maximum.value_or(settings_.receive_maximum) : 65535);
  session.receive_maximum = std::min(connect.receive_maximum.value_or(65535),
                                     own.max_inflight_messages.value_or(settings_.max_inflight_messages));
}

void Shard::open(Session& session, const std::string& connack) {
  Connection& connection = *session.connection;
  const bool paused = connection.state == Connection::State::kAwaitsCommit;
  connection.state = Connection::State::kOpen;
  write_bytes(connection, connack);
  arm(connection);
  session.set_presence(topics::Presence::kOnline);
  if (session.outbound != nullptr) pump(session);
  update_marks(session);
  if (paused) host_.resume(connection);
}

}  // namespace petrel::broker
