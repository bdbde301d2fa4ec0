// Reading a session's queue from disk: the ids that wait, or a page of messages.
//
// Threads: any that holds the database's `use` shared.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/result.h"
#include "storage/rocksdb/queue_state.h"
#include "storage/store.h"

namespace rocksdb {
class Iterator;
}

namespace petrel::storage::rocks {

class Database;

struct QueueScan {
  std::vector<MessageId> waiting;
  MessageId scanned = 0;  // the last id seen
  bool whole = false;     // nothing lies behind it
};

// From the queue's start to at least `to`, and on until more than `most` are found to wait. The iterator is over the
// queue column and is left behind what was read.
Result<QueueScan, StoreError> scan_queue(Database& database, rocksdb::Iterator& iterator, SessionId session,
                                         const QueueState& queue, MessageId to, std::size_t most);

struct PageRequest {
  SessionId session = 0;
  std::uint64_t request = 0;
  QueuePosition position;
  std::size_t limit = 0;
  std::size_t limit_bytes = 0;
};
// An entry whose message is gone (it had expired) or damaged has an empty message that expired long ago: whoever reads
// it acknowledges it without delivering it. The damaged are counted in `unreadable`.
QueuePage read_page(Database& database, const PageRequest& request, std::size_t& unreadable);

// One entry with its message; nothing if either is missing or damaged.
std::optional<QueueEntry> read_entry(Database& database, SessionId session, MessageId message);

}  // namespace petrel::storage::rocks
