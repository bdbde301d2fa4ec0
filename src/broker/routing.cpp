// From a message to its receivers: matching, storing, sending, waiting (MQTT 5.0, 3.3.4, 4.3 and 4.8).
#include <algorithm>

#include "broker/shard.h"

namespace petrel::broker {

using topics::Audience;
using wire::Qos;

namespace {

bool is_for(const topics::MatchEntry& entry, std::uint64_t publisher) {
  if (entry.audience == Audience::kEveryone) return true;
  return (entry.audience == Audience::kSelfOnly) == (entry.subscriber == publisher);
}

Qos lower(Qos a, std::uint8_t b) { return static_cast<std::uint8_t>(a) < b ? a : static_cast<Qos>(b); }

}  // namespace

bool Shard::route(OutgoingPublish& publish) {
  const Ref<const topics::MatchList>& found = cache_.match(publish.parts().topic);
  const topics::MatchList& matches = *found;
  if (matches.empty()) return false;
  QueuedQos0 queued_qos0;
  const bool stores = publish.parts().qos != Qos::k0 || queues_qos0(publish.parts().topic);
  const storage::MessageId id = stores ? store_for_receivers(publish, matches, queued_qos0) : 0;
  if (shared_.shard_count > 1) mail_to_others(publish, found, id, queued_qos0);
  deliver_matches(publish, matches, id, queued_qos0.get());
  for (const topics::SharedMatch& match : matches.shared) deliver_shared(publish, match);
  return true;
}

void Shard::mail_to_others(OutgoingPublish& publish, const Ref<const topics::MatchList>& found, storage::MessageId id,
                           const QueuedQos0& queued_qos0) {
  const std::vector<topics::MatchEntry>& entries = found->entries;
  // Entries are sorted by shard: one mail entry for each run of another shard's.
  for (std::size_t i = 0; i < entries.size();) {
    const std::uint32_t shard = topics::shard_of(entries[i].subscriber);
    const auto end = static_cast<std::size_t>(found->of_shard(shard).second - entries.data());
    if (shard != index_) {
      const auto receivers = static_cast<std::uint32_t>(end - i);
      outbox_[shard].push({publish.message(), found, id, nullptr, queued_qos0, receivers});
      mailed_ += receivers;
    }
    i = end;
  }
}

// The queue entries of all stored receivers, on whichever shard they live, in this shard's batch.
storage::MessageId Shard::store_for_receivers(OutgoingPublish& publish, const topics::MatchList& matches,
                                              QueuedQos0& queued_qos0) {
  storage::MessageId id = 0;
  const bool with_qos0 = queues_qos0(publish.parts().topic);
  std::shared_ptr<std::vector<topics::SubscriberId>> away;
  for (const topics::MatchEntry& entry : matches.entries) {
    const Qos qos = lower(publish.parts().qos, entry.qos);
    if ((qos == Qos::k0 && !with_qos0) || !is_for(entry, publish.parts().publisher)) continue;
    const storage::SessionId stored = shared_.directory.find(entry.subscriber);
    if (stored == 0) continue;
    if (qos == Qos::k0) {
      if ((shared_.directory.marks(entry.subscriber) & SessionDirectory::kAway) == 0) continue;
      if (away == nullptr) away = std::make_shared<std::vector<topics::SubscriberId>>();
      away->push_back(entry.subscriber);
    }
    if (id == 0) id = next_message_id();
    storage::QueueEntry queued;
    queued.id = id;
    queued.message = publish.message();
    if (entry.identifiers) queued.identifiers = entry.identifiers->bytes();
    queued.qos = qos;
    queued.retain = publish.parts().retain && entry.retain_as_published;
    change(storage::Enqueue{stored, std::move(queued)});
  }
  if (away != nullptr) {
    std::sort(away->begin(), away->end());
    queued_qos0 = std::move(away);
  }
  return id;
}

void Shard::deliver_matches(OutgoingPublish& publish, const topics::MatchList& matches, storage::MessageId id,
                            const std::vector<topics::SubscriberId>* queued_qos0) {
  const auto [begin, end] = matches.of_shard(index_);
  for (const topics::MatchEntry* entry = begin; entry != end; ++entry) {
    if (entry->audience != Audience::kEveryone && !is_for(*entry, publish.parts().publisher)) continue;
    Session* session = find(entry->subscriber);
    if (session == nullptr) continue;
    const Qos qos = lower(publish.parts().qos, entry->qos);
    const bool retain = publish.parts().retain && entry->retain_as_published;
    const bool queued = qos != Qos::k0 || (queued_qos0 != nullptr &&
                                           std::binary_search(queued_qos0->begin(), queued_qos0->end(), session->id));
    if (!queued) {
      if (online(*session)) send_qos0(*session, publish, retain, entry->identifiers);
      continue;
    }
    session::Delivery delivery;
    delivery.qos = qos;
    delivery.retain = retain;
    delivery.identifiers = entry->identifiers;
    if (session->stored != 0) delivery.id = id;
    deliver(*session, publish, std::move(delivery));
  }
}

void Shard::deliver_shared(OutgoingPublish& publish, const topics::SharedMatch& match) {
  const topics::SharedMember* member = topics::pick(match);
  if (settings_.queue_policy == QueuePolicy::kReject)
    for (std::size_t others = match.members.size(); others > 1 && member != nullptr && is_full(member->subscriber);
         --others)
      member = topics::pick(match);
  if (member == nullptr) return;
  deliver_to_member(publish, *match.group, *member);
}

// A member leaves, or has left while the message was on its way: another's turn.
void Shard::deliver_to_another(OutgoingPublish& publish, std::string_view group, topics::SubscriberId leaving) {
  topics::SharedTurn turn = shared_.index.take_turn(group, leaving);
  if (settings_.queue_policy == QueuePolicy::kReject)
    for (std::size_t others = turn.members; others > 1 && turn.member && is_full(turn.member->subscriber); --others)
      turn = shared_.index.take_turn(group, leaving);
  if (turn.member) deliver_to_member(publish, *turn.group, *turn.member);
}

void Shard::deliver_to_member(OutgoingPublish& publish, const topics::SharedGroup& group,
                              const topics::SharedMember& member) {
  session::Delivery delivery;
  delivery.qos = lower(publish.parts().qos, member.request.qos);
  delivery.retain = publish.parts().retain && member.request.retain_as_published;
  delivery.identifiers = member.request.identifiers;
  delivery.group = Ref(&group);
  if (delivery.qos != Qos::k0) {
    if (const storage::SessionId stored = shared_.directory.find(member.subscriber); stored != 0) {
      delivery.id = next_message_id();
      storage::QueueEntry queued;
      queued.id = delivery.id;
      queued.message = publish.message();
      if (delivery.identifiers) queued.identifiers = delivery.identifiers->bytes();
      queued.qos = delivery.qos;
      queued.retain = delivery.retain;
      queued.shared_group = group.name();
      change(storage::Enqueue{stored, std::move(queued)});
    }
  }
  if (topics::shard_of(member.subscriber) != index_) {
    delivery.message = publish.message();
    return mail_shared(topics::shard_of(member.subscriber),
                       {SharedDelivery::Kind::kMessage, member.subscriber, std::move(delivery)});
  }
  if (Session* session = find(member.subscriber); session != nullptr) deliver(*session, publish, std::move(delivery));
}

void Shard::on_mail(Mail mail) {
  counters_.mails_received.add();
  for (RoutedMessage& routed : mail) {
    if (routed.shared != nullptr) {
      on_shared_delivery(std::move(*routed.shared));
    } else {
      OutgoingPublish publish(std::move(routed.message), now_, scratch_);
      deliver_matches(publish, *routed.matches, routed.id, routed.queued_qos0.get());
    }
  }
}

void Shard::mail_shared(std::uint32_t shard, SharedDelivery shared) {
  outbox_[shard].push({{}, {}, 0, std::make_unique<SharedDelivery>(std::move(shared))});
  ++mailed_;
}

void Shard::on_shared_delivery(SharedDelivery shared) {
  using Kind = SharedDelivery::Kind;
  if (shared.kind == Kind::kIsThatAll)
    return mail_shared(topics::shard_of(shared.receiver), {Kind::kThatIsAll, shared.receiver, {}});
  if (shared.kind == Kind::kThatIsAll) return on_last_mail(shared.receiver);
  // It lies in the stored queue, which is read when all that was on its way has come.
  if (shared.delivery.id != 0 && leaving_.contains(shared.receiver)) return;
  OutgoingPublish publish(shared.delivery.message, now_, scratch_);
  Session* session = find(shared.receiver);
  if (session != nullptr) {
    deliver(*session, publish, std::move(shared.delivery));
  } else if (shared.delivery.group) {
    deliver_to_another(publish, shared.delivery.group->name(), shared.receiver);
  }
}

void Shard::deliver(Session& session, OutgoingPublish& publish, session::Delivery delivery) {
  if (delivery.qos == Qos::k0 && delivery.id == 0) {
    if (online(session)) send_qos0(session, publish, delivery.retain, delivery.identifiers);
    return;
  }
  Outbound& out = session.out();
  // A page of the stored queue may have been quicker than the mail.
  if (delivery.id != 0 && out.position.passed(delivery.id)) return;
  const bool may_send = online(session) && out.queue.empty() && out.backlog_messages == 0 && out.outgoing.can_send();
  if (may_send && session.connection->output.size() + out.held_qos0_bytes < max_output_bytes_) {
    if (delivery.id != 0) out.position.advance(delivery.id);
    send(session, publish, std::move(delivery));
    return;
  }
  if (may_send) session.connection->wants_drain_notice = true;
  delivery.message = publish.message();
  wait_in_queue(session, std::move(delivery));
}

void Shard::send_qos0(Session& session, OutgoingPublish& publish, bool retain,
                      const Ref<const topics::EncodedIdentifiers>& identifiers) {
  const std::size_t payload_bytes = publish.parts().payload.size();
  if (!make_room_for_qos0(session, payload_bytes)) return drop_qos0(session, payload_bytes);
  // It does not overtake what waits for a commit, unless none may come (release_live() has sent what came before it).
  if (session.outbound == nullptr || session.outbound->held_qos0.empty() || trouble_)
    return append_qos0(session, publish, retain, identifiers.get());
  session::Delivery delivery;
  delivery.retain = retain;
  delivery.identifiers = identifiers;
  hold_qos0(session, publish, std::move(delivery));
}

// Only who reads slowly loses messages, not who is sent one that is larger than what may wait: behind that there is
// room for others.
bool Shard::has_room_for_qos0(const Session& session, std::size_t payload_bytes, std::size_t max_output_bytes) {
  const OutputBuffer& output = session.connection->output;
  const Outbound* out = session.outbound.get();
  const std::size_t waiting = output.size() + (out == nullptr ? 0 : out->held_qos0_bytes);
  if (waiting < max_output_bytes) return true;
  const std::size_t largest =
      std::max(output.largest_reference_bytes(), out == nullptr ? 0 : out->largest_held_qos0_bytes);
  return waiting - largest + payload_bytes < max_output_bytes;
}

// Nor who is sent more in one turn than may wait.
bool Shard::make_room_for_qos0(Session& session, std::size_t payload_bytes) {
  if (has_room_for_qos0(session, payload_bytes, max_output_bytes_)) return true;
  Connection& connection = *session.connection;
  std::size_t held = 0;
  if (const Outbound* out = session.outbound.get(); out != nullptr) {
    held = out->held_qos0_bytes;
    if (held >= max_output_bytes_) held = held - out->largest_held_qos0_bytes + payload_bytes;
  }
  if (connection.blocked_since != 0 || held >= max_output_bytes_) return false;
  host_.send_now(connection, max_output_bytes_ - held - 1);
  return has_room_for_qos0(session, payload_bytes, max_output_bytes_);
}

void Shard::append_qos0(Session& session, OutgoingPublish& publish, bool retain,
                        const topics::EncodedIdentifiers* identifiers) {
  Connection& connection = *session.connection;
  if (!publish.append(connection, pool_, {.retain = retain, .identifiers = identifiers})) {
    counters_.dropped_too_large.add();
    return;
  }
  count_sent(connection, publish);
  request_flush(connection);
}

void Shard::hold_qos0(Session& session, OutgoingPublish& publish, session::Delivery delivery) {
  delivery.message = publish.message();
  const Held::Kind kind = delivery.id == 0 ? Held::Kind::kLive : Held::Kind::kPublish;
  session.outbound->hold_qos0(std::move(delivery));
  hold(session, kind);
}

void Shard::release_qos0(Session& session) {
  Outbound& out = *session.outbound;
  send_held_qos0(session, out.pop_held_qos0());
  if (out.held_qos0.empty()) pump(session);
}

void Shard::send_held_qos0(Session& session, const session::Delivery& delivery) {
  // Its delivery had not begun [MQTT-3.3.2-5].
  if (delivery.message->expired(now_)) return counters_.dropped_expired.add();
  OutgoingPublish publish(delivery.message, now_, scratch_);
  append_qos0(session, publish, delivery.retain, delivery.identifiers.get());
}

// The client reads too slowly.
void Shard::drop_qos0(const Session& session, std::size_t payload_bytes) {
  counters_.dropped_slow_consumer.add();
  const bool within = has_room_for_qos0(session, payload_bytes, settings_.max_output_bytes);
  const Limit limit = within ? Limit::kMemoryBytes : Limit::kOutputBytes;
  counters_.reached(limit);
  refusals_.warning("messages dropped", {{"client", session.client_id}, {"qos", 0}, {"reason", reached(limit)}});
}

void Shard::send(Session& session, OutgoingPublish& publish, session::Delivery delivery) {
  // At most once: it has left the stored queue before the client gets it.
  if (delivery.qos == Qos::k0) {
    change(storage::Acknowledge{session.stored, delivery.id});
    return hold_qos0(session, publish, std::move(delivery));
  }
  Connection& connection = *session.connection;
  session::Outgoing& outgoing = session.outbound->outgoing;
  OutgoingPublish::How how{
      .qos = delivery.qos, .retain = delivery.retain, .dup = delivery.dup, .identifiers = delivery.identifiers.get()};
  const storage::MessageId id = delivery.id;
  const Ref<const topics::EncodedIdentifiers> identifiers = delivery.identifiers;
  if (session.stored != 0 || delivery.group) {
    delivery.message = publish.message();
  } else {
    delivery.message = nullptr;  // nobody can ask for it again
  }
  const Qos qos = delivery.qos;
  how.packet_id = outgoing.send(std::move(delivery));
  // An exactly-once exchange is on record before the client learns its packet identifier: otherwise a restart would
  // give the same message another one. What comes behind it does not overtake it.
  const bool on_record = qos == Qos::k2 && session.stored != 0;
  if (on_record) change(storage::PutOutgoing{session.stored, {how.packet_id, id, false}});
  // Nor does it overtake what was dropped: if the broker were killed before that is on disk, it would be sent after
  // all.
  const bool behind_drop = session.outbound->dropped_in > last_committed_;
  if (on_record || behind_drop || session.outbound->held_publishes > 0) {
    ++session.outbound->held_publishes;
    return hold(session, Held::Kind::kPublish, how.packet_id);
  }
  if (!publish.append(connection, pool_, how)) return discard(session, how.packet_id, counters_.dropped_too_large);
  count_sent(connection, publish);
  request_flush(connection);
}

// A PUBLISH that has its packet identifier and is not to be sent, because it is larger than the client accepts or has
// expired: as if it had been sent and acknowledged [MQTT-3.1.2-25], [MQTT-3.3.2-5].
void Shard::discard(Session& session, wire::PacketId packet_id, Counter& counter) {
  session::Outgoing& outgoing = session.outbound->outgoing;
  const Qos qos = outgoing.find_sent(packet_id)->delivery.qos;
  const auto done =
      qos == Qos::k1 ? outgoing.on_puback(packet_id) : outgoing.on_pubrec(packet_id, Reason::kPacketTooLarge);
  if (qos == Qos::k2 && session.stored != 0) change(storage::EraseOutgoing{session.stored, packet_id});
  drop(session, *done->finished, counter);
}

void Shard::drop(const Session& session, const session::Delivery& delivery, Counter& counter) {
  counter.add();
  if (delivery.id == 0) return;
  change(storage::Acknowledge{session.stored, delivery.id});
  session.outbound->dropped_in = last_submitted_ + 1;
}

void Shard::resend(Session& session) {
  Connection& connection = *session.connection;
  while (has_room_to_pump(session)) {
    const auto again = session.outbound->outgoing.next_resend();
    if (!again) return;
    if (again->entry->state == session::Outgoing::State::kAwaitsPubcomp) {
      hold_ack(session, wire::PacketType::kPubrel, again->packet_id);
      continue;
    }
    const session::Delivery& delivery = again->entry->delivery;
    OutgoingPublish publish(delivery.message, now_, scratch_);
    const bool fits = publish.append(connection, pool_,
                                     {.qos = delivery.qos,
                                      .retain = delivery.retain,
                                      .dup = true,
                                      .packet_id = again->packet_id,
                                      .identifiers = delivery.identifiers.get()});
    if (!fits) {
      discard(session, again->packet_id, counters_.dropped_too_large);
      continue;
    }
    count_sent(connection, publish);
    request_flush(connection);
  }
}

// What there is no room for waits where it is. Whoever makes room calls pump().
bool Shard::has_room_to_pump(Session& session) {
  Connection& connection = *session.connection;
  if (connection.output.size() + session.outbound->held_qos0_bytes < max_output_bytes_ / 2) return true;
  connection.wants_drain_notice = true;
  return false;
}

// Sends what the client's window and output have room for, oldest first.
void Shard::pump(Session& session) {
  if (!online(session) || session.outbound == nullptr) return;
  Outbound& out = *session.outbound;
  resend(session);
  while (!out.queue.empty() && out.outgoing.can_send()) {
    if (!has_room_to_pump(session)) return update_marks(session);
    session::Delivery delivery = out.pop();
    if (delivery.message->expired(now_)) {
      drop(session, delivery, counters_.dropped_expired);
      continue;
    }
    if (delivery.id != 0 && has_outstayed(session, delivery.id, delivery.qos)) {
      drop(session, delivery, counters_.dropped_outstayed);
      continue;
    }
    OutgoingPublish publish(delivery.message, now_, scratch_);
    send(session, publish, std::move(delivery));
  }
  if (!out.replays.empty() && room_for_replay(session) && !continue_replays(session)) return update_marks(session);
  if (out.backlog_messages > 0 && out.read_request == 0 && !out.unread && out.queue.size() < kPrefetchMessages / 2)
    read_backlog(session);
  update_marks(session);
}

session::Delivery Shard::to_delivery(storage::QueueEntry entry) {
  session::Delivery delivery;
  delivery.message = std::move(entry.message);
  delivery.id = entry.id;
  delivery.qos = entry.qos;
  delivery.retain = entry.retain;
  if (!entry.identifiers.empty())
    delivery.identifiers = make_ref<topics::EncodedIdentifiers>(std::move(entry.identifiers));
  if (!entry.shared_group.empty()) delivery.group = shared_.index.shared_group(entry.shared_group);
  return delivery;
}

void Shard::hand_on(const Session& leaving, const session::Delivery& delivery) {
  if (!delivery.group || delivery.message.get() == nullptr || delivery.message->expired(now_)) return;
  // In one batch with the receiver's entry: the message is in exactly one queue.
  if (delivery.id != 0) change(storage::Acknowledge{leaving.stored, delivery.id});
  OutgoingPublish publish(delivery.message, now_, scratch_);
  deliver_to_another(publish, delivery.group->name(), leaving.id);
}

// A session has ended whose stored queue may hold messages of shared subscriptions: they are read and handed on before
// the queue is erased. Other shards may just have put more into it, so they are asked first.
void Shard::depart(const Session& session, storage::QueuePosition position) {
  // A broker that starts before all is handed on goes on with it: there the session has expired.
  change(storage::PutSession{{session.stored, session.client_id, 0, false, now_}});
  Departing departing{session.stored, session.id, std::move(position)};
  if (shared_.shard_count == 1) return read_departing(std::move(departing));
  leaving_.emplace(session.id, Leaving{std::move(departing), shared_.shard_count - 1});
  for (std::uint32_t shard = 0; shard < shared_.shard_count; ++shard)
    if (shard != index_) mail_shared(shard, {SharedDelivery::Kind::kIsThatAll, session.id, {}});
}

void Shard::on_last_mail(topics::SubscriberId receiver) {
  const auto it = leaving_.find(receiver);
  if (it == leaving_.end() || --it->second.unanswered > 0) return;
  Departing departing = std::move(it->second.departing);
  leaving_.erase(it);
  read_departing(std::move(departing));
}

void Shard::read_departing(Departing departing) {
  const std::uint64_t request = ++last_read_request_;
  submit();
  lane_.read_queue(departing.stored, request, departing.position, kPrefetchMessages, kPrefetchBytes);
  departing_.emplace(request, std::move(departing));
}

void Shard::on_departing_page(storage::QueuePage page) {
  Departing leaving = std::move(departing_.at(page.request));
  departing_.erase(page.request);
  for (storage::QueueEntry& entry : page.entries) {
    leaving.position.advance(entry.id);
    if (entry.shared_group.empty() || entry.message->expired(now_)) continue;
    OutgoingPublish publish(std::move(entry.message), now_, scratch_);
    // In one batch with the receiver's entry: the message is in exactly one queue. The delivery may submit the batch.
    change(storage::Acknowledge{leaving.stored, entry.id});
    deliver_to_another(publish, entry.shared_group, leaving.id);
  }
  if (page.error) {
    refusals_.error("queue not readable", {{"session", leaving.stored}, {"reason", page.error->what}});
    unread_departing_.push_back(std::move(leaving));
    expect_reads_again();
  } else if (page.more) {
    read_departing(std::move(leaving));
  } else {
    change(storage::EraseSession{leaving.stored});
  }
}

}  // namespace petrel::broker
