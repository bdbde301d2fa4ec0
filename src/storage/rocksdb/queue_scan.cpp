#include "storage/rocksdb/queue_scan.h"

#include <rocksdb/db.h>

#include "storage/rocksdb/database.h"

namespace petrel::storage::rocks {
namespace {

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Ref<const wire::Message> expired_message() {
  wire::Message::Parts parts;
  parts.expires_at = 0;
  return wire::Message::create(parts);
}

struct Body {
  Ref<const wire::Message> message;  // null: gone or damaged
  bool damaged = false;
  std::optional<StoreError> error;  // could not be read
};

Body read_body(Database& database, MessageId id, rocksdb::PinnableSlice& bytes) {
  bytes.Reset();
  Body body;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.column(Database::kBodies), body_key(id), &bytes);
  if (status.ok()) {
    body.message = decode_message(view(bytes));
    body.damaged = !body.message;
  } else if (!status.IsNotFound()) {
    body.error = database.error(status);
  }
  return body;
}

}  // namespace

Result<QueueScan, StoreError> scan_queue(Database& database, rocksdb::Iterator& iterator, SessionId session,
                                         const QueueState& queue, MessageId to, std::size_t most) {
  QueueScan scan;
  for (iterator.Seek(queue_key(session, queue.start())); iterator.Valid(); iterator.Next()) {
    const auto key = decode_queue_key(view(iterator.key()));
    if (!key || key->session != session) break;
    if (key->message > to && scan.waiting.size() > most) return scan;
    scan.scanned = key->message;
    if (!queue.is_acknowledged(key->message)) scan.waiting.push_back(key->message);
  }
  if (!iterator.status().ok()) return database.error(iterator.status());
  scan.whole = true;
  return scan;
}

QueuePage read_page(Database& database, const PageRequest& request, std::size_t& unreadable) {
  QueuePage page;
  page.session = request.session;
  page.request = request.request;
  const auto queue = database.table().queue_of(request.session);
  if (!queue || (queue->complete() && queue->waiting().empty())) return page;
  const auto iterator = database.iterate(Database::kQueue, true);
  rocksdb::PinnableSlice bytes;
  std::size_t taken_bytes = 0;
  for (iterator->Seek(queue_key(request.session, queue->start())); iterator->Valid(); iterator->Next()) {
    const auto key = decode_queue_key(view(iterator->key()));
    if (!key || key->session != request.session) break;
    if (request.position.passed(key->message) || queue->is_acknowledged(key->message)) continue;
    if (!page.entries.empty() && (page.entries.size() >= request.limit || taken_bytes >= request.limit_bytes)) {
      page.more = true;
      return page;
    }
    QueueEntry entry;
    entry.id = key->message;
    Body body = read_body(database, key->message, bytes);
    if (body.error) {
      page.error = std::move(body.error);
      return page;
    }
    if (body.damaged || !decode_entry(view(iterator->value()), entry)) {
      ++unreadable;
      body.message = nullptr;
    }
    entry.message = body.message ? std::move(body.message) : expired_message();
    taken_bytes += entry.waiting_bytes();
    page.entries.push_back(std::move(entry));
  }
  if (!iterator->status().ok()) page.error = database.error(iterator->status());
  return page;
}

std::optional<QueueEntry> read_entry(Database& database, SessionId session, MessageId message) {
  rocksdb::PinnableSlice value, body;
  const rocksdb::Status status =
      database.db().Get(rocksdb::ReadOptions(), database.column(Database::kQueue), queue_key(session, message), &value);
  QueueEntry entry;
  entry.id = message;
  if (!status.ok() || !decode_entry(view(value), entry)) return std::nullopt;
  entry.message = read_body(database, message, body).message;
  if (!entry.message) return std::nullopt;
  return entry;
}

}  // namespace petrel::storage::rocks
