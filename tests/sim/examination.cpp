#include "examination.h"

#include <algorithm>
#include <vector>

namespace petrel::sim {

using broker::QueuePolicy;
using wire::Qos;

namespace {

constexpr std::size_t kMessages = 26;  // some more than the largest of the small limits
// Times away, none near a time to live: what happens in between takes less than a second.
constexpr TimeMs kAbsences[] = {0, 3'000, 30'000, 300'000};

}  // namespace

void Examination::run(Client& away, Client& publisher, const std::string& topic) {
  const std::size_t sessions = away.sessions_begun();
  away.disconnect();
  settle_();
  std::vector<Expected> expected;
  std::size_t waiting = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    const std::size_t index = history_.publications.size();
    publisher.publish(topic, static_cast<Qos>(dice_(3)), false, false);
    settle_();
    expected.push_back(expect(history_.publications.at(index), index, away.plan().subscription_qos, waiting));
    if (expected.back().queued) make_room(expected, i);
  }
  const TimeMs absence = kAbsences[dice_(std::size(kAbsences))];
  pass_(absence);
  settle_();
  away.connect(false);
  settle_();
  if (!away.open()) throw Violation(away.id() + " cannot come back to be examined");

  const bool expired =
      away.plan().session == ClientPlan::Session::kExpires && absence >= TimeMs{ClientPlan::kShortExpiryS} * 1000;
  if (expired != (away.sessions_begun() != sessions))
    throw Violation(away.id() + (expired ? " finds a session that has expired" : " has lost its session") +
                    " [MQTT-3.1.2-23]");
  for (const Expected& one : expected) {
    const Publication& publication = history_.publications[one.publication];
    const std::string what = "message " + std::to_string(one.publication) + " to " + away.id() + ", away for " +
                             std::to_string(absence) + " ms,";
    if (publication.refused != one.refused) throw Violation(what + (one.refused ? " was not refused" : " was refused"));
    const bool due = one.queued && !expired && outlasts(one, absence);
    const bool came = away.received(one.publication);
    if (came != due) throw Violation(what + (due ? " never came" : " ought to have been dropped"));
  }

  const bool subscribed = !expired && (settings_.subscription_ttl_ms == 0 || absence < settings_.subscription_ttl_ms);
  const std::size_t last = history_.publications.size();
  publisher.publish(topic, Qos::k0, false, false);
  settle_();
  if (away.received(last) != subscribed)
    throw Violation(away.id() + (subscribed ? " has lost a subscription" : " still has a subscription") + " after " +
                    std::to_string(absence) + " ms");
}

// What is to become of a publication while the client is away; `waiting` counts its queue.
Examination::Expected Examination::expect(const Publication& publication, std::size_t index, Qos granted,
                                          std::size_t& waiting) {
  const Qos qos = std::min(publication.qos, granted);
  Expected made{index, qos, true, false};
  if (qos == Qos::k0 && !settings_.queue_qos0) {
    made.queued = false;
    return made;
  }
  const std::size_t most = std::min(settings_.max_queued_messages, total_limit());
  if (waiting >= most && settings_.queue_policy == QueuePolicy::kDropNewest) made.queued = false;
  // QoS 0 is never refused, nor what a receiver is to get with QoS 0; what a full queue takes of it stays.
  made.refused = waiting >= most && settings_.queue_policy == QueuePolicy::kReject && qos != Qos::k0;
  if (made.refused) made.queued = false;
  if (made.queued) ++waiting;
  if (settings_.queue_policy == QueuePolicy::kDropOldest) waiting = std::min(waiting, most);
  return made;
}

// With drop-oldest the newest takes the place of the oldest.
void Examination::make_room(std::vector<Expected>& all, std::size_t newest) {
  if (settings_.queue_policy != QueuePolicy::kDropOldest) return;
  const std::size_t most = std::min(settings_.max_queued_messages, total_limit());
  std::size_t queued = 0;
  for (std::size_t i = newest + 1; i > 0; --i)
    if (all[i - 1].queued && ++queued > most) all[i - 1].queued = false;
}

std::size_t Examination::total_limit() const {
  const std::size_t total = settings_.max_backlog_messages_total;
  return total == 0 ? ~std::size_t{0} : total;
}

bool Examination::outlasts(const Expected& expected, TimeMs absence) const {
  if (history_.publications[expected.publication].may_expire && absence >= kExpiryMs) return false;
  const TimeMs ttl = expected.qos == Qos::k0   ? settings_.message_ttl_qos0_ms
                     : expected.qos == Qos::k1 ? settings_.message_ttl_qos1_ms
                                               : settings_.message_ttl_qos2_ms;
  return ttl == 0 || absence < ttl;
}

}  // namespace petrel::sim
