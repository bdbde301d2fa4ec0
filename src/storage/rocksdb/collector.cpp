#include "storage/rocksdb/collector.h"

#include <rocksdb/db.h>

#include <algorithm>

#include "base/clock.h"

namespace petrel::storage::rocks {
namespace {

constexpr TimeMs kExpiryMarginMs = 60'000;  // the broker's clock may have gone another way

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace

bool Collector::due() const {
  return database_.file_bytes(Database::kBodies) >= std::max(least_bytes_, 2 * bodies_left_) ||
         database_.file_bytes(Database::kQueue) >= std::max(least_bytes_, 2 * queue_left_);
}

Result<void, StoreError> Collector::collect() {
  if (database_.file_bytes(Database::kQueue) >= std::max(least_bytes_, 2 * queue_left_)) {
    if (auto compacted = database_.compact(Database::kQueue); !compacted.has_value()) return compacted;
    queue_left_ = database_.file_bytes(Database::kQueue);
  }
  auto live = mark();
  if (!live.has_value()) return live.error();
  if (stopping_) return {};
  database_.set_live_bodies(std::move(*live));
  auto compacted = database_.compact(Database::kBodies);
  database_.set_live_bodies(nullptr);
  bodies_left_ = database_.file_bytes(Database::kBodies);
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
