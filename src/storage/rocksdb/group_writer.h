// Makes one atomic write of the batches that wait: all of them happen, or none. A message that all its stored receivers
// have acknowledged within the group is not written at all, nor are its queue entries: whoever acknowledged it has it.
//
// The session table follows the disk: it is changed after the write, except that new sessions are entered before it,
// because RocksDB may write (and filter) files while the write is under way.
//
// Threads: the writer's.
#pragma once

#include <rocksdb/write_batch.h>

#include <span>
#include <vector>

#include "storage/rocksdb/database.h"

namespace petrel::storage::rocks {

class GroupWriter {
 public:
  GroupWriter(Database& database, bool sync) : database_(database), table_(database.table()), sync_(sync) {}

  // After an error nothing has changed, and the same may be tried again.
  [[nodiscard]] Result<void, StoreError> commit(std::span<const Batch* const> batches);

  struct Counts {
    std::uint64_t writes = 0;     // groups that went to disk
    std::uint64_t entries = 0;    // queue entries written
    std::uint64_t elided = 0;     // queue entries that needed no writing
    std::uint64_t bodies = 0;     // messages written
    std::uint64_t log_bytes = 0;  // handed to RocksDB
    std::uint64_t rescans = 0;    // queues read to move their floor
  };
  const Counts& counts() const { return counts_; }

 private:
  // A session that the group touches.
  struct Touched {
    SessionId id = 0;
    SessionState* state = nullptr;
    bool exists = false;
    bool connected = false;
    std::size_t first_pending = 0;
    std::vector<std::size_t> pending;  // places in entries_
    std::vector<MessageId> acknowledged;
    std::optional<QueueState> next;
    void reset(SessionId session, SessionState* found);
  };
  struct Entry {
    Touched* session;
    const QueueEntry* entry;
    bool dropped = false;
  };

  Touched* touch(SessionId session, bool create = false);
  void put_state(SessionId session, Kind kind, std::string_view rest);

  void apply(const PutSession& change);
  void apply(const EraseSession& change);
  void apply(const PutSubscription& change);
  void apply(const EraseSubscription& change);
  void apply(const Enqueue& change);
  void apply(const Acknowledge& change);
  void apply(const PutOutgoing& change);
  void apply(const EraseOutgoing& change);
  void apply(const PutIncoming& change);
  void apply(const EraseIncoming& change);
  void apply(const PutRetained& change);
  void apply(const EraseRetained& change);
  void apply(const PutWill& change);
  void apply(const EraseWill& change);

  void write_entries();
  void write_queue_state(Touched& session);
  void rescan(Touched& session);
  void publish();
  void roll_back();
  void clear();

  Database& database_;
  SessionTable& table_;
  const bool sync_;
  rocksdb::WriteBatch batch_;
  std::string key_, value_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<Touched>> touched_;  // the first touched_count_ are in use
  std::size_t touched_count_ = 0;
  std::uint64_t group_number_ = 0;
  std::vector<SessionId> created_;
  std::vector<MessageId> seen_;  // the last id of each batch's run
  Counts counts_;
  Counts group_;
};

}  // namespace petrel::storage::rocks
