// What RocksDB may leave out when it writes a file: what belongs to a session that has ended, queue entries that nobody
// waits for, bodies that no queue refers to. Where older files may hold something under the same key, which is so in
// every flush, a deletion is written in the place of what is left out: it takes the key, and goes when the oldest file
// is rewritten.
//
// They see the session table as committed, never ahead of it. What they rest on is synced before a file counts
// (log_first.h): a power failure must not take back an end or an acknowledgement, and leave what it made superfluous
// away.
//
// Threads: RocksDB's own. The database outlives them.
#pragma once

#include <memory>

namespace rocksdb {
class CompactionFilterFactory;
}

namespace petrel::storage::rocks {

class Database;

std::shared_ptr<rocksdb::CompactionFilterFactory> state_filter(Database& database);
std::shared_ptr<rocksdb::CompactionFilterFactory> queue_filter(Database& database);
std::shared_ptr<rocksdb::CompactionFilterFactory> body_filter(Database& database);

}  // namespace petrel::storage::rocks
