// What RocksDB may leave out when it writes a file: queue entries that nobody waits for, bodies that no queue refers
// to.
//
// Threads: RocksDB's own. The database outlives them. They see the session table as committed, never ahead of it.
#pragma once

#include <memory>

namespace rocksdb {
class CompactionFilterFactory;
}

namespace petrel::storage::rocks {

class Database;

std::shared_ptr<rocksdb::CompactionFilterFactory> queue_filter(Database& database);
std::shared_ptr<rocksdb::CompactionFilterFactory> body_filter(Database& database);

}  // namespace petrel::storage::rocks
