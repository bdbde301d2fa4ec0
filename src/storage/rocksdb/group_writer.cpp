#include "storage/rocksdb/group_writer.h"

#include <rocksdb/db.h>

#include <cassert>

#include "base/release_memory.h"
#include "storage/rocksdb/queue_scan.h"

namespace petrel::storage::rocks {
namespace {

constexpr std::size_t kKeptBytes = std::size_t{1} << 20;
constexpr std::size_t kKeptSessions = 8192;

}  // namespace

void GroupWriter::Touched::reset(SessionId session, SessionState* found) {
  id = session;
  state = found;
  exists = true;
  connected = found->connected;
  first_pending = 0;
  pending.clear();
  acknowledged.clear();
  next.reset();
}

Result<void, StoreError> GroupWriter::commit(std::span<const Batch* const> batches) {
  clear();
  for (const Batch* batch : batches)
    for (const Change& change : batch->changes) std::visit([this](const auto& c) { apply(c); }, change);
  write_entries();
  for (std::size_t i = 0; i < touched_count_; ++i) write_queue_state(*touched_[i]);
  if (batch_.Count() != 0) {
    if (auto written = database_.write(batch_, sync_); !written.has_value()) {
      roll_back();
      return written;
    }
    ++counts_.writes;
  }
  publish();
  return {};
}

void GroupWriter::clear() {
  // What one very large group needed is given back.
  if (batch_.GetDataSize() > kKeptBytes) batch_ = rocksdb::WriteBatch();
  if (touched_.size() > kKeptSessions) touched_.resize(kKeptSessions);
  if (entries_.capacity() > kKeptSessions) release_memory(entries_);
  batch_.Clear();
  entries_.clear();
  ++group_number_;
  touched_count_ = 0;
  created_.clear();
  seen_.clear();
  group_ = {};
}

GroupWriter::Touched* GroupWriter::touch(SessionId session, bool create) {
  if (touched_count_ != 0 && touched_[touched_count_ - 1]->id == session) return touched_[touched_count_ - 1].get();
  auto known = table_.sessions.find(session);
  if (known == table_.sessions.end()) {
    if (!create) return nullptr;
    const std::lock_guard lock(table_.mutex);
    known = table_.sessions.try_emplace(session).first;
    created_.push_back(session);
  }
  SessionState& state = known->second;
  if (state.group == group_number_) return touched_[state.place].get();
  state.group = group_number_;
  state.place = touched_count_;
  if (touched_count_ == touched_.size()) touched_.push_back(std::make_unique<Touched>());
  Touched* touched = touched_[touched_count_++].get();
  touched->reset(session, &state);
  return touched;
}

void GroupWriter::put_state(SessionId session, Kind kind, std::string_view rest) {
  key_.clear();
  append_session_id(key_, session);
  key_ += static_cast<char>(kind);
  key_ += rest;
  batch_.Put(database_.column(Database::kState), key_, value_);
}

void GroupWriter::apply(const PutSession& change) {
  Touched& session = *touch(change.record.id, true);
  assert(session.exists);  // ids are not used again
  session.connected = change.record.connected;
  value_.clear();
  append_session(value_, change.record);
  put_state(change.record.id, Kind::kSession, {});
}

// Without its own record a session is not there, whatever else of it is still in the files (filters.h). A range
// deletion would say more: but RocksDB 7.8 ends the process when it writes a file of nothing but such, none of which is
// needed any more, and the disk fails.
void GroupWriter::apply(const EraseSession& change) {
  Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Delete(database_.column(Database::kState), state_key(change.session, Kind::kSession));
  for (const std::size_t place : session->pending) entries_[place].dropped = true;
  session->pending.clear();
  session->first_pending = 0;
  session->acknowledged.clear();
  session->exists = false;
}

void GroupWriter::apply(const PutSubscription& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  value_.clear();
  append_subscription(value_, change.record);
  put_state(change.session, Kind::kSubscription, change.record.filter);
}

void GroupWriter::apply(const EraseSubscription& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Delete(database_.column(Database::kState), state_key(change.session, Kind::kSubscription, change.filter));
}

void GroupWriter::apply(const Enqueue& change) {
  if (change.session == 0) return;  // needs no writing (elision.h)
  if (seen_.empty() || seen_.back() != change.entry.id) seen_.push_back(change.entry.id);
  Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  session->pending.push_back(entries_.size());
  entries_.push_back({session, &change.entry});
}

// An entry of this group that is acknowledged in this group need not be written. Acknowledgements come in the order of
// the messages, so the first that is looked at is mostly the one.
void GroupWriter::apply(const Acknowledge& change) {
  if (change.session == 0) return;
  Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  for (std::size_t i = session->first_pending; i < session->pending.size(); ++i) {
    Entry& entry = entries_[session->pending[i]];
    // Those of a lane ascend: it was written before.
    if (entry.entry->id > change.message && lane_of(entry.entry->id) == lane_of(change.message)) break;
    if (entry.dropped || entry.entry->id != change.message) continue;
    entry.dropped = true;
    ++group_.elided;
    if (i == session->first_pending) ++session->first_pending;
    return;
  }
  session->acknowledged.push_back(change.message);
}

void GroupWriter::apply(const PutOutgoing& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  value_.clear();
  append_outgoing(value_, change.record);
  batch_.Put(database_.column(Database::kState), packet_key(change.session, Kind::kOutgoing, change.record.packet_id),
             value_);
}

void GroupWriter::apply(const EraseOutgoing& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Delete(database_.column(Database::kState), packet_key(change.session, Kind::kOutgoing, change.packet_id));
}

void GroupWriter::apply(const PutIncoming& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Put(database_.column(Database::kState), packet_key(change.session, Kind::kIncoming, change.packet_id),
             rocksdb::Slice());
}

void GroupWriter::apply(const EraseIncoming& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Delete(database_.column(Database::kState), packet_key(change.session, Kind::kIncoming, change.packet_id));
}

void GroupWriter::apply(const PutRetained& change) {
  value_.clear();
  append_message(value_, *change.message);
  const std::string_view topic = change.message->topic();
  batch_.Put(database_.column(Database::kRetained), rocksdb::Slice(topic.data(), topic.size()), value_);
}

void GroupWriter::apply(const EraseRetained& change) {
  batch_.Delete(database_.column(Database::kRetained), change.topic);
}

void GroupWriter::apply(const PutWill& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  value_.clear();
  append_will(value_, change.will);
  put_state(change.session, Kind::kWill, {});
}

void GroupWriter::apply(const EraseWill& change) {
  const Touched* session = touch(change.session);
  if (session == nullptr || !session->exists) return;
  batch_.Delete(database_.column(Database::kState), state_key(change.session, Kind::kWill));
}

void GroupWriter::write_entries() {
  MessageId last_body = 0;
  for (const Entry& entry : entries_) {
    if (entry.dropped) continue;
    const MessageId id = entry.entry->id;
    if (id != last_body) {
      value_.clear();
      append_message(value_, *entry.entry->message);
      batch_.Put(database_.column(Database::kBodies), body_key(id), value_);
      last_body = id;
      ++group_.bodies;
    }
    key_ = queue_key(entry.session->id, id);
    value_.clear();
    append_entry(value_, *entry.entry);
    batch_.Put(database_.column(Database::kQueue), key_, value_);
    ++group_.entries;
  }
}

void GroupWriter::write_queue_state(Touched& session) {
  if (!session.exists) return;
  const QueueState& before = session.state->queue;
  bool copy = !session.acknowledged.empty();
  for (std::size_t i = session.first_pending; !copy && i < session.pending.size(); ++i) {
    const Entry& entry = entries_[session.pending[i]];
    copy = !entry.dropped && before.on_disk() && !before.has_floor(lane_of(entry.entry->id));
  }
  if (!copy) return;
  session.next = before;
  bool write = session.next->acknowledge(session.acknowledged, table_.tips);
  if (session.next->wants_scan()) rescan(session);
  const std::size_t most = session.connected ? QueueState::kKnownOnline : QueueState::kKnownOffline;
  for (const std::size_t place : session.pending)
    if (!entries_[place].dropped) write |= session.next->enqueue(entries_[place].entry->id, most);
  if (!write) return;
  value_.clear();
  append_acknowledged(value_, session.next->record());
  put_state(session.id, Kind::kAcknowledgements, {});
  session.next->set_on_disk();
}

void GroupWriter::rescan(Touched& session) {
  const auto iterator = database_.iterate(Database::kQueue, true);
  const std::size_t most = session.connected ? QueueState::kKnownOnline : QueueState::kKnownOffline;
  const auto scan =
      scan_queue(database_, *iterator, session.id, *session.next, session.next->scan_to(), QueueState::kKnownOffline);
  if (!scan.has_value()) return session.next->postpone_scan();
  session.next->rescanned(scan->waiting, scan->scanned, scan->whole, most, table_.tips);
  ++group_.rescans;
}

void GroupWriter::publish() {
  const std::lock_guard lock(table_.mutex);
  for (std::size_t i = 0; i < touched_count_; ++i) {
    Touched& session = *touched_[i];
    if (!session.exists) {
      table_.ended += table_.sessions.erase(session.id);
      continue;
    }
    SessionState& state = *session.state;
    state.connected = session.connected;
    if (session.next) {
      state.queue = std::move(*session.next);
    } else {
      for (const std::size_t place : session.pending)
        if (!entries_[place].dropped) (void)state.queue.enqueue(entries_[place].entry->id, state.most_known());
    }
    state.queue.forget_beyond(state.most_known());
  }
  for (const MessageId id : seen_) table_.tips.advance(id);
  counts_.entries += group_.entries;
  counts_.elided += group_.elided;
  counts_.bodies += group_.bodies;
  counts_.rescans += group_.rescans;
  counts_.log_bytes += batch_.Count() == 0 ? 0 : batch_.GetDataSize();
}

void GroupWriter::roll_back() {
  const std::lock_guard lock(table_.mutex);
  for (const SessionId session : created_) table_.sessions.erase(session);
}

}  // namespace petrel::storage::rocks
