// What need not be written. Batches wait here in the order of their submission until they are written. A receiver's
// acknowledgement that comes while the message still waits cancels the queue entry out, whatever batches, lanes and
// groups the two are in: whoever has acknowledged the message has it. A batch all of whose entries went this way is as
// good as committed, and nothing was written.
//
// That holds for QoS 1 and less. An entry of QoS 2 stays, since its acknowledgement comes with a record of the
// exchange, and the two belong together.
//
// It holds only of what was delivered. An acknowledgement without that takes effect with its batch, never before: the
// same batch may hand the message on to another session.
//
// An acknowledgement itself may be written after its batch is reported: nobody waits for it, and if the process is
// killed before, the message is delivered again, which QoS 1 allows.
//
// Of each session it is noted whether it acknowledges in time: only for those that do a batch is worth holding back.
//
// Threads: the store's writer. The batches stay where they are until pop_front().
#pragma once

#include <cstdint>
#include <deque>

#include "storage/rocksdb/session_table.h"

namespace petrel::storage::rocks {

class Elision {
 public:
  explicit Elision(SessionTable& table) : table_(table) {}

  // What a batch still waits for.
  struct State {
    Batch* batch = nullptr;
    std::uint32_t urgent = 0;    // changes that must be written before it is reported
    std::uint32_t awaited = 0;   // entries whose acknowledgement is likely to come
    std::uint32_t doubtful = 0;  // entries whose acknowledgement may come, but not soon
    std::uint32_t later = 0;     // acknowledgements of messages that were written before
    bool is_settled() const { return urgent + awaited + doubtful == 0; }
    bool is_void() const { return is_settled() && later == 0; }
  };

  void add(Batch& batch);
  // Something that is no batch takes a place in the order.
  void add_other() { states_.push_back({.urgent = 1}); }
  std::size_t size() const { return states_.size(); }
  const State& at(std::size_t place) const { return states_[place]; }
  // The oldest is written, or has nothing to write. `in_vain`: it was held back as long as it might.
  void pop_front(bool in_vain = false);
  // Forgets all that waits.
  void clear();

  std::uint64_t awaited() const { return awaited_; }  // in all batches
  std::uint64_t elided() const { return elided_; }    // entries, since the start

 private:
  void note(State& state, Enqueue& change, std::size_t place);
  void note(State& state, Acknowledge& change);
  SessionState* find(SessionId session);
  void drop_stale(Ring<UnwrittenEntry>& entries) const;
  bool cancel(Unwritten& unwritten, MessageId message);

  SessionTable& table_;
  std::deque<State> states_;
  std::uint64_t first_ = 1;  // number of the oldest
  std::uint64_t awaited_ = 0, elided_ = 0;
};

}  // namespace petrel::storage::rocks
