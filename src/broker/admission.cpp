// What limits let in. Each check tells the limit that is reached, or nothing; the caller counts it, says so to the
// client with the reason code of the specification and writes a line that names the configuration key.
#include "broker/shard.h"
#include "topics/topic.h"
#include "wire/property.h"

namespace petrel::broker {

namespace {

bool at(std::size_t count, std::size_t maximum) { return maximum != 0 && count >= maximum; }

constexpr std::size_t kLeastUserPropertyBytes = 5;  // identifier and two empty strings

}  // namespace

wire::ReasonCode Shard::over(Limit limit) {
  counters_.reached(limit);
  return Reason::kQuotaExceeded;
}

// Whether a client that has sent a good CONNECT must stay out. Its session may be there already: then coming back
// takes nothing from others, and is the way for what waits to leave.
std::optional<Limit> Shard::connection_excess(std::string_view client_id) const {
  const auto it = by_client_id_.find(client_id);
  const bool known = it != by_client_id_.end();
  if (!(known && it->second->connection != nullptr) &&
      at(shared_.clients.load(std::memory_order_relaxed), settings_.max_connections))
    return Limit::kConnections;
  if (known) return std::nullopt;
  if (at(shared_.sessions.load(std::memory_order_relaxed), settings_.max_sessions)) return Limit::kSessions;
  if (memory_full_) return Limit::kMemoryBytes;
  return std::nullopt;
}

std::optional<Limit> Shard::property_excess(BytesView user_properties) const {
  if (settings_.max_user_property_bytes != 0 && user_properties.size() > settings_.max_user_property_bytes)
    return Limit::kUserPropertyBytes;
  const std::size_t most = settings_.max_user_properties;
  if (most == 0 || user_properties.size() < (most + 1) * kLeastUserPropertyBytes) return std::nullopt;
  std::size_t count = 0;
  wire::for_each_user_property(
      user_properties, [](void* seen, std::string_view, std::string_view) { ++*static_cast<std::size_t*>(seen); },
      &count);
  return count > most ? std::optional(Limit::kUserProperties) : std::nullopt;
}

std::optional<Limit> Shard::topic_excess(std::string_view topic) const {
  if (topic.size() > settings_.max_topic_bytes) return Limit::kTopicBytes;
  // A topic shorter than the limit of levels cannot have more.
  if (topic.size() >= settings_.max_topic_levels && topics::level_count(topic) > settings_.max_topic_levels)
    return Limit::kTopicLevels;
  return std::nullopt;
}

std::optional<Limit> Shard::subscription_excess(const Session& session, std::string_view filter) const {
  if (filter.size() > settings_.max_filter_bytes) return Limit::kFilterBytes;
  const auto shared = topics::parse_shared(filter);
  if (topics::level_count(shared ? shared->filter : filter) > settings_.max_filter_levels) return Limit::kFilterLevels;
  const bool client = at(session.subscriptions.size(), settings_.max_subscriptions_per_client);
  const std::size_t total = settings_.max_subscriptions == 0
                                ? 0
                                : shared_.index.subscription_count() + shared_.index.shared_subscription_count();
  const bool all = at(total, settings_.max_subscriptions);
  if (!client && !all && fits_full_memory(filter.size())) return std::nullopt;
  // Renewing a subscription adds none.
  const topics::SubscriptionIndex::Node* node = shared_.index.find(filter);
  if (node != nullptr && session.subscriptions.contains(node)) return std::nullopt;
  if (client) return Limit::kSubscriptionsPerClient;
  return all ? Limit::kSubscriptions : Limit::kMemoryBytes;
}

std::optional<Limit> Shard::retained_excess(const wire::Message::Parts& parts) const {
  if (parts.payload.empty()) return std::nullopt;
  const std::size_t bytes = shared_.retained.bytes() + wire::Message::block_bytes(parts);
  const bool many = at(shared_.retained.count(), settings_.max_retained_messages);
  const bool large = settings_.max_retained_bytes != 0 && bytes > settings_.max_retained_bytes;
  if (!many && !large) return std::nullopt;
  const Ref<const wire::Message> replaced = shared_.retained.get(parts.topic);
  if (many && !replaced) return Limit::kRetainedMessages;
  if (large && bytes - (replaced ? replaced->block_bytes() : 0) > settings_.max_retained_bytes)
    return Limit::kRetainedBytes;
  return std::nullopt;
}

}  // namespace petrel::broker
