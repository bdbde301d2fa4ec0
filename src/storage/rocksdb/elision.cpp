#include "storage/rocksdb/elision.h"

#include <algorithm>

namespace petrel::storage::rocks {
namespace {

// A session is waited for as long as four of five of its acknowledgements come in time; when they do not, so many
// entries of it go by before the next attempt.
constexpr int kMostCredit = 32, kLeastCredit = -64, kLate = 4;

}  // namespace

void Elision::add(Batch& batch) {
  State& state = states_.emplace_back();
  state.batch = &batch;
  for (std::size_t i = 0; i < batch.changes.size(); ++i) {
    Change& change = batch.changes[i];
    if (auto* enqueue = std::get_if<Enqueue>(&change)) {
      note(state, *enqueue, i);
    } else if (auto* acknowledge = std::get_if<Acknowledge>(&change)) {
      note(state, *acknowledge);
    } else {
      ++state.urgent;
    }
  }
}

SessionState* Elision::find(SessionId session) {
  const auto found = table_.sessions.find(session);
  return found == table_.sessions.end() ? nullptr : &found->second;
}

void Elision::note(State& state, Enqueue& change, std::size_t place) {
  SessionState* session = change.entry.qos == wire::Qos::k2 ? nullptr : find(change.session);
  if (session == nullptr || !session->connected) {
    ++state.urgent;
    return;
  }
  if (!session->unwritten) session->unwritten = std::make_unique<Unwritten>();
  Unwritten& unwritten = *session->unwritten;
  const bool doubtful = unwritten.credit < 0;
  if (doubtful) ++unwritten.credit;
  drop_stale(unwritten.entries);
  unwritten.entries.push_back({change.entry.id, first_ + states_.size() - 1, place, doubtful});
  if (doubtful) {
    ++state.doubtful;
  } else {
    ++state.awaited;
    ++awaited_;
  }
}

void Elision::drop_stale(Ring<UnwrittenEntry>& entries) const {
  while (!entries.empty() && entries.front().batch < first_) entries.pop_front();
}

void Elision::note(State& state, Acknowledge& change) {
  if (!change.delivered) {
    ++state.urgent;
    return;
  }
  SessionState* session = find(change.session);
  if (session == nullptr || !session->unwritten || !cancel(*session->unwritten, change.message)) {
    ++state.later;
    return;
  }
  change.session = 0;  // no session's: passed over by who writes
  session->unwritten->credit = std::min(session->unwritten->credit + 1, kMostCredit);
}

// Acknowledgements mostly come in the order of the messages, so the first that is looked at is the one.
bool Elision::cancel(Unwritten& unwritten, MessageId message) {
  Ring<UnwrittenEntry>& entries = unwritten.entries;
  drop_stale(entries);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    UnwrittenEntry& entry = entries[i];
    // Those of a lane ascend: it was written before, or was never there.
    if (entry.message > message && lane_of(entry.message) == lane_of(message)) return false;
    if (entry.message != message || entry.batch < first_) continue;
    State& state = states_[entry.batch - first_];
    auto& enqueue = std::get<Enqueue>(state.batch->changes[entry.place]);
    enqueue.session = 0;
    enqueue.entry.message = nullptr;
    if (entry.doubtful) {
      --state.doubtful;
    } else {
      --state.awaited;
      --awaited_;
    }
    ++elided_;
    entry.batch = 0;
    return true;
  }
  return false;
}

void Elision::pop_front(bool in_vain) {
  const State& state = states_.front();
  for (std::size_t i = 0; state.awaited != 0 && in_vain && i < state.batch->changes.size(); ++i) {
    const auto* enqueue = std::get_if<Enqueue>(&state.batch->changes[i]);
    SessionState* session = enqueue == nullptr || enqueue->session == 0 ? nullptr : find(enqueue->session);
    if (session == nullptr || !session->unwritten) continue;
    drop_stale(session->unwritten->entries);
    auto& entries = session->unwritten->entries;
    if (entries.empty() || entries.front().batch != first_) continue;
    if (!entries.pop_front().doubtful)
      session->unwritten->credit = std::max(session->unwritten->credit - kLate, kLeastCredit);
  }
  awaited_ -= state.awaited;
  states_.pop_front();
  ++first_;
}

void Elision::clear() {
  for (auto& [id, session] : table_.sessions)
    if (session.unwritten) session.unwritten->entries.clear();
  first_ += states_.size();
  states_.clear();
  awaited_ = 0;
}

}  // namespace petrel::storage::rocks
