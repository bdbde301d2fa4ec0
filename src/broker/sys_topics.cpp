#include "broker/sys_topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/memory_ledger.h"
#include "broker/shared_state.h"
#include "topics/topic.h"

namespace petrel::broker {

namespace {

constexpr std::string_view kPrefix = "$SYS/broker/";

struct Row {
  std::string_view name;
  std::uint64_t SysTotals::*value;
};

constexpr Row kValues[] = {
    {"clients/total", &SysTotals::clients_total},
    {"clients/connected", &SysTotals::clients_connected},
    {"clients/active", &SysTotals::clients_connected},
    {"clients/disconnected", &SysTotals::clients_disconnected},
    {"clients/inactive", &SysTotals::clients_disconnected},
    {"clients/maximum", &SysTotals::clients_maximum},
    {"clients/expired", &SysTotals::clients_expired},
    {"messages/received", &SysTotals::messages_received},
    {"messages/sent", &SysTotals::messages_sent},
    {"messages/stored", &SysTotals::stored_messages},
    {"store/messages/count", &SysTotals::stored_messages},
    {"store/messages/bytes", &SysTotals::stored_bytes},
    {"publish/messages/received", &SysTotals::publish_received},
    {"publish/messages/sent", &SysTotals::publish_sent},
    {"publish/messages/dropped", &SysTotals::publish_dropped},
    {"publish/bytes/received", &SysTotals::publish_bytes_received},
    {"publish/bytes/sent", &SysTotals::publish_bytes_sent},
    {"bytes/received", &SysTotals::bytes_received},
    {"bytes/sent", &SysTotals::bytes_sent},
    {"subscriptions/count", &SysTotals::subscriptions},
    {"shared_subscriptions/count", &SysTotals::shared_subscriptions},
    {"retained messages/count", &SysTotals::retained},
    {"heap/current", &SysTotals::heap_bytes},
    {"backlog/messages", &SysTotals::backlog_messages},
    {"backlog/bytes", &SysTotals::backlog_bytes},
    {"dropped/slow_reader", &SysTotals::dropped_slow_reader},
    {"dropped/queue_full", &SysTotals::dropped_queue_full},
    {"dropped/expired", &SysTotals::dropped_expired},
    {"dropped/outstayed", &SysTotals::dropped_outstayed},
    {"dropped/too_large", &SysTotals::dropped_too_large},
    {"dropped/refused", &SysTotals::refused},
    {"subscriptions/outstayed", &SysTotals::subscriptions_outstayed},
    {"store/writable", &SysTotals::store_writable},
};

constexpr std::array kLoadRows = {
    Row{"load/messages/received", &SysTotals::messages_received},
    Row{"load/messages/sent", &SysTotals::messages_sent},
    Row{"load/publish/received", &SysTotals::publish_received},
    Row{"load/publish/sent", &SysTotals::publish_sent},
    Row{"load/publish/dropped", &SysTotals::publish_dropped},
    Row{"load/bytes/received", &SysTotals::bytes_received},
    Row{"load/bytes/sent", &SysTotals::bytes_sent},
    Row{"load/sockets", &SysTotals::sockets},
    Row{"load/connections", &SysTotals::connects},
};

}  // namespace

bool is_sys_filter(std::string_view filter) {
  if (!filter.starts_with('$')) return false;
  if (const auto shared = topics::parse_shared(filter)) filter = shared->filter;
  return filter == "$SYS" || filter.starts_with("$SYS/");
}

SysTotals sys_totals(const SharedState& shared) {
  using wire::PacketType;
  SysTotals totals;
  for (const Counters& counters : shared.counters) {
    totals.clients_expired += counters.sessions_expired.value();
    totals.connects += counters.packets_received.of(PacketType::kConnect);
    totals.sockets += counters.network_connections.value();
    totals.messages_received += counters.packets_received.total();
    totals.messages_sent += counters.packets_sent.total();
    totals.publish_received += counters.packets_received.of(PacketType::kPublish);
    totals.publish_sent += counters.packets_sent.of(PacketType::kPublish);
    totals.publish_dropped += counters.dropped();
    totals.publish_bytes_received += counters.payload_bytes_received.value();
    totals.publish_bytes_sent += counters.payload_bytes_sent.value();
    totals.bytes_received += counters.bytes_received.value();
    totals.bytes_sent += counters.bytes_sent.value();
    totals.backlog_messages += counters.backlog_messages.value();
    totals.backlog_bytes += counters.backlog_bytes.value();
    totals.dropped_slow_reader += counters.dropped_slow_consumer.value();
    totals.dropped_queue_full += counters.dropped_queue_full.value();
    totals.dropped_expired += counters.dropped_expired.value();
    totals.dropped_outstayed += counters.dropped_outstayed.value();
    totals.dropped_too_large += counters.dropped_too_large.value();
    totals.refused += counters.publish_refused.value();
    totals.subscriptions_outstayed += counters.subscriptions_outstayed.value();
    for (std::size_t i = 0; i < kLimits; ++i) totals.limits[i] += counters.limits[i].value();
  }
  totals.clients_total = shared.sessions.load(std::memory_order_relaxed);
  totals.clients_connected = shared.clients.load(std::memory_order_relaxed);
  totals.clients_maximum = shared.most_clients.load(std::memory_order_relaxed);
  totals.clients_disconnected = totals.clients_total - std::min(totals.clients_connected, totals.clients_total);
  totals.shared_subscriptions = shared.index.shared_subscription_count();
  totals.subscriptions = shared.index.subscription_count() + totals.shared_subscriptions;
  totals.retained = shared.retained.count();
  const MemoryLedger::Sum messages = MemoryLedger::sum(MemoryLedger::Use::kMessages);
  totals.stored_messages = messages.blocks;
  totals.stored_bytes = messages.bytes;
  totals.heap_bytes = MemoryLedger::total_bytes();
  totals.store_writable = shared.store_health.trouble() ? 0 : 1;
  if (shared.store_metrics) totals.store = shared.store_metrics();
  return totals;
}

void SysTopics::Update::put(std::string_view name, std::string_view payload) {
  const std::string topic = fmt::format("{}{}", kPrefix, name);
  const Ref<const wire::Message> before = topics.values_.get(topic);
  if (before && before->payload() == payload) return;
  changed.push_back(wire::Message::create({.topic = topic, .payload = payload, .retain = true}));
  topics.values_.set(changed.back());
}

void SysTopics::start(TimeMs now) {
  const std::lock_guard lock(mutex_);
  started_at_ = refreshed_at_ = now;
}

// Exponential moving averages over times of any length: however long nobody listened, what happened meanwhile counts
// as if it had happened evenly.
void SysTopics::update_loads(TimeMs now, const SysTotals& totals, Update& update) {
  static_assert(kLoads == kLoadRows.size());
  const double minutes = static_cast<double>(now - refreshed_at_) / 60'000;
  for (std::size_t i = 0; i < kLoads; ++i) {
    Load& load = loads_[i];
    const std::uint64_t value = totals.*kLoadRows[i].value;
    for (std::size_t span = 0; minutes > 0 && span < kMinutes.size(); ++span) {
      const double rate = static_cast<double>(value - load.last) / minutes;
      load.per_minute[span] = rate + (load.per_minute[span] - rate) * std::exp(-minutes / kMinutes[span]);
    }
    if (minutes > 0) load.last = value;
    for (std::size_t span = 0; span < kMinutes.size(); ++span)
      update.put(fmt::format("{}/{}min", kLoadRows[i].name, kMinutes[span]),
                 fmt::format("{:.2f}", load.per_minute[span]));
  }
  refreshed_at_ = now;
}

std::vector<Ref<const wire::Message>> SysTopics::refresh(TimeMs now, const SysTotals& totals) {
  const std::lock_guard lock(mutex_);
  stale_.store(false, std::memory_order_relaxed);
  Update update{*this};
  update.put("version", "petrel version " + settings_.version);
  update.put("uptime", fmt::format("{} seconds", (now - started_at_) / 1000));
  for (const Row& row : kValues) update.put(row.name, totals.*row.value);
  most_heap_bytes_ = std::max(most_heap_bytes_, totals.heap_bytes);
  update.put("heap/maximum", most_heap_bytes_);
  update_loads(now, totals, update);
  for (std::size_t i = 0; i < kLimits; ++i)
    update.put(fmt::format("limits/{}", name(static_cast<Limit>(i))), totals.limits[i]);
  for (const storage::StoreMetric& metric : totals.store)
    update.put(fmt::format("store/{}", metric.name), metric.value);
  return std::move(update.changed);
}

}  // namespace petrel::broker
