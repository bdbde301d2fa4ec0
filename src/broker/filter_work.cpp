// Filters of SUBSCRIBE, UNSUBSCRIBE and what belongs to sessions that end are worked off in shares: a turn does so many
// for all clients together, those that wait since earlier turns first, one share each. A client whose packet is under
// way is not read.
#include <algorithm>
#include <array>
#include <mutex>
#include <span>

#include "broker/mount_point.h"
#include "broker/shard.h"
#include "topics/topic.h"
#include "wire/encode.h"

namespace petrel::broker {

using wire::PacketType;

namespace {

// Of a turn's work, who waits since earlier turns has so much at a time, and sessions that have ended have.
constexpr std::size_t kSharesPerTurn = 4, kEndingSharesPerTurn = 2;
// Subscriptions that end at a time: others wait for the index as long.
constexpr std::size_t kEndedAtOnce = 8;
// A message is worth one, and one for each so many bytes.
constexpr std::size_t kDiscardedPerTurn = 500, kBytesOfDiscarding = 1024;
// A filter is worth one for itself and one for each so many bytes.
constexpr std::size_t kBytesOfWork = 64;

std::size_t work_of(std::string_view filter) { return 1 + filter.size() / kBytesOfWork; }

}  // namespace

// More than is worked off at once: of such a packet nothing is, for another shard may be at one.
bool Shard::is_long(std::size_t filters) const { return filters > filter_work_per_turn_ / kSharesPerTurn; }

bool Shard::filter_work_left(std::size_t keep) const { return filter_work_left_ > keep; }

void Shard::filter_done(std::string_view filter) { filter_work_left_ -= std::min(filter_work_left_, work_of(filter)); }

// True when all are done.
bool Shard::subscribe_some(Session& session, const wire::Subscribe& packet, wire::Suback& answer, std::size_t keep) {
  while (answer.reasons.size() < packet.subscriptions.size()) {
    if (!filter_work_left(keep)) return false;
    wire::Subscription subscription = packet.subscriptions[answer.reasons.size()];
    subscription.options.maximum_qos = std::min(subscription.options.maximum_qos, session.connection->maximum_qos);
    Reason reason = session.connection->is_mounted
                        ? subscribe_below_mount(session, subscription, packet.subscription_identifier)
                        : subscribe(session, subscription, packet.subscription_identifier);
    // 3.x knows only one refusal (3.1.1, 3.9.3); 3.1 not even that, but 0x80 is what its clients are sent.
    if (wire::is_error(reason) && session.connection->version != wire::ProtocolVersion::kV5)
      reason = Reason::kUnspecifiedError;
    answer.reasons.push_back(reason);
    filter_done(subscription.filter);
  }
  return true;
}

bool Shard::unsubscribe_some(Session& session, const wire::Unsubscribe& packet, wire::Suback& answer,
                             std::size_t keep) {
  while (answer.reasons.size() < packet.filters.size()) {
    if (!filter_work_left(keep)) return false;
    const std::string_view filter = packet.filters[answer.reasons.size()];
    const bool below = session.connection->is_mounted && topics::is_valid_filter(filter);
    answer.reasons.push_back(below ? unsubscribe(session, mounted_filter(session.connection->mount_point(), filter))
                                   : unsubscribe(session, filter));
    filter_done(filter);
  }
  return true;
}

void Shard::answer_filters(Session& session, const wire::Suback& answer) {
  const wire::ProtocolVersion version = session.connection->version;
  std::string bytes(wire::encoded_size(version, answer), '\0');
  wire::encode(version, answer, bytes.data());
  hold_bytes(session, std::move(bytes), answer.type);
}

// This turn's share is used up: what is left of the packet waits, and so does what the client sends behind it.
void Shard::postpone(Connection& connection, const wire::Frame& frame, wire::Suback begun) {
  auto work = std::make_unique<FilterWork>(connection, frame.body, std::move(begun));
  // What has been decoded views the packet where it was.
  const auto moved = [&](std::string_view filter) {
    return std::string_view(work->body)
        .substr(static_cast<std::size_t>(filter.data() - frame.body.data()), filter.size());
  };
  if (frame.type == PacketType::kSubscribe) {
    work->subscribe.subscriptions.swap(subscribe_.subscriptions);
    work->subscribe.subscription_identifier = subscribe_.subscription_identifier;
    for (wire::Subscription& subscription : work->subscribe.subscriptions)
      subscription.filter = moved(subscription.filter);
  } else {
    work->unsubscribe.filters.swap(unsubscribe_.filters);
    for (std::string_view& filter : work->unsubscribe.filters) filter = moved(filter);
  }
  connection.waits_for_filters = true;
  filter_work_.push_back(std::move(work));
}

void Shard::forget_filter_work(Connection& connection) {
  if (!connection.waits_for_filters) return;
  connection.waits_for_filters = false;
  std::erase_if(filter_work_, [&](const auto& work) { return work->connection == &connection; });
}

// At the beginning of a turn. One shard at a time: two of them would wait for each other at each filter, and others for
// both.
void Shard::continue_filter_work() {
  const std::unique_lock mine(shared_.filter_work, std::try_to_lock);
  if (!mine) return;
  const std::size_t most = filter_work_.size();
  for (std::size_t count = 0; count < most && filter_work_left_ > 0; ++count) {
    if (count > 0 && host_.turn_is_long()) break;
    std::unique_ptr<FilterWork> work = std::move(filter_work_.front());
    filter_work_.pop_front();
    Connection& connection = *work->connection;
    Session& session = *connection.session;
    const std::size_t keep = filter_work_left_ - std::min(filter_work_left_, filter_work_per_turn_ / kSharesPerTurn);
    const bool done = work->answer.type == PacketType::kSuback
                          ? subscribe_some(session, work->subscribe, work->answer, keep)
                          : unsubscribe_some(session, work->unsubscribe, work->answer, keep);
    if (!done) {
      filter_work_.push_back(std::move(work));
      continue;
    }
    connection.waits_for_filters = false;
    answer_filters(session, work->answer);
    host_.resume(connection);
  }
  end_some_subscriptions();
  discard_some();
}

// The subscriptions of a session that is no more. Matches that still name it lead to nobody; members of shared
// subscriptions are gone at once, for they would take messages from others.
void Shard::end_subscriptions(Session& session) {
  session.set_presence(topics::Presence::kGone);
  EndingSubscriptions ending{session.id, session.subscriptions.take_all()};
  if (ending.left.size() <= filter_work_per_turn_ / kSharesPerTurn && filter_work_left_ > 0) {
    filter_work_left_ -= std::min(filter_work_left_, ending.left.size());
    for (const SessionSubscription& subscription : ending.left)
      shared_.index.unsubscribe(subscription.node, ending.session);
  } else if (!ending.left.empty()) {
    endings_.push_back(std::move(ending));
  }
}

void Shard::end_some_subscriptions() {
  for (std::size_t left = filter_work_per_turn_ / kEndingSharesPerTurn; left > 0 && !endings_.empty();) {
    EndingSubscriptions& ending = endings_.front();
    std::array<topics::SubscriptionIndex::Node*, kEndedAtOnce> nodes;
    std::size_t count = 0;
    for (; count < nodes.size() && !ending.left.empty(); ending.left.pop_back())
      nodes[count++] = ending.left.back().node;
    shared_.index.unsubscribe(std::span(nodes).first(count), ending.session);
    left -= std::min(left, count);
    if (ending.left.empty()) endings_.pop_front();
    if (host_.turn_is_long()) return;
  }
}

// To free a message takes about as long as to send one, and a large one longer; a queue may hold a hundred thousand.
// The searches for retained messages that a client has asked for are as many as its filters.
void Shard::discard(std::unique_ptr<Outbound> outbound) {
  const std::size_t work =
      outbound->queue.size() + outbound->queue_bytes / kBytesOfDiscarding + outbound->replays.size();
  if (work > kDiscardedPerTurn) discarded_.push_back(std::move(outbound));
}

void Shard::discard_some() {
  for (std::size_t work = 0; work < kDiscardedPerTurn && !discarded_.empty(); ++work) {
    Outbound& out = *discarded_.front();
    if (!out.queue.empty()) {
      work += out.pop().message->block_bytes() / kBytesOfDiscarding;
    } else if (!out.replays.empty()) {
      out.pop_replay();
    } else {
      discarded_.pop_front();
    }
  }
}

}  // namespace petrel::broker
