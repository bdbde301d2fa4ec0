#include "allowance.h"

#include <algorithm>

#include "topics/topic.h"

namespace petrel::sim {

namespace {

// What a subscription to retained messages may bring at once: there are at most so many topics.
constexpr std::size_t kRetainedTopics = 8;

bool ever_subscribed(const Client& client, const std::string& topic) {
  if (!client.plan().group.empty() && topic.starts_with("s/")) return true;
  return std::any_of(client.subscriptions().begin(), client.subscriptions().end(),
                     [&](const SubscriptionSpan& span) { return topics::matches(span.filter, topic); });
}

}  // namespace

std::size_t Allowance::rivals(const Client& client, const Publication& publication, bool newer) const {
  std::size_t count = 0;
  for (const Publication& other : history_.publications) {
    // An older one may be sent, and queued, again.
    const bool possible =
        newer ? other.acknowledged_at > publication.sent_at : other.sent_at < publication.acknowledged_at;
    if (possible && ever_subscribed(client, other.topic)) count += static_cast<std::size_t>(other.attempts);
  }
  for (const SubscriptionSpan& span : client.subscriptions()) {
    if (span.filter.starts_with("r/")) count += kRetainedTopics;
    if (span.filter.starts_with("will/")) count += history_.wills.size();
  }
  return count;
}

std::size_t Allowance::rivals_of_all(const Publication& publication, bool newer) const {
  std::size_t count = 0;
  for (const auto& client : clients_) count += rivals(*client, publication, newer);
  return count;
}

bool Allowance::may_be_dropped(const Client& client, const Publication& publication) const {
  using broker::QueuePolicy;
  const bool stored = client.plan().session != ClientPlan::Session::kClean;
  if (settings_.queue_policy == QueuePolicy::kReject && stored) return false;
  const bool oldest = settings_.queue_policy == QueuePolicy::kDropOldest;
  if (rivals(client, publication, oldest) >= settings_.max_queued_messages) return true;
  return has_total() && (rivals_of_all(publication, false) >= settings_.max_backlog_messages_total ||
                         rivals_of_all(publication, true) >= settings_.max_backlog_messages_total);
}

bool Allowance::may_be_refused(const Publication& publication) const {
  if (settings_.queue_policy != broker::QueuePolicy::kReject) return false;
  if (has_total() && rivals_of_all(publication, false) >= settings_.max_backlog_messages_total) return true;
  return std::any_of(clients_.begin(), clients_.end(), [&](const auto& client) {
    return ever_subscribed(*client, publication.topic) &&
           rivals(*client, publication, false) >= settings_.max_queued_messages;
  });
}

bool Allowance::may_lose_wills(const Client& client) const {
  Publication last;
  last.sent_at = 0;
  return rivals(client, last, true) >= settings_.max_queued_messages ||
         (has_total() && rivals_of_all(last, true) >= settings_.max_backlog_messages_total);
}

}  // namespace petrel::sim
