#include "storage/rocksdb/tools.h"

#include <fmt/format.h>
#include <rocksdb/db.h>

#include <algorithm>

#include "storage/rocksdb/directory.h"
#include "storage/rocksdb/load.h"
#include "storage/rocksdb/new_store.h"
#include "storage/rocksdb/snapshot.h"

namespace petrel::storage {
namespace {

StoreCheck failed(const StoreError& error) { return {false, {error.what}}; }

struct Counts final : Recovery {
  std::uint64_t sessions = 0, connected = 0, subscriptions = 0, queued = 0, retained = 0, wills = 0;
  void on_session(const SessionRecord& record) override {
    ++sessions;
    connected += record.connected ? 1U : 0U;
  }
  void on_subscription(SessionId, const SubscriptionRecord&) override { ++subscriptions; }
  void on_queue(SessionId, std::uint64_t messages, std::uint64_t) override { queued += messages; }
  void on_outgoing(SessionId, const OutgoingRecord&, const QueueEntry*) override {}
  void on_incoming(SessionId, wire::PacketId) override {}
  void on_retained(Ref<const wire::Message>) override { ++retained; }
  void on_will(SessionId, const WillRecord&) override { ++wills; }
};

// One that is whole and as damaged as what it was made of stays: there may be no better.
StoreCheck check_copy(const std::string& copy, const std::string& of) {
  StoreCheck result = check_store(copy);
  if (!result.sound)
    result.lines.push_back(
        fmt::format("{} is a whole copy of {}, and not sound: check that, and remove this one", copy, of));
  return result;
}

}  // namespace

StoreCheck check_store(const std::string& directory) {
  if (auto there = rocks::require_store(directory); !there.has_value()) return failed(there.error());
  StoreCheck result;
  const auto opened = rocks::Directory::open(directory);
  if (!opened.has_value()) {
    result.lines.push_back(opened.error().what);
    return result;
  }
  rocks::SessionTable table;
  rocks::Database database(opened->database_path(), table);
  if (auto open = database.open(rocks::IfMissing::kFail); !open.has_value()) {
    result.lines.push_back(open.error().what);
    return result;
  }
  if (auto loaded = rocks::load_table(database, rocks::LoadWhen::kAtStart); !loaded.has_value())
    result.lines.push_back(loaded.error().what);
  const rocks::CheckReport report = rocks::check(database);
  for (const std::string& damage : report.damages)
    if (std::find(result.lines.begin(), result.lines.end(), damage) == result.lines.end())
      result.lines.push_back(damage);
  result.sound = result.lines.empty();
  result.lines.push_back(
      fmt::format("{} sessions, {} subscriptions, {} queue entries, {} messages, {} retained messages", report.sessions,
                  report.subscriptions, report.entries, report.messages, report.retained));
  return result;
}

StoreCheck describe_store(const std::string& directory) {
  const bool in_use = rocks::is_in_use(directory);
  const auto snapshot = rocks::Snapshot::take(directory);
  if (!snapshot.has_value()) return failed(snapshot.error());
  rocks::SessionTable table;
  rocks::Database database(snapshot->path() + "/db", table);
  if (auto opened = database.open(rocks::IfMissing::kFail); !opened.has_value()) return failed(opened.error());
  const auto last = rocks::load_table(database, rocks::LoadWhen::kAtStart);
  if (!last.has_value()) return failed(last.error());
  Counts counts;
  if (auto reported = rocks::report(database, counts); !reported.has_value()) return failed(reported.error());
  StoreCheck result{true, {}};
  const auto tell = [&](std::string line) { result.lines.push_back(std::move(line)); };
  tell(fmt::format("directory                 {}{}", directory, in_use ? " (in use)" : ""));
  tell(fmt::format("format                    {}", rocks::kFormat));
  tell(fmt::format("sessions                  {}", counts.sessions));
  tell(fmt::format("  of connected clients    {}", counts.connected));
  tell(fmt::format("subscriptions             {}", counts.subscriptions));
  tell(fmt::format("messages waiting, about   {}", counts.queued));
  tell(fmt::format("retained messages         {}", counts.retained));
  tell(fmt::format("last wills                {}", counts.wills));
  database.flush();
  using rocks::Database;
  tell(fmt::format("bytes: state              {}", database.file_bytes(Database::kState)));
  tell(fmt::format("bytes: queue entries      {}", database.file_bytes(Database::kQueue)));
  tell(fmt::format("bytes: messages           {}", database.file_bytes(Database::kBodies)));
  tell(fmt::format("bytes: retained messages  {}", database.file_bytes(Database::kRetained)));
  return result;
}

StoreCheck back_up_store(const std::string& directory, const std::string& backup) {
  {
    const auto snapshot = rocks::Snapshot::take(directory);
    if (!snapshot.has_value()) return failed(snapshot.error());
    if (auto copied = rocks::copy_store(snapshot->path(), backup); !copied.has_value()) return failed(copied.error());
  }
  return check_copy(backup, directory);
}

StoreCheck restore_store(const std::string& backup, const std::string& directory) {
  if (rocks::is_in_use(backup))
    return failed({fmt::format("{} is in use: make a backup of it (petrel store backup), and restore that", backup)});
  if (auto copied = rocks::copy_store(backup, directory); !copied.has_value()) return failed(copied.error());
  return check_copy(directory, backup);
}

}  // namespace petrel::storage
