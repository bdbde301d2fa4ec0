// What an operator does with a store on disk: "petrel store info, check, backup, restore, export, import". Those that
// only read take a snapshot first (snapshot.h), so that a broker may be using the store.
//
// Export is JSON, one object a line; field "type" tells what it is: store (the first line: layout, format), session,
// subscription, outgoing, incoming, will, message, queued (session and message by their ids), retained, end (the last
// line: how many there were of each type, so that an export that was cut short is not taken for a whole one). Payloads,
// encoded properties and identifiers are in base64, times in milliseconds since 1970.
//
// Threads: one each.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/store.h"

namespace petrel::storage {

// Lines for people, and whether all is well.
struct StoreCheck {
  bool sound = false;
  std::vector<std::string> lines;
};

// Reads everything in a store that no process uses.
StoreCheck check_store(const std::string& directory);
StoreCheck describe_store(const std::string& directory);

// A copy that is checked; of one that fails nothing is left. The store may be in use; the backup holds all that was
// acknowledged before the call.
StoreCheck back_up_store(const std::string& directory, const std::string& backup);
// Makes a store of a backup, and checks it.
StoreCheck restore_store(const std::string& backup, const std::string& directory);

Result<void, StoreError> export_store(const std::string& directory,
                                      const std::function<bool(std::string_view line)>& write);
// Into a directory without a store. `next` gives one line after the other, false at the end. Of an import that fails
// nothing is left.
Result<void, StoreError> import_store(const std::string& directory, const std::function<bool(std::string& line)>& next);

}  // namespace petrel::storage
