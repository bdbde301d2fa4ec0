// Reading the database when the store opens: what the session table holds, and what the broker takes back.
//
// Time: one pass over sessions and their small records; of each queue a few entries, and beyond them so many of all
// queues together as are to be counted, about two million a second.
// Threads: one, that holds the database's `use` shared, before the lanes work.
#pragma once

#include "storage/rocksdb/database.h"

namespace petrel::storage::rocks {

struct LastIds {
  MessageId message = 0;
  SessionId session = 0;
};

// Fills the database's session table anew. When the broker starts, all ids that come are larger than those found; while
// it runs that is known only of what each lane has committed, and the tips stay as they are.
enum class LoadWhen { kAtStart, kRunning };
inline constexpr std::uint64_t kMostCounted = 1'000'000;
Result<LastIds, StoreError> load_table(Database& database, LoadWhen when, std::uint64_t most_counted = kMostCounted);

// Everything but the queues' contents, as the table was loaded. Lengths of queues are exact, unless together they have
// more entries than were to be counted: of the rest a low estimate, down to a tenth. Of their bytes only what each
// message takes at least. Who took too many for true would drop messages that have room.
Result<void, StoreError> report(Database& database, Recovery& recovery);

// Reads and decodes every record, and all checksums: what "petrel store check" says.
struct CheckReport {
  std::uint64_t sessions = 0, subscriptions = 0, entries = 0, messages = 0, retained = 0;
  std::vector<std::string> damages;  // the first few, in words
};
CheckReport check(Database& database);

}  // namespace petrel::storage::rocks
