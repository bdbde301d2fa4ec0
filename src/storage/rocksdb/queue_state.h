// Which messages of a session's queue have been acknowledged: for each lane a floor below which all are, and a few ids
// above. This is what the store writes when a session acknowledges; the queue's entries themselves are never touched.
//
// To move a floor one must know which message is the next that waits. While a session has few messages waiting, the
// state knows them all ("complete") and moves its floors at each acknowledgement. Of a long queue it remembers none:
// acknowledgements collect above the floors, and once there are kCollected of them the caller reads the queue from the
// floor to the last one acknowledged, which it does once for each entry in the queue's life.
//
// What holds always: an entry that waits has an id above its lane's floor, and start() is not above it. Lanes that have
// no floor here have no entry below start(); when one gets an entry that might be, it gets a floor as well, and if the
// state is already on disk it must be written again.
//
// Threads: the store's writer changes it; others see copies. No I/O.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "storage/rocksdb/record.h"

namespace petrel::storage::rocks {

// The largest id each lane has committed; ids that come are larger.
class LaneTips {
 public:
  explicit LaneTips(MessageId last = 0) : last_counter_(last >> kLaneBits) {}
  MessageId of(std::uint32_t lane) const {
    const MessageId initial = make_message_id(last_counter_, lane);
    return lane < tips_.size() ? std::max(tips_[lane], initial) : initial;
  }
  void advance(MessageId id) {
    if (lane_of(id) >= tips_.size()) tips_.resize(lane_of(id) + 1);
    tips_[lane_of(id)] = std::max(tips_[lane_of(id)], id);
  }

 private:
  std::uint64_t last_counter_;
  std::vector<MessageId> tips_;
};

class QueueState {
 public:
  static constexpr std::size_t kKnownOffline = 16;  // waiting messages remembered for a session without a connection
  static constexpr std::size_t kKnownOnline = 1024;
  static constexpr std::size_t kCollected = 32;

  // A new session's queue: empty and known to be. As read from disk: the waiting messages are unknown until
  // rescanned().
  QueueState() = default;
  static QueueState from_record(AcknowledgedRecord record);

  bool is_acknowledged(MessageId id) const;
  // Nothing before it waits.
  MessageId start() const;
  bool complete() const { return complete_; }
  const std::vector<MessageId>& waiting() const { return waiting_; }  // when complete

  // The changes of one group: acknowledgements first, then what is new. True: the record must be written.
  [[nodiscard]] bool acknowledge(const std::vector<MessageId>& ids, const LaneTips& tips);
  [[nodiscard]] bool enqueue(MessageId id, std::size_t most_known);
  bool has_floor(std::uint32_t lane) const { return floor_of(lane) != nullptr; }

  bool wants_scan() const { return !complete_ && above_.size() >= scan_at_; }
  MessageId scan_to() const { return above_.empty() ? start() : above_.back(); }
  // What a scan from start() found: the ids not acknowledged, ascending; everything up to `scanned` was seen, or the
  // whole queue.
  void rescanned(const std::vector<MessageId>& found, MessageId scanned, bool whole, std::size_t most_known,
                 const LaneTips& tips);
  void postpone_scan() { scan_at_ = 2 * above_.size(); }
  void forget_beyond(std::size_t most_known);

  AcknowledgedRecord record() const { return {floors_, above_}; }
  bool on_disk() const { return on_disk_; }
  void set_on_disk() { on_disk_ = true; }
  MessageId largest_known() const;

 private:
  MessageId* floor_of(std::uint32_t lane);
  const MessageId* floor_of(std::uint32_t lane) const { return const_cast<QueueState*>(this)->floor_of(lane); }
  bool is_waiting(MessageId id) const;  // of a complete queue, for ids that come
  void raise_floors(const std::vector<MessageId>& waiting, const LaneTips& tips, const MessageId* scanned);

  std::vector<MessageId> floors_;   // one for each lane, the lane in its low bits
  std::vector<MessageId> above_;    // acknowledged, above their floors, ascending
  std::vector<MessageId> waiting_;  // when complete: in the order of arrival, of each lane ascending
  std::size_t scan_at_ = kCollected;
  bool complete_ = true;
  bool on_disk_ = false;
};

}  // namespace petrel::storage::rocks
