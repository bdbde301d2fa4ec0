#include "topics/match_cache.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/release_memory.h"
#include "topics/level_hash.h"

namespace petrel::topics {

namespace {

struct Entry {
  std::string topic;
  std::uint64_t hash = 0;
  std::uint64_t version = 0;
  SubscriptionIndex::VersionSlots slots{};
  Ref<const MatchList> list;
  bool recently_used = false;  // the mark of the CLOCK
  bool in_use = false;

  std::size_t bytes() const {
    std::size_t total = sizeof(Entry) + topic.size() + sizeof(MatchList);
    total += list->entries.capacity() * sizeof(MatchEntry) + list->shared.capacity() * sizeof(SharedMatch);
    for (const MatchEntry& entry : list->entries)
      if (entry.identifiers) total += entry.identifiers->bytes().size();
    for (const SharedMatch& shared : list->shared) total += shared.members.capacity() * sizeof(shared.members[0]);
    return total;
  }
};

}  // namespace

// Entries stand in a row that the CLOCK's hand goes round; a table by hash holds their places (plus one; 0 is empty).
struct MatchCache::Impl {
  Impl(const SubscriptionIndex& subscription_index, std::size_t topic_limit, std::size_t byte_limit,
       std::uint64_t& looked_up_count)
      : index(subscription_index),
        max_topics(std::max<std::size_t>(topic_limit, 1)),
        max_bytes(byte_limit),
        looked_up(looked_up_count) {}

  const Ref<const MatchList>& match(std::string_view topic);
  std::uint32_t find(std::string_view topic, std::uint64_t hash) const;
  const Ref<const MatchList>& use(std::uint32_t at);
  std::uint32_t insert(std::string_view topic, std::uint64_t hash);
  void look_up(Entry& entry);
  void make_room(std::uint32_t keep);
  void age(std::size_t parts);
  void evict(std::uint32_t at);
  void grow_table();

  const SubscriptionIndex& index;
  const std::size_t max_topics;
  const std::size_t max_bytes;
  const std::uint64_t seed = random_seed();
  std::vector<Entry> entries;
  std::vector<std::uint32_t> free_entries;
  struct Slot {
    std::uint32_t hash_bits = 0;
    std::uint32_t place = 0;
  };
  std::vector<Slot> table{16};
  std::size_t count = 0;
  std::size_t bytes = 0;
  std::size_t hand = 0;
  std::size_t age_hand = 0;
  std::uint32_t last = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t& looked_up;
};

const Ref<const MatchList>& MatchCache::Impl::match(std::string_view topic) {
  if (last < entries.size() && entries[last].in_use && entries[last].topic == topic) return use(last);
  const std::uint64_t hash = hash_text(topic, seed);
  const std::uint32_t place = find(topic, hash);
  last = place != 0 ? place - 1 : insert(topic, hash);
  return use(last);
}

std::uint32_t MatchCache::Impl::find(std::string_view topic, std::uint64_t hash) const {
  const std::size_t mask = table.size() - 1;
  for (std::size_t at = hash & mask; table[at].place != 0; at = (at + 1) & mask) {
    if (table[at].hash_bits == hash >> 32 && entries[table[at].place - 1].topic == topic) return table[at].place;
  }
  return 0;
}

// The version is read before the list: see version_table.h.
const Ref<const MatchList>& MatchCache::Impl::use(std::uint32_t at) {
  Entry& entry = entries[at];
  entry.recently_used = true;
  const std::uint64_t version = index.version(entry.slots);
  if (entry.list && entry.version == version) {
    ++hits;
    return entry.list;
  }
  ++misses;
  if (entry.list) bytes -= entry.bytes();
  entry.version = version;
  entry.list = index.match(entry.topic);
  looked_up += entry.list->subscriptions;
  bytes += entry.bytes();
  make_room(at);
  return entry.list;
}

std::uint32_t MatchCache::Impl::insert(std::string_view topic, std::uint64_t hash) {
  if ((count + 1) * 4 > table.size() * 3) grow_table();
  std::uint32_t at = static_cast<std::uint32_t>(entries.size());
  if (free_entries.empty()) {
    entries.emplace_back();
  } else {
    at = free_entries.back();
    free_entries.pop_back();
  }
  Entry& entry = entries[at];
  entry.topic = topic;
  entry.hash = hash;
  entry.slots = index.version_slots(topic);
  entry.in_use = true;
  const std::size_t mask = table.size() - 1;
  std::size_t slot = hash & mask;
  while (table[slot].place != 0) slot = (slot + 1) & mask;
  table[slot] = {static_cast<std::uint32_t>(hash >> 32), at + 1};
  ++count;
  return at;
}

void MatchCache::Impl::make_room(std::uint32_t keep) {
  while (count > 1 && (count > max_topics || bytes > max_bytes)) {
    if (hand >= entries.size()) hand = 0;
    Entry& entry = entries[hand];
    if (entry.in_use && hand != keep && !std::exchange(entry.recently_used, false)) {
      evict(static_cast<std::uint32_t>(hand));
    }
    ++hand;
  }
}

void MatchCache::Impl::age(std::size_t parts) {
  if (age_hand >= entries.size()) age_hand = 0;
  const std::size_t end = std::min(entries.size(), age_hand + entries.size() / parts + 1);
  for (; age_hand < end; ++age_hand) {
    Entry& entry = entries[age_hand];
    if (entry.in_use && !std::exchange(entry.recently_used, false)) evict(static_cast<std::uint32_t>(age_hand));
  }
  if (count != 0) return;
  release_memory(entries);
  release_memory(free_entries);
  table = std::vector<Slot>(16);
}

void MatchCache::Impl::evict(std::uint32_t at) {
  const std::size_t mask = table.size() - 1;
  std::size_t gap = entries[at].hash & mask;
  while (table[gap].place != at + 1) gap = (gap + 1) & mask;
  for (std::size_t next = (gap + 1) & mask; table[next].place != 0; next = (next + 1) & mask) {
    const std::size_t home = entries[table[next].place - 1].hash & mask;
    if (((next - home) & mask) >= ((next - gap) & mask)) {
      table[gap] = table[next];
      gap = next;
    }
  }
  table[gap] = Slot();
  bytes -= entries[at].bytes();
  entries[at] = Entry();
  free_entries.push_back(at);
  --count;
}

void MatchCache::Impl::grow_table() {
  std::vector<Slot> grown(table.size() * 2);
  const std::size_t mask = grown.size() - 1;
  for (const Slot& slot : table) {
    if (slot.place == 0) continue;
    std::size_t at = entries[slot.place - 1].hash & mask;
    while (grown[at].place != 0) at = (at + 1) & mask;
    grown[at] = slot;
  }
  table = std::move(grown);
}

MatchCache::MatchCache(const SubscriptionIndex& index, std::size_t max_topics, std::size_t max_bytes)
    : impl_(std::make_unique<Impl>(index, max_topics, max_bytes, looked_up_)) {}
MatchCache::~MatchCache() = default;

const Ref<const MatchList>& MatchCache::match(std::string_view topic) { return impl_->match(topic); }
void MatchCache::age(std::size_t parts) { impl_->age(parts); }
std::size_t MatchCache::count() const { return impl_->count; }
std::uint64_t MatchCache::hits() const { return impl_->hits; }
std::uint64_t MatchCache::misses() const { return impl_->misses; }

}  // namespace petrel::topics
