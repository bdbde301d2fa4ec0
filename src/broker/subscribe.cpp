// SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0, 3.8 to 3.11), and the retained messages that follow a SUBSCRIBE (3.3.1.3).
#include <algorithm>

#include "broker/mount_point.h"
#include "broker/shard.h"
#include "topics/topic.h"
#include "wire/encode.h"
#include "wire/property.h"

namespace petrel::broker {

using wire::Qos;

namespace {

// Retained messages read at a time.
constexpr std::size_t kReplayPage = 64;
constexpr std::size_t kVisitsOfSearch = 384;

}  // namespace

wire::ReasonCode Shard::subscribe_as_asked(Session& session, wire::Subscription asked, std::uint32_t identifier) {
  const Connection& connection = *session.connection;
  asked.options.maximum_qos = std::min(asked.options.maximum_qos, connection.maximum_qos);
  const Reason reason =
      connection.is_mounted ? subscribe_below_mount(session, asked, identifier) : subscribe(session, asked, identifier);
  // 3.x knows only one refusal (3.1.1, 3.9.3); 3.1 not even that, but 0x80 is what its clients are sent.
  return wire::is_error(reason) && connection.version != wire::ProtocolVersion::kV5 ? Reason::kUnspecifiedError
                                                                                    : reason;
}

wire::ReasonCode Shard::subscribe(Session& session, const wire::Subscription& subscription, std::uint32_t identifier) {
  const std::string_view filter = subscription.filter;
  const auto refused = [&](Reason reason, std::string_view why) {
    refusals_.info("subscription refused", {{"client", session.client_id}, {"filter", filter}, {"reason", why}});
    return reason;
  };
  if (!topics::is_valid_filter(filter)) return refused(Reason::kTopicFilterInvalid, "not a valid topic filter");
  if (trouble_ && session.stored != 0) return refused(*trouble_, "the store takes no changes");
  if (is_sys_filter(filter) && !may_read_sys(*session.connection))
    return refused(Reason::kNotAuthorized, "$SYS is not for this listener (sys.access)");
  if (const auto limit = subscription_excess(session, filter)) {
    counters_.reached(*limit);
    const bool form = *limit == Limit::kFilterBytes || *limit == Limit::kFilterLevels;
    return refused(form ? Reason::kTopicFilterInvalid : Reason::kQuotaExceeded, reached(*limit));
  }
  const wire::RetainHandling handling = subscription.options.retain_handling;
  const bool may_replay = !topics::is_shared(filter) && handling != wire::RetainHandling::kDoNotSend;
  // A client that subscribes faster than it reads: what it is still to be sent has a bound, too.
  if (may_replay && session.outbound != nullptr &&
      session.outbound->replay_bytes + filter.size() > settings_.max_queued_bytes) {
    counters_.reached(Limit::kQueuedBytes);
    return refused(Reason::kQuotaExceeded, reached(Limit::kQueuedBytes));
  }

  topics::SubscriptionRequest request;
  request.qos = static_cast<std::uint8_t>(subscription.options.maximum_qos);
  request.no_local = subscription.options.no_local;
  request.retain_as_published = subscription.options.retain_as_published;
  if (identifier != 0)
    request.identifiers = make_ref<topics::EncodedIdentifiers>(wire::encode_subscription_identifier(identifier));
  if (topics::is_shared(filter)) session.make_presence(topics::Presence::kOnline);
  auto subscribed = shared_.index.subscribe(filter, session.id, request, session.presence);
  if (!subscribed.existed) {
    session.subscriptions.add({subscribed.node, std::move(subscribed.member)});
  } else if (subscribed.member) {
    if (SessionSubscription* known = session.subscriptions.find(subscribed.node)) known->member = subscribed.member;
  }
  if (session.stored != 0)
    change(storage::PutSubscription{session.stored, {std::string(filter), subscription.options, identifier}});

  // Retained messages: never for shared subscriptions (4.8.2), otherwise as Retain Handling asks [MQTT-3.3.1-9] to -11.
  bool replay = may_replay && !(handling == wire::RetainHandling::kSendIfNew && subscribed.existed);
  if (is_sys_filter(filter)) {
    // Nobody may have listened so far.
    if (settings_.sys.enabled && shared_.sys.stale()) shared_.sys.refresh(now_, sys_totals(shared_));
  } else if (shared_.retained.count() == 0) {
    replay = false;
  }
  if (replay) session.out().push({std::string(filter), request.identifiers, subscription.options.maximum_qos, {}});
  tell_subscription_event("new/subscribes", session, filter);
  return static_cast<Reason>(request.qos);
}

// Through a listener with a mount point. What is wrong with the filter itself is told of it as it was sent.
wire::ReasonCode Shard::subscribe_below_mount(Session& session, const wire::Subscription& asked,
                                              std::uint32_t identifier) {
  if (!topics::is_valid_filter(asked.filter)) return subscribe(session, asked, identifier);
  if (is_out_of_mount(asked.filter)) {
    refusals_.info("subscription refused", {{"client", session.client_id},
                                            {"filter", asked.filter},
                                            {"reason", "filters that begin with $ are not for a mount point"}});
    return Reason::kNotAuthorized;
  }
  const std::string filter = mounted_filter(session.connection->mount_point(), asked.filter);
  wire::Subscription mounted = asked;
  mounted.filter = filter;
  return subscribe(session, mounted, identifier);
}

wire::ReasonCode Shard::unsubscribe_as_asked(Session& session, std::string_view filter) {
  const Connection& connection = *session.connection;
  if (!connection.is_mounted || !topics::is_valid_filter(filter)) return unsubscribe(session, filter);
  return unsubscribe(session, mounted_filter(connection.mount_point(), filter));
}

wire::ReasonCode Shard::unsubscribe(Session& session, std::string_view filter) {
  if (!topics::is_valid_filter(filter)) return Reason::kTopicFilterInvalid;
  const topics::SubscriptionIndex::Node* node = shared_.index.find(filter);
  SessionSubscription* const known = node == nullptr ? nullptr : session.subscriptions.find(node);
  if (known == nullptr) return Reason::kNoSubscriptionExisted;
  shared_.index.unsubscribe(filter, session.id);
  session.subscriptions.remove(known);
  if (session.stored != 0) change(storage::EraseSubscription{session.stored, std::string(filter)});
  tell_subscription_event("new/unsubscribes", session, filter);
  return Reason::kSuccess;
}

// Goes on with the retained messages that the session's subscriptions asked for, as far as the client's window and
// output allow. True when all have been handed over.
bool Shard::continue_replays(Session& session) {
  Outbound& out = *session.outbound;
  while (!out.replays.empty()) {
    if (!room_for_replay(session)) return false;
    if (replay_visits_left_ == 0) {
      if (!std::exchange(out.awaits_replay_turn, true)) awaiting_replay_turn_.push_back(session.id);
      return false;
    }
    if (!still_subscribed(session, out.replays.front().filter)) {
      --replay_visits_left_;
      (void)out.pop_replay();
    } else if (continue_replay(session, out.replays.front())) {
      (void)out.pop_replay();
    }
  }
  return true;
}

// Retained messages still to come for a subscription that has ended are not wanted any more.
bool Shard::still_subscribed(Session& session, std::string_view filter) {
  const topics::SubscriptionIndex::Node* node = shared_.index.find(filter);
  return node != nullptr && session.subscriptions.contains(node);
}

// What there is no room for is read later, instead of waiting in a queue that has limits.
bool Shard::room_for_replay(Session& session) {
  const Outbound& out = *session.outbound;
  return has_room_to_pump(session) && out.queue.empty() && out.backlog_messages == 0 && out.outgoing.can_send();
}

// Reads a page and sends of it what there is room for. True when it was the last.
bool Shard::continue_replay(Session& session, RetainedReplay& replay) {
  const auto& retained = is_sys_filter(replay.filter) ? shared_.sys.values() : shared_.retained;
  const std::size_t limit = std::min(kReplayPage, session.outbound->outgoing.room());
  auto page = retained.match(replay.filter, replay.resume, limit);
  // A search that finds little has looked at much.
  const std::size_t visits = page.values.size() == limit ? limit : kVisitsOfSearch;
  replay_visits_left_ -= std::min(replay_visits_left_, visits);
  for (Ref<const wire::Message>& message : page.values) {
    if (!room_for_replay(session)) {
      // Read again when its turn comes: it may have been replaced by then, and the client have got its successor.
      replay.resume = message->topic();
      return false;
    }
    send_retained(session, replay, std::move(message));
  }
  replay.resume = std::move(page.resume);
  return !page.more;
}

void Shard::resume_replays() {
  // Who goes on waiting stands behind all others.
  for (std::size_t left = awaiting_replay_turn_.size(); left > 0 && replay_visits_left_ > 0; --left) {
    Session* session = find(awaiting_replay_turn_.front());
    awaiting_replay_turn_.pop_front();
    if (session == nullptr || session->outbound == nullptr) continue;
    session->outbound->awaits_replay_turn = false;
    pump(*session);
  }
}

void Shard::send_retained(Session& session, const RetainedReplay& replay, Ref<const wire::Message> message) {
  if (message->expired(now_)) {
    if (shared_.retained.erase_if(message.get()))
      change_retained(storage::EraseRetained{std::string(message->topic())});
    return;
  }
  session::Delivery delivery;
  delivery.qos = std::min(message->qos(), replay.maximum_qos);
  delivery.retain = true;
  delivery.identifiers = replay.identifiers;
  if (delivery.qos != Qos::k0 && session.stored != 0) {
    delivery.id = next_message_id();
    storage::QueueEntry queued;
    queued.id = delivery.id;
    queued.message = message;
    if (delivery.identifiers) queued.identifiers = delivery.identifiers->bytes();
    queued.qos = delivery.qos;
    queued.retain = true;
    change(storage::Enqueue{session.stored, std::move(queued)});
  }
  OutgoingPublish publish(std::move(message), now_, scratch_);
  deliver(session, publish, std::move(delivery));
}

}  // namespace petrel::broker
