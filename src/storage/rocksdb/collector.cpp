#include "storage/rocksdb/collector.h"

#include <rocksdb/db.h>

#include <algorithm>

#include "base/clock.h"

namespace petrel::storage::rocks {
namespace {

// Entries that are gone need not be read for the bodies' sake.
constexpr Database::Column kCollected[] = {Database::kQueue, Database::kBodies, Database::kState};
constexpr std::uint64_t kManyEnded = 10'000;  // sessions
constexpr TimeMs kExpiryMarginMs = 60'000;    // the broker's clock may have gone another way

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace

bool Collector::is_due(Database::Column column) const {
  return database_.file_bytes(column) >= std::max(least_bytes_, 2 * left_[column]) ||
         (column == Database::kState && many_have_ended());
}

bool Collector::many_have_ended() const {
  const SessionTable& table = database_.table();
  const std::lock_guard lock(table.mutex);
  return table.ended > std::max<std::uint64_t>(kManyEnded, table.sessions.size());
}

Result<void, StoreError> Collector::collect_due() {
  for (const auto column : kCollected) {
    if (stopping_ || !is_due(column)) continue;
    if (auto collected = collect(column); !collected.has_value()) return collected;
  }
  return {};
}

Result<void, StoreError> Collector::collect() {
  for (const auto column : kCollected)
    if (auto collected = collect(column); !collected.has_value()) return collected;
  return {};
}

Result<void, StoreError> Collector::collect(Database::Column column) {
  auto collected = column == Database::kBodies  ? collect_bodies()
                   : column == Database::kState ? collect_state()
                                                : database_.compact(column);
  if (collected.has_value()) left_[column] = database_.file_bytes(column);
  return collected;
}

Result<void, StoreError> Collector::collect_state() {
  SessionTable& table = database_.table();
  std::uint64_t ended = 0;
  {
    const std::lock_guard lock(table.mutex);
    ended = table.ended;
  }
  if (auto compacted = database_.compact(Database::kState); !compacted.has_value()) return compacted;
  const std::lock_guard lock(table.mutex);
  table.ended -= std::min(table.ended, ended);
  return {};
}

Result<void, StoreError> Collector::collect_bodies() {
  auto live = mark();
  if (!live.has_value()) return live.error();
  if (stopping_) return {};
  database_.set_live_bodies(std::move(*live));
  auto compacted = database_.compact(Database::kBodies);
  database_.set_live_bodies(nullptr);
  return compacted;
}

Result<std::shared_ptr<const LiveBodies>, StoreError> Collector::mark() const {
  auto live = std::make_shared<LiveBodies>();
  live->expired_before = SteadyClock().now() - kExpiryMarginMs;
  const SessionTable& table = database_.table();
  {
    // Before the iterator exists: what it sees holds every entry of these ids.
    const std::lock_guard lock(table.mutex);
    live->tips = table.tips;
  }
  const auto iterator = database_.iterate(Database::kQueue);
  std::optional<SessionId> session;
  std::optional<QueueState> queue;
  for (iterator->SeekToFirst(); iterator->Valid() && !stopping_;) {
    const auto key = decode_queue_key(view(iterator->key()));
    if (!key) {
      iterator->Next();
      continue;
    }
    if (session != key->session) {
      session = key->session;
      queue = table.queue_of(key->session);
      if (!queue || queue->start() > key->message) {
        iterator->Seek(queue ? queue_key(*session, queue->start()) : after_session(*session));
        continue;
      }
    }
    if (!queue->is_acknowledged(key->message)) live->set.insert(key->message);
    iterator->Next();
  }
  if (!iterator->status().ok()) return database_.error(iterator->status());
  return std::shared_ptr<const LiveBodies>(std::move(live));
}

}  // namespace petrel::storage::rocks
