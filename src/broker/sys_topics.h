// The values under $SYS/broker/, with Mosquitto's names and meanings, and one per limit that tells how often it was
// reached ($SYS/broker/limits/max_connections and so on). Sans-I/O: fed with the time and the sums of all shards'
// counters, it tells which values have changed. They are kept apart from retained messages: no store has them, no limit
// counts them, and nothing is worked out while nobody listens.
//
// Threads: any; refresh() and the flag guard themselves, values() does, too.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/ref.h"
#include "base/time.h"
#include "broker/limits.h"
#include "broker/settings.h"
#include "storage/store.h"
#include "topics/retained_trie.h"
#include "wire/message.h"

namespace petrel::broker {

struct SharedState;

// Whether a topic name or filter, shared or not, asks for the broker's own topics. Wildcards never match them
// [MQTT-4.7.2-1].
bool is_sys_filter(std::string_view filter);

// What all shards have done, and what there is.
struct SysTotals {
  std::uint64_t clients_total = 0, clients_connected = 0, clients_disconnected = 0, clients_maximum = 0,
                clients_expired = 0;
  std::uint64_t connects = 0, sockets = 0;
  std::uint64_t messages_received = 0, messages_sent = 0;  // packets of every type
  std::uint64_t publish_received = 0, publish_sent = 0, publish_dropped = 0;
  std::uint64_t publish_bytes_received = 0, publish_bytes_sent = 0;
  std::uint64_t bytes_received = 0, bytes_sent = 0;
  std::uint64_t subscriptions = 0, shared_subscriptions = 0, retained = 0;
  std::uint64_t stored_messages = 0, stored_bytes = 0;
  std::uint64_t heap_bytes = 0;
  std::uint64_t backlog_messages = 0, backlog_bytes = 0;
  std::uint64_t dropped_slow_reader = 0, dropped_queue_full = 0, dropped_expired = 0, dropped_outstayed = 0,
                dropped_too_large = 0, refused = 0, subscriptions_outstayed = 0;
  std::uint64_t store_writable = 1;  // 0: it takes no changes
  std::vector<storage::StoreMetric> store{};
  std::array<std::uint64_t, kLimits> limits{};
};
SysTotals sys_totals(const SharedState& shared);

class SysTopics {
 public:
  explicit SysTopics(const SysSettings& settings) : settings_(settings) {}

  // The broker starts; uptime and averages count from here.
  void start(TimeMs now);
  // Works the values out anew and returns those that are new or different.
  std::vector<Ref<const wire::Message>> refresh(TimeMs now, const SysTotals& totals);
  // Nobody has listened for an interval: whoever comes next has the values worked out anew.
  void mark_stale() { stale_.store(true, std::memory_order_relaxed); }
  bool stale() const { return stale_.load(std::memory_order_relaxed); }

  const topics::RetainedTopics<wire::Message>& values() const { return values_; }

 private:
  static constexpr std::size_t kLoads = 9;
  static constexpr std::array<int, 3> kMinutes = {1, 5, 15};
  struct Load {
    std::uint64_t last = 0;
    std::array<double, kMinutes.size()> per_minute{};
  };

  struct Update {
    SysTopics& topics;
    std::vector<Ref<const wire::Message>> changed{};
    void put(std::string_view name, std::string_view payload);
    void put(std::string_view name, std::uint64_t value) { put(name, std::to_string(value)); }
  };
  void update_loads(TimeMs now, const SysTotals& totals, Update& update);

  const SysSettings settings_;
  std::mutex mutex_;  // guards what follows up to values_
  TimeMs started_at_ = 0, refreshed_at_ = 0;
  std::uint64_t most_heap_bytes_ = 0;
  std::array<Load, kLoads> loads_;
  topics::RetainedTopics<wire::Message> values_;
  std::atomic<bool> stale_{true};
};

}  // namespace petrel::broker
