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

// How many filters of a few levels a turn works off: about half a millisecond, in short turns a tenth.
constexpr std::size_t kWorkPerTurn = 800, kShortWorkPerTurn = 100;
// Who waits since earlier turns has such a share of it at a time.
constexpr std::size_t kSharesPerTurn = 4;
// Subscriptions that end at a time: others wait for the index as long.
constexpr std::size_t kEndedAtOnce = 8;
// A message is worth one, and one for each so many bytes.
constexpr std::size_t kDiscardedPerTurn = 500, kBytesOfDiscarding = 1024;
// A filter is worth one for itself and one for each so many bytes.
constexpr std::size_t kBytesOfWork = 64;
// To find that filters are well-formed takes far less.
constexpr std::size_t kBytesOfChecking = 512;

std::size_t work_of(std::string_view filter) { return 1 + filter.size() / kBytesOfWork; }

}  // namespace

bool Shard::filter_work_left(std::size_t keep) const { return filter_work_left_ > keep; }

void Shard::filter_work_done(std::size_t work) { filter_work_left_ -= std::min(filter_work_left_, work); }

// While subscriptions of ended sessions are left, half of a turn's work is theirs.
void Shard::begin_filter_work(bool is_short) {
  filter_work_per_turn_ = is_short ? kShortWorkPerTurn : kWorkPerTurn;
  if (!endings_.empty()) filter_work_per_turn_ /= 2;
  filter_work_left_ = filter_work_per_turn_;
}

// What is to be left for others when one packet has had its share.
std::size_t Shard::filter_work_of_others() const {
  return filter_work_left_ - std::min(filter_work_left_, filter_work_per_turn_ / kSharesPerTurn);
}

// SUBSCRIBE and UNSUBSCRIBE.
void Shard::handle_filters(Connection& connection, const wire::Frame& frame) {
  const auto head = wire::decode_filters_head(connection.version, frame.type, frame.body);
  if (!head.has_value()) return fail(connection, head.error().reason, head.error().what);
  if (const auto limit = property_excess(head->user_properties))
    return fail(connection, Reason::kQuotaExceeded, *limit);
  FilterPacket packet(frame.type, *head);
  if (!check_some(connection, packet, filter_work_of_others())) return;
  // Of a long packet none is worked off at once, for another shard may be at one.
  const bool is_long = !packet.unchecked.empty() || packet.checked > filter_work_per_turn_ / kSharesPerTurn;
  if (!is_long && work_off_some(*connection.session, packet, 0))
    return answer_filters(*connection.session, packet.answer);
  connection.waits_for_filters = true;
  filter_work_.push_back(std::make_unique<FilterWork>(connection, std::move(packet)));
}

// False if the packet is malformed; then its connection ends.
bool Shard::check_some(Connection& connection, FilterPacket& packet, std::size_t keep) {
  while (!packet.unchecked.empty() && filter_work_left(keep)) {
    const std::size_t before = packet.unchecked.size() / kBytesOfChecking;
    const auto filter = wire::decode_filter(connection.version, packet.type, packet.unchecked);
    if (!filter.has_value()) {
      fail(connection, filter.error().reason, filter.error().what);
      return false;
    }
    ++packet.checked;
    filter_work_done(before - packet.unchecked.size() / kBytesOfChecking);
  }
  return true;
}

// True when all are done.
bool Shard::work_off_some(Session& session, FilterPacket& packet, std::size_t keep) {
  while (!packet.undone.empty()) {
    if (!filter_work_left(keep)) return false;
    const wire::Subscription subscription =
        *wire::decode_filter(session.connection->version, packet.type, packet.undone);
    packet.answer.reasons.push_back(packet.type == PacketType::kSubscribe
                                        ? subscribe_as_asked(session, subscription, packet.subscription_identifier)
                                        : unsubscribe_as_asked(session, subscription.filter));
    filter_work_done(work_of(subscription.filter));
    ++filters_done_;
  }
  return true;
}

void Shard::answer_filters(Session& session, const wire::Suback& answer) {
  const wire::ProtocolVersion version = session.connection->version;
  std::string bytes(wire::encoded_size(version, answer), '\0');
  wire::encode(version, answer, bytes.data());
  hold_bytes(session, std::move(bytes), answer.type);
}

void Shard::forget_filter_work(Connection& connection) {
  if (!connection.waits_for_filters) return;
  connection.waits_for_filters = false;
  std::erase_if(filter_work_, [&](const auto& work) { return work->connection == &connection; });
}

// At the beginning of a turn. One shard at a time: two of them would wait for each other at each filter, and others for
// both. Who does not get the lock looks again in the next turn, which comes at once: to be woken takes longer than a
// share (a fourth fewer filters, and twice the latency of others). What has ended comes first, for nobody may add
// filters faster than they go.
void Shard::continue_filter_work() {
  discard_some();
  const std::unique_lock mine(shared_.filter_work, std::try_to_lock);
  if (!mine) return;
  end_some_subscriptions();
  work_off_packets();
}

void Shard::work_off_packets() {
  const std::size_t most = filter_work_.size();
  for (std::size_t count = 0; count < most && filter_work_left_ > 0; ++count) {
    if (count > 0 && host_.turn_is_long()) break;
    std::unique_ptr<FilterWork> work = std::move(filter_work_.front());
    filter_work_.pop_front();
    Connection& connection = *work->connection;
    const std::size_t keep = filter_work_of_others();
    if (!check_some(connection, work->packet, keep)) {
      connection.waits_for_filters = false;
      continue;
    }
    if (!work->packet.unchecked.empty() || !work_off_some(*connection.session, work->packet, keep)) {
      filter_work_.push_back(std::move(work));
      continue;
    }
    connection.waits_for_filters = false;
    answer_filters(*connection.session, work->packet.answer);
    host_.resume(connection);
  }
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

// As many as were worked off since the last time, however long that takes; others while there is time.
void Shard::end_some_subscriptions() {
  const std::size_t most = filter_work_per_turn_;
  for (std::size_t ended = 0; ended < most && !endings_.empty();) {
    EndingSubscriptions& ending = endings_.front();
    std::array<topics::SubscriptionIndex::Node*, kEndedAtOnce> nodes;
    std::size_t count = 0;
    for (; count < nodes.size() && !ending.left.empty(); ending.left.pop_back())
      nodes[count++] = ending.left.back().node;
    shared_.index.unsubscribe(std::span(nodes).first(count), ending.session);
    ended += count;
    filters_done_ -= std::min(filters_done_, count);
    if (ending.left.empty()) endings_.pop_front();
    if (filters_done_ == 0 && host_.turn_is_long()) return;
  }
  if (endings_.empty()) filters_done_ = 0;
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
