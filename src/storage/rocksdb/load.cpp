#include "storage/rocksdb/load.h"

#include <fmt/format.h>
#include <rocksdb/db.h>

#include <algorithm>

#include "storage/rocksdb/queue_scan.h"

namespace petrel::storage::rocks {
namespace {

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

StoreError damaged(std::string_view what, std::string_view key) {
  std::string shown;
  for (const char c : key.substr(0, 64)) shown += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return {
      fmt::format("the store is damaged: {} {} cannot be read; run \"petrel store check\" on its directory, and "
                  "restore it from a backup or begin with an empty one",
                  what, shown)};
}

// Sessions and how far they have acknowledged.
Result<std::vector<SessionId>, StoreError> load_states(Database& database, LastIds& last) {
  SessionTable& table = database.table();
  std::vector<SessionId> order;
  table.ended = 0;
  const auto iterator = database.iterate(Database::kState);
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    const auto key = decode_state_key(view(iterator->key()));
    if (!key) return damaged("the record", view(iterator->key()));
    if (key->session != last.session && key->kind != Kind::kSession) ++table.ended;
    last.session = key->session;  // of what is left of one that has ended, too
    if (key->kind == Kind::kSession) {
      order.push_back(key->session);
      table.sessions[key->session].queue = QueueState::from_record({});
    } else if (key->kind == Kind::kAcknowledgements && !order.empty() && order.back() == key->session) {
      AcknowledgedRecord record;
      if (!decode_acknowledged(view(iterator->value()), record)) return damaged("the record", view(iterator->key()));
      SessionState& session = table.sessions[key->session];
      session.queue = QueueState::from_record(std::move(record));
      last.message = std::max(last.message, session.queue.largest_known());
    }
  }
  if (!iterator->status().ok()) return database.error(iterator->status());
  return order;
}

// How many bytes of the queue column lie between two keys.
double bytes_between(Database& database, const std::string& begin, const std::string& end) {
  rocksdb::SizeApproximationOptions options;
  options.include_memtables = true;
  const rocksdb::Range range(begin, end);
  std::uint64_t bytes = 0;
  database.db()
      .GetApproximateSizes(options, database.column(Database::kQueue), &range, 1, &bytes)
      .PermitUncheckedError();
  return static_cast<double>(bytes);
}

// What waits in the queues. The first few entries of each are remembered, so that short queues are known whole; of the
// others it is counted how many wait, as long as that takes no more than a moment: limits rest on it, and RocksDB's own
// estimates may be wrong by any factor where there is little.
class QueueHeads {
 public:
  QueueHeads(Database& database, LoadWhen when, std::uint64_t most_counted)
      : database_(database), when_(when), budget_(when == LoadWhen::kAtStart ? most_counted : 0) {}

  Result<void, StoreError> load(const std::vector<SessionId>& order) {
    const auto iterator = database_.iterate(Database::kQueue);
    iterator->SeekToFirst();
    for (const SessionId id : order)
      if (auto loaded = load(id, database_.table().sessions[id], *iterator); !loaded.has_value()) return loaded;
    return {};
  }
  // Of the messages in these queues; known at the start only.
  MessageId largest() const { return largest_; }

 private:
  Result<void, StoreError> load(SessionId id, SessionState& session, rocksdb::Iterator& iterator) {
    const std::string start = queue_key(id, session.queue.start());
    if (iterator.Valid() && view(iterator.key()) < start) iterator.Seek(start);
    waiting_.clear();
    std::uint64_t waiting = 0;
    bool whole = true;
    for (; iterator.Valid(); iterator.Next()) {
      const auto key = decode_queue_key(view(iterator.key()));
      if (!key) return damaged("the queue entry", view(iterator.key()));
      if (key->session != id) break;
      largest_ = std::max(largest_, key->message);
      largest_bytes_ = std::max(largest_bytes_, iterator.key().size() + iterator.value().size());
      if (session.queue.is_acknowledged(key->message)) continue;
      if (waiting >= QueueState::kKnownOffline && budget_ == 0) {
        whole = false;
        break;
      }
      ++waiting;
      if (waiting_.size() < QueueState::kKnownOffline)
        waiting_.push_back(key->message);
      else
        --budget_;
    }
    if (!iterator.status().ok()) return database_.error(iterator.status());
    session.waiting_at_start = waiting + (whole ? 0 : estimate(id, iterator));
    if (!whole && when_ == LoadWhen::kAtStart) look_at_end(id, iterator);
    if (waiting == waiting_.size() && whole)
      session.queue.rescanned(waiting_, waiting_.empty() ? 0 : waiting_.back(), true, QueueState::kKnownOffline,
                              database_.table().tips);
    return {};
  }

  // The last entry is the one with the largest id.
  void look_at_end(SessionId id, rocksdb::Iterator& iterator) {
    iterator.SeekForPrev(after_session(id));
    const auto key = iterator.Valid() ? decode_queue_key(view(iterator.key())) : std::nullopt;
    if (key && key->session == id) largest_ = std::max(largest_, key->message);
  }

  // How many follow in the session's queue, rather too few than too many: each is taken to be as large as the largest
  // that was looked at, before compression, and RocksDB to have taken them for twice of what there is.
  std::uint64_t estimate(SessionId id, const rocksdb::Iterator& iterator) {
    const std::string here(view(iterator.key()));
    return static_cast<std::uint64_t>(bytes_between(database_, here, after_session(id)) /
                                      (2 * static_cast<double>(largest_bytes_)));
  }

  Database& database_;
  const LoadWhen when_;
  std::uint64_t budget_;  // entries that may still be counted
  MessageId largest_ = 0;
  std::size_t largest_bytes_ = 1;  // an entry that was looked at
  std::vector<MessageId> waiting_;
};

// Reports the records of one session after the other.
class Reporter {
 public:
  Reporter(Database& database, Recovery& recovery) : database_(database), recovery_(recovery) {}

  Result<void, StoreError> run() {
    const auto iterator = database_.iterate(Database::kState);
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      const auto key = decode_state_key(view(iterator->key()));
      if (!key || !take(*key, view(iterator->value()))) return damaged("the record", view(iterator->key()));
    }
    if (!iterator->status().ok()) return database_.error(iterator->status());
    return report_retained();
  }

 private:
  bool take(const StateKey& key, std::string_view value) {
    if (key.kind == Kind::kSession) {
      SessionRecord record;
      record.id = key.session;
      if (!decode_session(value, record)) return false;
      session_ = key.session;
      recovery_.on_session(record);
      const std::uint64_t messages = length(session_);
      recovery_.on_queue(session_, messages, messages * kBlockBytes);
      return true;
    }
    return key.session != session_ || take_part(key, value);
  }

  bool take_part(const StateKey& key, std::string_view value) {
    switch (key.kind) {
      case Kind::kSubscription: {
        SubscriptionRecord record;
        record.filter = key.rest;
        if (!decode_subscription(value, record)) return false;
        recovery_.on_subscription(session_, record);
        return true;
      }
      case Kind::kOutgoing: {
        OutgoingRecord record;
        const auto packet_id = decode_packet_id(key.rest);
        if (!packet_id || !decode_outgoing(value, record)) return false;
        record.packet_id = *packet_id;
        report_outgoing(record);
        return true;
      }
      case Kind::kIncoming: {
        const auto packet_id = decode_packet_id(key.rest);
        if (packet_id) recovery_.on_incoming(session_, *packet_id);
        return packet_id.has_value();
      }
      case Kind::kWill: {
        WillRecord will;
        if (!decode_will(value, will)) return false;
        recovery_.on_will(session_, will);
        return true;
      }
      case Kind::kSession:
      case Kind::kAcknowledgements:
        break;
    }
    return true;
  }

  // With its message, if the exchange is not released and the message is there.
  void report_outgoing(const OutgoingRecord& record) {
    const auto queue = database_.table().queue_of(session_);
    if (record.released || !queue || queue->is_acknowledged(record.message))
      return recovery_.on_outgoing(session_, record, nullptr);
    const auto entry = read_entry(database_, session_, record.message);
    recovery_.on_outgoing(session_, record, entry ? &*entry : nullptr);
  }

  // Nothing has changed since the table was loaded.
  std::uint64_t length(SessionId session) const {
    const SessionTable& table = database_.table();
    const auto found = table.sessions.find(session);
    return found == table.sessions.end() ? 0 : found->second.waiting_at_start;
  }

  Result<void, StoreError> report_retained() {
    const auto iterator = database_.iterate(Database::kRetained);
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      auto message = decode_message(view(iterator->value()));
      if (!message) return damaged("the retained message", view(iterator->key()));
      recovery_.on_retained(std::move(message));
    }
    if (!iterator->status().ok()) return database_.error(iterator->status());
    return {};
  }

  Database& database_;
  Recovery& recovery_;
  SessionId session_ = 0;
  static constexpr std::uint64_t kBlockBytes = 64;  // what a message takes in memory beside its bytes
};

struct Counter final : Recovery {
  explicit Counter(CheckReport& r) : report(r) {}
  void on_session(const SessionRecord&) override { ++report.sessions; }
  void on_subscription(SessionId, const SubscriptionRecord&) override { ++report.subscriptions; }
  void on_queue(SessionId, std::uint64_t, std::uint64_t) override {}
  void on_outgoing(SessionId, const OutgoingRecord&, const QueueEntry*) override {}
  void on_incoming(SessionId, wire::PacketId) override {}
  void on_retained(Ref<const wire::Message>) override { ++report.retained; }
  void on_will(SessionId, const WillRecord&) override {}
  CheckReport& report;
};

constexpr std::size_t kDamagesShown = 20;

void note(CheckReport& result, StoreError error) {
  if (result.damages.size() < kDamagesShown) result.damages.push_back(std::move(error.what));
}

}  // namespace

Result<LastIds, StoreError> load_table(Database& database, LoadWhen when, std::uint64_t most_counted) {
  SessionTable& table = database.table();
  table.sessions.clear();
  LastIds last;
  const auto order = load_states(database, last);
  if (!order.has_value()) return order.error();
  const auto bodies = database.iterate(Database::kBodies);
  bodies->SeekToLast();
  if (bodies->Valid()) {
    const auto id = decode_body_key(view(bodies->key()));
    if (!id) return damaged("the message", view(bodies->key()));
    last.message = std::max(last.message, *id);
  }
  if (!bodies->status().ok()) return database.error(bodies->status());
  const auto entries = database.iterate(Database::kQueue);
  entries->SeekToLast();
  if (entries->Valid()) {
    const auto key = decode_queue_key(view(entries->key()));
    if (!key) return damaged("the queue entry", view(entries->key()));
    last.session = std::max(last.session, key->session);
  }
  if (!entries->status().ok()) return database.error(entries->status());
  if (when == LoadWhen::kAtStart) table.tips = LaneTips(last.message);
  QueueHeads heads(database, when, most_counted);
  if (auto loaded = heads.load(*order); !loaded.has_value()) return loaded.error();
  // An entry may be there whose message is not: expired ones go first.
  last.message = std::max(last.message, heads.largest());
  if (when == LoadWhen::kAtStart) table.tips = LaneTips(last.message);
  const std::lock_guard lock(table.mutex);
  table.loaded = true;
  return last;
}

Result<void, StoreError> report(Database& database, Recovery& recovery) { return Reporter(database, recovery).run(); }

CheckReport check(Database& database) {
  CheckReport result;
  if (auto verified = database.verify(); !verified.has_value()) note(result, verified.error());
  Counter counter(result);
  if (auto reported = report(database, counter); !reported.has_value()) note(result, reported.error());
  const auto entries = database.iterate(Database::kQueue);
  for (entries->SeekToFirst(); entries->Valid(); entries->Next(), ++result.entries) {
    QueueEntry entry;
    if (!decode_queue_key(view(entries->key())) || !decode_entry(view(entries->value()), entry))
      note(result, damaged("the queue entry", view(entries->key())));
  }
  if (!entries->status().ok()) note(result, database.error(entries->status()));
  const auto bodies = database.iterate(Database::kBodies);
  for (bodies->SeekToFirst(); bodies->Valid(); bodies->Next(), ++result.messages) {
    if (!decode_body_key(view(bodies->key())) || !decode_message(view(bodies->value())))
      note(result, damaged("the message", view(bodies->key())));
  }
  if (!bodies->status().ok()) note(result, database.error(bodies->status()));
  return result;
}

}  // namespace petrel::storage::rocks
