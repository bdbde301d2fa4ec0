// What waits for a session: in memory, and beyond that in the store, where it is read in pages when its turn comes. The
// queue's limits and what happens beyond them; messages and subscriptions that outstay the client's absence.
#include <algorithm>

#include "broker/shard.h"

namespace petrel::broker {

using wire::Qos;

namespace {

// How far beyond the shortest of the times it may be before messages go that nobody comes for.
constexpr TimeMs kLeastTrimMs = 1000;
constexpr TimeMs kTrimParts = 4;
// What could not be read is read again after this time.
constexpr TimeMs kReadAgainMs = 1000;

}  // namespace

void Shard::set_backlog(Session& session, std::uint64_t messages, std::uint64_t bytes) {
  Outbound& out = *session.outbound;
  if (messages == 0) bytes = 0;
  counters_.backlog_messages.add(messages - out.backlog_messages);
  counters_.backlog_bytes.add(bytes - out.backlog_bytes);
  out.backlog_messages = messages;
  out.backlog_bytes = bytes;
}

// One that was counted is read, or not there any more.
void Shard::take_from_backlog(Session& session, std::uint64_t bytes) {
  const Outbound& out = *session.outbound;
  set_backlog(session, out.backlog_messages - std::min<std::uint64_t>(1, out.backlog_messages),
              out.backlog_bytes - std::min(bytes, out.backlog_bytes));
}

// The sums of all sessions' stored queues, with so many messages more (0 or 1), against their limits.
std::optional<Limit> Shard::total_excess(std::uint64_t more) const {
  const std::size_t most_messages = settings_.max_backlog_messages_total,
                    most_bytes = settings_.max_backlog_bytes_total;
  if (most_messages == 0 && most_bytes == 0) return std::nullopt;
  std::uint64_t messages = 0, bytes = 0;
  for (const Counters& counters : shared_.counters) {
    messages += counters.backlog_messages.value();
    bytes += counters.backlog_bytes.value();
  }
  if (most_messages != 0 && messages + more > most_messages) return Limit::kBacklogMessagesTotal;
  if (most_bytes != 0 && bytes + more > most_bytes) return Limit::kBacklogBytesTotal;
  return std::nullopt;
}

// What keeps a message out of a session's queue.
std::optional<Limit> Shard::queue_excess(const Outbound& out, const session::Delivery& delivery) const {
  if (out.queue.size() + out.backlog_messages >= settings_.max_queued_messages) return Limit::kQueuedMessages;
  const std::size_t bytes = delivery.waiting_bytes();
  if (delivery.id == 0) {
    if (out.queue_bytes + bytes > settings_.max_queued_bytes) return Limit::kQueuedBytes;
    return memory_full_ ? std::optional(Limit::kMemoryBytes) : std::nullopt;
  }
  // What is stored has been promised to its publisher: memory does not matter.
  if (out.queue_bytes + out.backlog_bytes + bytes > settings_.max_backlog_bytes) return Limit::kBacklogBytes;
  return total_excess(1);
}

void Shard::wait_in_queue(Session& session, session::Delivery delivery) {
  Outbound& out = session.out();
  if (const auto limit = queue_excess(out, delivery)) {
    counters_.reached(*limit);
    if (!make_room(session, delivery, *limit)) {
      if (delivery.id != 0 && out.read_request != 0) out.dropped_during_read.push_back(delivery.id);
      return drop(session, delivery, counters_.dropped_queue_full);
    }
  }
  if (delivery.id == 0) return out.push(std::move(delivery));
  const std::size_t bytes = delivery.waiting_bytes();
  const bool take = online(session) && out.backlog_messages == 0 && out.queue.size() < kPrefetchMessages &&
                    out.queue_bytes + bytes <= std::max(kPrefetchBytes, bytes);
  if (take) {
    out.position.advance(delivery.id);
    out.push(std::move(delivery));
  } else {
    set_backlog(session, out.backlog_messages + 1, out.backlog_bytes + bytes);
    if (out.read_request != 0) {
      ++out.arrived_during_read;
      out.arrived_bytes_during_read += bytes;
    }
    if (is_over(out)) trim(session);
  }
  if (session.absence != nullptr) watch_for_outstayed(*session.absence, now_);
  update_marks(session);
}

// Whether the message may wait although a limit is reached.
bool Shard::make_room(Session& session, const session::Delivery& delivery, Limit limit) {
  Outbound& out = *session.outbound;
  // It was acknowledged before its publisher could know: those on the way have a place.
  if (settings_.queue_policy == QueuePolicy::kReject && delivery.id != 0) return true;
  refusals_.warning("messages dropped", {{"client", session.client_id}, {"reason", reached(limit)}});
  if (settings_.queue_policy != QueuePolicy::kDropOldest) return false;
  for (; !out.queue.empty(); drop(session, out.pop(), counters_.dropped_queue_full))
    if (!queue_excess(out, delivery)) return true;
  if (!queue_excess(out, delivery)) return true;
  // The oldest is in the store: it goes when it has been read (trim).
  return delivery.id != 0 && out.backlog_messages > 0;
}

// Whether a stored queue has more than it may, to be removed at its beginning.
bool Shard::is_over(const Outbound& out) const {
  if (settings_.queue_policy != QueuePolicy::kDropOldest) return false;
  return out.queue.size() + out.backlog_messages > settings_.max_queued_messages ||
         out.queue_bytes + out.backlog_bytes > settings_.max_backlog_bytes || total_excess(0).has_value();
}

// Tells the shards of publishers whether there is room, and where QoS 0 is to go.
void Shard::update_marks(Session& session) {
  if (session.stored == 0 || (settings_.queue_policy != QueuePolicy::kReject && !settings_.queue_qos0)) return;
  const Outbound* out = session.outbound.get();
  std::uint8_t marks = 0;
  if (out != nullptr && out->queue.size() + out->backlog_messages >= settings_.max_queued_messages)
    marks |= SessionDirectory::kManyMessages;
  if (out != nullptr && out->queue_bytes + out->backlog_bytes >= settings_.max_backlog_bytes)
    marks |= SessionDirectory::kManyBytes;
  // As long as something waits, what comes later must wait behind it.
  if (!online(session) || (out != nullptr && (out->backlog_messages > 0 || !out->queue.empty())))
    marks |= SessionDirectory::kAway;
  shared_.directory.mark(session.id, marks);
}

bool Shard::is_full(topics::SubscriberId receiver) const {
  return (shared_.directory.marks(receiver) & (SessionDirectory::kManyMessages | SessionDirectory::kManyBytes)) != 0;
}

// Why a publication is refused where limits.queue_policy says that nothing is dropped: a stored receiver has no room
// for it. Of a shared subscription one member with room is enough.
std::optional<Limit> Shard::receivers_excess(std::string_view topic, topics::SubscriberId publisher) {
  if (settings_.queue_policy != QueuePolicy::kReject) return std::nullopt;
  const topics::MatchList& matches = *cache_.match(topic);
  const auto full = [this](topics::SubscriberId receiver) {
    return (shared_.directory.marks(receiver) & SessionDirectory::kManyMessages) != 0 ? Limit::kQueuedMessages
                                                                                      : Limit::kBacklogBytes;
  };
  for (const topics::MatchEntry& entry : matches.entries) {
    if (entry.qos == 0 || !is_full(entry.subscriber)) continue;
    if (entry.audience == topics::Audience::kEveryone ||
        (entry.audience == topics::Audience::kSelfOnly) == (entry.subscriber == publisher))
      return full(entry.subscriber);
  }
  for (const topics::SharedMatch& match : matches.shared) {
    const auto is_member_full = [this](const auto& member) {
      return member->request.qos != 0 && is_full(member->subscriber);
    };
    const auto takes_nothing = [&](const auto& member) {
      return member->presence->get() == topics::Presence::kGone || is_member_full(member);
    };
    const auto first_full = std::find_if(match.members.begin(), match.members.end(), is_member_full);
    if (first_full != match.members.end() && std::all_of(match.members.begin(), match.members.end(), takes_nothing))
      return full((*first_full)->subscriber);
  }
  const auto limit = total_excess(1);
  return limit && adds_to_memory(topic) ? limit : std::nullopt;
}

bool Shard::queues_qos0(std::string_view topic) const {
  return settings_.queue_qos0 && !trouble_ && !topic.starts_with('$');
}

// --- reading

void Shard::read_backlog(Session& session) {
  Outbound& out = *session.outbound;
  out.read_request = ++last_read_request_;
  out.arrived_during_read = out.arrived_bytes_during_read = 0;
  out.dropped_during_read = {};
  // What this turn has enqueued must be visible to the read.
  submit();
  lane_.read_queue(session.stored, out.read_request, out.position, kPrefetchMessages, kPrefetchBytes);
}

void Shard::on_queue_page(storage::QueuePage page) {
  if (const auto leaving = departing_.find(page.request); leaving != departing_.end())
    return on_departing_page(std::move(page));
  const auto it = by_stored_id_.find(page.session);
  if (it == by_stored_id_.end()) return;
  Session& session = *it->second;
  if (session.outbound == nullptr || session.outbound->read_request != page.request) return;
  Outbound& out = *session.outbound;
  out.read_request = 0;
  forget_dropped(out, page);
  if (page.error) {
    refusals_.error("queue not readable", {{"client", session.client_id}, {"reason", page.error->what}});
    out.unread = true;
    unread_sessions_.push_back(session.id);
    expect_reads_again();
    if (out.trims) return;
    page.more = true;  // behind what could be read
  }
  if (std::exchange(out.trims, false)) return on_trim_page(session, std::move(page));
  for (storage::QueueEntry& entry : page.entries) {
    out.position.advance(entry.id);
    take_from_backlog(session, entry.waiting_bytes());
    if (std::erase(out.restored, entry.id) > 0) continue;
    out.push(to_delivery(std::move(entry)));
  }
  // The count is exact only between reads: what was dropped or expired in the store is not in any page, and what came
  // during the read may be in it.
  if (page.more) {
    set_backlog(session, std::max<std::uint64_t>(out.backlog_messages, 1), out.backlog_bytes);
  } else {
    set_backlog(session, out.arrived_during_read, out.arrived_bytes_during_read);
  }
  pump(session);
  update_marks(session);
}

// What was dropped when it came, after the read was asked for, was never counted and is not in the queue.
void Shard::forget_dropped(Outbound& out, storage::QueuePage& page) {
  std::vector<storage::MessageId> dropped = std::exchange(out.dropped_during_read, {});
  if (dropped.empty()) return;
  std::sort(dropped.begin(), dropped.end());
  std::erase_if(page.entries, [&](const storage::QueueEntry& entry) {
    return std::binary_search(dropped.begin(), dropped.end(), entry.id);
  });
}

void Shard::expect_reads_again() {
  if (reads_again_at_ == kNever) reads_again_at_ = now_ + kReadAgainMs;
}

// Repeats what has failed, of so many ended sessions and so many others at most.
void Shard::read_again(std::size_t most) {
  reads_again_at_ = kNever;
  for (std::size_t count = std::min(most, unread_departing_.size()); count > 0; --count) {
    Departing departing = std::move(unread_departing_.front());
    unread_departing_.pop_front();
    read_departing(std::move(departing));
  }
  for (std::size_t count = std::min(most, unread_sessions_.size()); count > 0; --count) {
    Session* session = find(unread_sessions_.front());
    unread_sessions_.pop_front();
    if (session == nullptr) continue;  // it has ended
    session->outbound->unread = false;
    if (session->outbound->trims) {
      read_backlog(*session);
    } else {
      pump(*session);  // nothing if the client has left: its queue is read when it is back
    }
  }
  if (!unread_departing_.empty() || !unread_sessions_.empty()) expect_reads_again();
}

// Reads the beginning of the stored queue to remove what is too much or too old.
void Shard::trim(Session& session) {
  Outbound& out = *session.outbound;
  if (out.read_request != 0) return;
  out.trims = true;
  if (!out.unread) read_backlog(session);
}

void Shard::on_trim_page(Session& session, storage::QueuePage page) {
  Outbound& out = *session.outbound;
  std::size_t removed = 0;
  for (storage::QueueEntry& entry : page.entries) {
    const bool under_way = std::find(out.restored.begin(), out.restored.end(), entry.id) != out.restored.end();
    const bool outstayed = has_outstayed(session, entry.id, entry.qos);
    if (!under_way && !outstayed && !entry.message->expired(now_) && !is_over(out)) break;
    ++removed;
    out.position.advance(entry.id);
    take_from_backlog(session, entry.waiting_bytes());
    if (under_way) {
      std::erase(out.restored, entry.id);
      continue;
    }
    const bool expired = entry.message->expired(now_);
    drop(session, to_delivery(std::move(entry)),
         expired     ? counters_.dropped_expired
         : outstayed ? counters_.dropped_outstayed
                     : counters_.dropped_queue_full);
  }
  const std::size_t left = page.entries.size() - removed;
  if (left == 0 && !page.more) {
    set_backlog(session, out.arrived_during_read, out.arrived_bytes_during_read);
  } else {
    set_backlog(session, std::max<std::uint64_t>(out.backlog_messages, 1), out.backlog_bytes);
    if (removed != 0 && left == 0) trim(session);
  }
  pump(session);
  update_marks(session);
}

// --- what outstays the client's absence

TimeMs Shard::message_ttl(Qos qos) const {
  if (qos == Qos::k0) return settings_.message_ttl_qos0_ms;
  return qos == Qos::k1 ? settings_.message_ttl_qos1_ms : settings_.message_ttl_qos2_ms;
}

TimeMs Shard::shortest_message_ttl() const {
  TimeMs shortest = kNever;
  for (const Qos qos : {Qos::k0, Qos::k1, Qos::k2})
    if (const TimeMs ttl = message_ttl(qos); ttl != 0) shortest = std::min(shortest, ttl);
  return shortest;
}

// Counted from when the client left, or from when the message came, if that was later; not while the client is here.
bool Shard::has_outstayed(const Session& session, storage::MessageId id, Qos qos) const {
  const TimeMs ttl = message_ttl(qos);
  if (ttl == 0) return false;
  if (session.absence == nullptr)
    return time_of(id) <= session.outbound->outstayed_until[static_cast<std::size_t>(qos)];
  return now_ - std::max(time_of(id), session.absence->left_at) >= ttl;
}

// The client is back: what had waited too long until now.
void Shard::note_outstayed(Session& session) {
  if (session.outbound == nullptr || session.absence == nullptr) return;
  for (const Qos qos : {Qos::k0, Qos::k1, Qos::k2}) {
    const TimeMs ttl = message_ttl(qos);
    if (ttl != 0 && now_ - session.absence->left_at >= ttl)
      session.outbound->outstayed_until[static_cast<std::size_t>(qos)] = now_ - ttl;
  }
}

void Shard::watch_for_outstayed(Absence& absence, TimeMs from) {
  const TimeMs ttl = shortest_message_ttl();
  if (ttl == kNever || absence.trim_at != kNever) return;
  absence.trim_at = from + ttl;
  wheel_.schedule(absence, absence.due());
}

void Shard::remove_outstayed(Absence& absence) {
  Session& session = *absence.session;
  absence.trim_at = kNever;
  if (session.outbound == nullptr) return;
  Outbound& out = *session.outbound;
  for (std::size_t left = out.queue.size(); left > 0; --left) {
    session::Delivery delivery = out.pop();
    if (delivery.id != 0 && has_outstayed(session, delivery.id, delivery.qos)) {
      drop(session, delivery, counters_.dropped_outstayed);
    } else {
      out.push(std::move(delivery));
    }
  }
  if (out.backlog_messages > 0) trim(session);
  if (out.backlog_messages > 0 || !out.queue.empty())
    absence.trim_at = now_ + std::max(kLeastTrimMs, shortest_message_ttl() / kTrimParts);
}

// The rest follows a millisecond later, or when the client comes back.
void Shard::end_outstayed_subscriptions(Absence& absence, std::size_t most) {
  Session& session = *absence.session;
  std::vector<std::string> filters;
  for (const SessionSubscription& subscription : session.subscriptions) {
    if (filters.size() == most) break;
    filters.push_back(shared_.index.filter(subscription.node));
  }
  for (const std::string& filter : filters) unsubscribe(session, filter);
  counters_.subscriptions_outstayed.add(filters.size());
  absence.subscriptions_ended += filters.size();
  absence.subscriptions_end_at = session.subscriptions.size() != 0 ? now_ + 1 : kNever;
  if (absence.subscriptions_end_at != kNever || absence.subscriptions_ended == 0) return;
  log_.info("subscriptions ended", {{"client", session.client_id},
                                    {"count", std::exchange(absence.subscriptions_ended, 0)},
                                    {"reason", "the client is away for limits.subscription_ttl_s"}});
}

}  // namespace petrel::broker
