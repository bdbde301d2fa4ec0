// PUBLISH from a client (MQTT 5.0, 3.3).
#include <fmt/format.h>

#include <algorithm>

#include "broker/mount_point.h"
#include "broker/shard.h"
#include "broker/sys_topics.h"
#include "broker/write_packet.h"
#include "topics/topic.h"
#include "wire/property.h"

namespace petrel::broker {

using wire::PacketType;
using wire::Qos;

void Shard::handle_publish(Connection& connection, const wire::Frame& frame) {
  const auto decoded = wire::decode_publish(connection.version, wire::Sender::kClient, frame.flags, frame.body);
  if (!decoded.has_value()) return fail(connection, decoded.error().reason, decoded.error().what);
  const wire::Publish& publish = *decoded;
  counters_.payload_bytes_received.add(publish.payload.size());
  if (publish.qos > connection.maximum_qos)
    return fail(connection, Reason::kQosNotSupported, "QoS above the listener's max_qos [MQTT-3.2.2-11]");
  if (publish.qos != Qos::k0) turn_published_bytes_ += frame.total_bytes;

  std::string_view topic = publish.topic;
  if (connection.is_mounted && !topic.empty()) topic = below_mount(connection, topic);
  if (publish.topic_alias) {
    const std::uint16_t alias = *publish.topic_alias;
    if (connection.incoming_aliases == nullptr || alias > connection.incoming_aliases->maximum()) {
      counters_.reached(Limit::kTopicAliasMaximum);
      return fail(connection, Reason::kTopicAliasInvalid,
                  fmt::format("topic alias above {} [MQTT-3.3.2-9]",
                              key_of(Limit::kTopicAliasMaximum, connection.listener_limits())));
    }
    if (topic.empty()) {
      topic = connection.incoming_aliases->find(alias);
      if (topic.empty())
        return fail(connection, Reason::kProtocolError, "topic alias that was not defined [MQTT-3.3.2-7]");
    } else {
      if (!fits_full_memory(topic.size()) && connection.incoming_aliases->find(alias) != topic)
        return fail(connection, Reason::kQuotaExceeded, Limit::kMemoryBytes);
      connection.incoming_aliases->define(alias, topic);
    }
  }
  if (const auto limit = topic_excess(topic)) return fail(connection, Reason::kTopicNameInvalid, *limit);
  TimeMs expires_at = kNever;
  if (publish.properties.message_expiry_interval_s)
    expires_at = now_ + TimeMs{*publish.properties.message_expiry_interval_s} * 1000;
  take_publish(connection, publish, topic, expires_at);
}

// Valid until the next call.
std::string_view Shard::below_mount(const Connection& connection, std::string_view topic) {
  mounted_topic_.assign(connection.mount_point());
  return mounted_topic_ += topic;
}

bool Shard::take_publish(Connection& connection, const wire::Publish& publish, std::string_view topic,
                         TimeMs expires_at) {
  using Refused = Connection::Refused;
  if (connection.refused != Refused::kNothing && publish.qos != Qos::k0) return true;
  Session& session = *connection.session;
  using Taken = session::Incoming::Taken;
  Taken taken = Taken::kNew;
  if (publish.qos == Qos::k1) taken = session.incoming.take_qos1();
  if (publish.qos == Qos::k2) taken = session.incoming.take_qos2(publish.packet_id);
  if (taken == Taken::kTooMany) {
    counters_.reached(Limit::kReceiveMaximum);
    fail(connection, Reason::kReceiveMaximumExceeded,
         fmt::format("more unacknowledged PUBLISH packets than {}",
                     key_of(Limit::kReceiveMaximum, connection.listener_limits())));
    return false;
  }
  if (taken == Taken::kDuplicate) {
    hold_ack(session, PacketType::kPubrec, publish.packet_id);
    return true;
  }
  const std::optional<Reason> refused = refusal_of(connection, publish, topic);
  if (refused) counters_.publish_refused.add();
  const bool old = connection.version != wire::ProtocolVersion::kV5;
  if (refused && *refused != Reason::kNotAuthorized && publish.qos != Qos::k0 && old) {
    // Not taken: it is to be new when it comes again.
    if (publish.qos == Qos::k2) session.incoming.release(publish.packet_id);
    // Nor is anything behind it, which would overtake it. But what the client acknowledges is: the full queue may be
    // its own, and would be full for ever if each connection ended with the message that comes again first.
    connection.refused = refused == trouble_ ? Refused::kByStore : Refused::kByQueue;
    connection.limited_since = now_;
    arm(connection);
    return true;
  }
  bool matched = true;
  if (!refused) {
    std::string collected;
    BytesView properties = publish.forwarded_properties;
    if (publish.forwarded_properties_scattered) {
      wire::collect_forwarded_properties(publish, collected);
      properties = collected;
    }
    OutgoingPublish outgoing({.topic = topic,
                              .payload = publish.payload,
                              .forwarded_properties = properties,
                              .qos = publish.qos,
                              .retain = publish.retain,
                              .expires_at = expires_at,
                              .publisher = session.id},
                             now_, scratch_);
    if (publish.retain) keep_retained(outgoing);
    matched = route(outgoing);
  }
  if (publish.qos == Qos::k0) return true;
  acknowledge_publish(session, publish, refused.value_or(matched ? Reason::kSuccess : Reason::kNoMatchingSubscribers));
  return true;
}

// Why a publication is not taken at all, if it is not. A 5.0 client with QoS 1 or 2 is told; others cannot be.
std::optional<wire::ReasonCode> Shard::refusal_of(const Connection& connection, const wire::Publish& publish,
                                                  std::string_view topic) {
  // Names that begin with `$` are not below a mount point.
  if (connection.is_mounted && !visible_topic(connection.mount_point(), topic)) return Reason::kNotAuthorized;
  // Names under $SYS are the broker's own to publish (4.7.2).
  if (topic.starts_with('$') && (is_sys_filter(topic) || topic.starts_with("$share/"))) return Reason::kNotAuthorized;
  const auto beyond = [&](Limit limit) {
    refusals_.info("publication refused", {{"client", connection.session->client_id},
                                           {"topic", topic},
                                           {"qos", static_cast<int>(publish.qos)},
                                           {"reason", reached(limit)}});
    return over(limit);
  };
  if (const auto limit = property_excess(publish.properties.user_properties)) return beyond(*limit);
  if (trouble_ && needs_store(*connection.session, publish, topic)) return *trouble_;
  if (publish.qos == Qos::k0) return std::nullopt;
  if (const auto limit = receivers_excess(topic, connection.session->id)) return beyond(*limit);
  if (connection.version != wire::ProtocolVersion::kV5) return std::nullopt;
  const bool keeps = publish.retain && !publish.payload.empty();
  if (memory_full_ && (keeps || adds_to_memory(topic))) return beyond(Limit::kMemoryBytes);
  if (!keeps) return std::nullopt;
  const auto limit = retained_excess(
      {.topic = topic, .payload = publish.payload, .forwarded_properties = publish.forwarded_properties});
  return limit ? std::optional(beyond(*limit)) : std::nullopt;
}

void Shard::acknowledge_publish(Session& session, const wire::Publish& publish, Reason reason) {
  if (publish.qos == Qos::k1) return hold_ack(session, PacketType::kPuback, publish.packet_id, reason);
  if (wire::is_error(reason)) {
    session.incoming.release(publish.packet_id);
  } else if (session.stored != 0) {
    change(storage::PutIncoming{session.stored, publish.packet_id});
  }
  hold_ack(session, PacketType::kPubrec, publish.packet_id, reason);
}

// Whether taking the message changes anything in the store.
bool Shard::needs_store(const Session& session, const wire::Publish& publish, std::string_view topic) {
  if (publish.retain || (publish.qos == Qos::k2 && session.stored != 0)) return true;
  if (publish.qos == Qos::k0) return false;
  const topics::MatchList& matches = *cache_.match(topic);
  // A shared subscription's turn is only known when it comes: those are refused all.
  return !matches.shared.empty() ||
         std::any_of(matches.entries.begin(), matches.entries.end(), [&](const topics::MatchEntry& entry) {
           return entry.qos != 0 && shared_.directory.find(entry.subscriber) != 0;
         });
}

void Shard::keep_retained(OutgoingPublish& publish) {
  if (publish.parts().payload.empty()) {
    // An empty payload clears the topic and is itself not kept [MQTT-3.3.1-6], [MQTT-3.3.1-7].
    // What another shard has just cleared may still be in the store: the acknowledgement waits until it is not.
    const bool cleared = shared_.retained.erase(publish.parts().topic);
    if (cleared || shared_.shard_count > 1) change_retained(storage::EraseRetained{std::string(publish.parts().topic)});
    return;
  }
  // While memory is used up, what replaces a message of its size is still kept.
  auto limit = retained_excess(publish.parts());
  if (!limit && memory_full_ && !shared_.retained.get(publish.parts().topic)) limit = Limit::kMemoryBytes;
  if (limit) {
    counters_.reached(*limit);
    refusals_.warning("retained message not kept", {{"topic", publish.parts().topic}, {"reason", reached(*limit)}});
    return;
  }
  shared_.retained.set(publish.message());
  change_retained(storage::PutRetained{publish.message()});
}

}  // namespace petrel::broker
