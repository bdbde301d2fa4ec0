// What all shards of a broker share: settings, the subscription index, retained messages and the directory of stored
// sessions. Everything else belongs to one shard. Threads: each member guards itself. Outlives the shards.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/histogram.h"
#include "base/spinning.h"
#include "broker/counters.h"
#include "broker/session_directory.h"
#include "broker/settings.h"
#include "broker/store_health.h"
#include "broker/sys_topics.h"
#include "topics/retained_trie.h"
#include "topics/subscription_index.h"
#include "wire/message.h"

namespace petrel::broker {

struct SharedState {
  // `seed` is random: it decides which shard a client identifier belongs to.
  SharedState(const Settings& s, std::uint32_t shards, std::uint64_t seed)
      : settings(s),
        shard_count(shards),
        hash_seed(seed),
        directory(shards),
        sys(s.sys),
        counters(shards),
        store_health(shards) {}

  const Settings settings;
  const std::uint32_t shard_count;
  const std::uint64_t hash_seed;
  topics::SubscriptionIndex index;
  topics::RetainedTopics<wire::Message> retained;
  Spinning<std::mutex> retained_commits;  // from looking at what a topic retains until that is handed to the store
  SessionDirectory directory;
  SysTopics sys;
  std::vector<Counters> counters;  // by shard
  StoreHealth store_health;
  std::function<std::vector<storage::StoreMetric>()> store_metrics;  // set before the shards begin, called by any
  std::function<Histogram::Values()> store_commit_times;             // likewise
  std::atomic<bool> memory_full{false};  // limits.max_memory_bytes is reached; written when that changes
  std::mutex filter_work;                // held by the shard that works off long packets of filters, a share at a time
  // At present; written when a connection or session begins or ends, never on the way of a message.
  std::atomic<std::size_t> connections{0};  // of the network, whether or not their CONNECT has come
  std::atomic<std::size_t> clients{0}, most_clients{0};
  std::atomic<std::size_t> sessions{0};
  std::atomic<storage::SessionId> last_session_id{0};
  std::atomic<storage::MessageId> last_message_id{0};  // of earlier runs; a shard's ids begin above it
};

}  // namespace petrel::broker
