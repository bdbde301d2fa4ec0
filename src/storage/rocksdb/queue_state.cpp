#include "storage/rocksdb/queue_state.h"

#include "base/release_memory.h"

namespace petrel::storage::rocks {
namespace {

constexpr MessageId kStep = MessageId{1} << kLaneBits;

MessageId below(MessageId id) { return id < kStep ? id : id - kStep; }

void insert_sorted(std::vector<MessageId>& ids, MessageId id) {
  const auto place = std::lower_bound(ids.begin(), ids.end(), id);
  if (place == ids.end() || *place != id) ids.insert(place, id);
}

}  // namespace

QueueState QueueState::from_record(AcknowledgedRecord record) {
  QueueState state;
  state.floors_ = std::move(record.floors);
  state.above_ = std::move(record.above);
  std::sort(state.above_.begin(), state.above_.end());
  // Without a record nothing was ever acknowledged: the queue begins where ids begin.
  state.on_disk_ = !state.floors_.empty() || !state.above_.empty();
  if (state.floors_.empty()) state.floors_.push_back(0);
  state.complete_ = false;
  return state;
}

MessageId* QueueState::floor_of(std::uint32_t lane) {
  for (MessageId& floor : floors_)
    if (lane_of(floor) == lane) return &floor;
  return nullptr;
}

bool QueueState::is_acknowledged(MessageId id) const {
  const MessageId* floor = floor_of(lane_of(id));
  return (floor != nullptr && id <= *floor) || std::binary_search(above_.begin(), above_.end(), id);
}

MessageId QueueState::start() const { return floors_.empty() ? 0 : *std::min_element(floors_.begin(), floors_.end()); }

MessageId QueueState::largest_known() const {
  MessageId largest = above_.empty() ? 0 : above_.back();
  for (const MessageId floor : floors_) largest = std::max(largest, floor);
  return largest;
}

bool QueueState::acknowledge(const std::vector<MessageId>& ids, const LaneTips& tips) {
  bool changed = false;
  for (const MessageId id : ids) {
    if (complete_) {
      const auto place = std::find(waiting_.begin(), waiting_.end(), id);
      if (place == waiting_.end()) continue;  // acknowledged before, or never queued
      waiting_.erase(place);
    } else if (is_acknowledged(id)) {
      continue;
    }
    insert_sorted(above_, id);
    changed = true;
  }
  if (changed && complete_) raise_floors(waiting_, tips, nullptr);
  return changed;
}

bool QueueState::enqueue(MessageId id, std::size_t most_known) {
  bool write = false;
  if (floor_of(lane_of(id)) == nullptr) {
    // Of a queue that is not known there may be earlier entries of this lane, but none before start().
    const MessageId before_all = make_message_id(start() >> kLaneBits, lane_of(id));
    floors_.push_back(complete_ ? below(id) : std::min(below(id), below(before_all)));
    write = on_disk_;
  }
  if (complete_ && !is_waiting(id)) {
    waiting_.push_back(id);
    forget_beyond(most_known);
  }
  return write;
}

// Only when a write is repeated that had reached the disk though it was reported failed. Ids of a lane come ascending,
// so its last one tells.
bool QueueState::is_waiting(MessageId id) const {
  const auto last =
      std::find_if(waiting_.rbegin(), waiting_.rend(), [id](MessageId other) { return lane_of(other) == lane_of(id); });
  return last != waiting_.rend() && *last >= id;
}

void QueueState::forget_beyond(std::size_t most_known) {
  if (!complete_ || waiting_.size() <= most_known) return;
  complete_ = false;
  release_memory(waiting_);
}

void QueueState::rescanned(const std::vector<MessageId>& found, MessageId scanned, bool whole, std::size_t most_known,
                           const LaneTips& tips) {
  for (const MessageId id : found)
    if (floor_of(lane_of(id)) == nullptr) floors_.push_back(below(id));
  raise_floors(found, tips, whole ? nullptr : &scanned);
  scan_at_ = std::max(kCollected, 2 * above_.size());
  if (whole && found.size() <= most_known) {
    waiting_ = found;
    complete_ = true;
  }
}

// Each floor rises to just below the first of its lane that waits; without one, to the last id of the lane that can
// have been seen.
void QueueState::raise_floors(const std::vector<MessageId>& waiting, const LaneTips& tips, const MessageId* scanned) {
  for (MessageId& floor : floors_) {
    const std::uint32_t lane = lane_of(floor);
    const auto first = std::find_if(waiting.begin(), waiting.end(), [&](MessageId id) { return lane_of(id) == lane; });
    MessageId highest = tips.of(lane);
    if (first != waiting.end()) {
      highest = below(*first);
    } else if (scanned != nullptr) {
      const std::uint64_t counter = *scanned >> kLaneBits;
      // Of its own lane the scanned id itself was seen.
      const MessageId seen =
          lane_of(*scanned) == lane ? *scanned : make_message_id(counter == 0 ? 0 : counter - 1, lane);
      highest = std::min(highest, seen);
    }
    floor = std::max(floor, highest);
  }
  std::erase_if(above_, [this](MessageId id) {
    const MessageId* floor = floor_of(lane_of(id));
    return floor != nullptr && id <= *floor;
  });
}

}  // namespace petrel::storage::rocks
