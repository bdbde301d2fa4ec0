// The log reaches the disk before any list of files that RocksDB makes from what it knows by the log.
//
// RocksDB's filters leave out what the log says is not needed (filters.h). From when on do the files count that were
// written so, and others no more? From the record in the file MANIFEST on. Before each such record the log is synced,
// and if that fails, so does the record, and with it the flush or compaction: all files stay as they were. The new
// files themselves would be the wrong place for it: of a flush or compaction of which nothing is left there is none.
//
// All other files are passed through untouched, the log's among them.
//
// Threads: any. Lifetime: what is given outlives the Env, and that the database.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/io_status.h>

#include <functional>
#include <memory>

namespace petrel::storage::rocks {

std::unique_ptr<rocksdb::Env> log_first_env(rocksdb::Env& base, std::function<rocksdb::IOStatus()> sync_log);

}  // namespace petrel::storage::rocks
