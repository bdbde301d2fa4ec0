// What the store knows of its sessions without reading: that they exist, and which of their messages are acknowledged.
//
// Threads: the writer alone changes it, with the mutex held; it reads without. Others read with the mutex held. The
// mutex is never held during I/O. Until `loaded` nothing may be concluded from a session's absence.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/ring.h"
#include "storage/rocksdb/queue_state.h"

namespace petrel::storage::rocks {

// Entries that wait to be written (elision.h), in their order.
struct UnwrittenEntry {
  MessageId message = 0;
  std::uint64_t batch = 0;  // 0: it has been acknowledged
  std::size_t place = 0;    // in the batch
  bool doubtful = false;    // not waited for
};
struct Unwritten {
  Ring<UnwrittenEntry> entries;
  int credit = 0;  // below 0: the session does not acknowledge in time
};

struct SessionState {
  QueueState queue;
  bool connected = false;
  std::uint64_t waiting_at_start = 0;  // messages in the queue when the table was loaded
  // The writer's notes: in which group it last met the session, and as which one.
  std::uint64_t group = 0;
  std::size_t place = 0;
  std::unique_ptr<Unwritten> unwritten;
  std::size_t most_known() const { return connected ? QueueState::kKnownOnline : QueueState::kKnownOffline; }
};

struct SessionTable {
  mutable std::mutex mutex;
  std::unordered_map<SessionId, SessionState> sessions;
  LaneTips tips;
  std::uint64_t ended = 0;  // sessions that have ended, and of which the state column may still hold something
  bool loaded = false;

  bool has(SessionId session) const {
    const std::lock_guard lock(mutex);
    return sessions.contains(session);
  }
  // A copy of the session's queue state; nothing: no such session.
  std::optional<QueueState> queue_of(SessionId session) const {
    const std::lock_guard lock(mutex);
    const auto found = sessions.find(session);
    if (found == sessions.end()) return std::nullopt;
    return found->second.queue;
  }
};

}  // namespace petrel::storage::rocks
