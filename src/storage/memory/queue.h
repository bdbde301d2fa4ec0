// The queue of one session in memory: compact entries by id. Threads: none of its own; the store's mutex guards it.
// Lifetime: belongs to the store's record of the session.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory_ledger.h"
#include "storage/store.h"

namespace petrel::storage {

class MemoryQueue {
 public:
  std::size_t size() const { return live_; }
  MessageId last_id() const { return entries_.empty() ? 0 : entries_.back().id; }

  // Mostly an append; a late smaller id of another lane goes to its place.
  void insert(QueueEntry entry) {
    Slot slot{entry.id, std::move(entry.message), nullptr, entry.qos, entry.retain};
    if (!entry.identifiers.empty() || !entry.shared_group.empty())
      slot.rare = std::make_unique<Rare>(Rare{std::move(entry.identifiers), std::move(entry.shared_group)});
    auto place = entries_.empty() || entries_.back().id < slot.id ? entries_.end() : find(slot.id);
    if (place != entries_.end() && place->id == slot.id) {
      if (!place->message) ++live_;
      *place = std::move(slot);
      return;
    }
    const std::uint32_t lane = lane_of(slot.id);
    if (lane >= last_of_lane_.size()) last_of_lane_.resize(lane + 1);
    last_of_lane_[lane] = std::max(last_of_lane_[lane], slot.id);
    entries_.insert(place, std::move(slot));
    ++live_;
    share_.set(entries_.size() * sizeof(Slot));
  }

  // Unknown ids are fine. The slot stays, empty, until those before it have left or most are empty.
  void acknowledge(MessageId id) {
    auto place = find(id);
    if (place == entries_.end() || place->id != id || !place->message) return;
    place->message = nullptr;
    place->rare.reset();
    --live_;
    while (!entries_.empty() && !entries_.front().message) entries_.pop_front();
    if (entries_.size() > kFewSlots && live_ < entries_.size() / 2)
      std::erase_if(entries_, [](const Slot& slot) { return !slot.message; });
    share_.set(entries_.size() * sizeof(Slot));
  }

  void read(const QueuePosition& position, std::size_t limit, std::size_t limit_bytes, QueuePage& page) const {
    std::size_t bytes = 0;
    for (auto place = first_unread(position); place != entries_.end(); ++place) {
      const Slot& slot = *place;
      if (!slot.message || position.passed(slot.id)) continue;
      if (!page.entries.empty() && (page.entries.size() >= limit || bytes >= limit_bytes)) {
        page.more = true;
        return;
      }
      bytes += slot.message->block_bytes();
      page.entries.push_back(entry_of(slot));
    }
  }

  std::uint64_t bytes() const {
    std::uint64_t bytes = 0;
    for (const Slot& slot : entries_)
      if (slot.message) bytes += slot.message->block_bytes();
    return bytes;
  }

  std::optional<QueueEntry> find_entry(MessageId id) const {
    for (const Slot& slot : entries_)
      if (slot.id == id && slot.message) return entry_of(slot);
    return std::nullopt;
  }

 private:
  struct Rare {
    std::string identifiers, shared_group;
  };
  struct Slot {
    MessageId id;
    Ref<const wire::Message> message;  // null: acknowledged
    std::unique_ptr<Rare> rare;
    wire::Qos qos;
    bool retain;
  };
  static QueueEntry entry_of(const Slot& slot) {
    QueueEntry entry{slot.id, slot.message, {}, slot.qos, slot.retain, {}};
    if (slot.rare) {
      entry.identifiers = slot.rare->identifiers;
      entry.shared_group = slot.rare->shared_group;
    }
    return entry;
  }
  std::deque<Slot>::iterator find(MessageId id) {
    return std::lower_bound(entries_.begin(), entries_.end(), id,
                            [](const Slot& slot, MessageId wanted) { return slot.id < wanted; });
  }

  // Nothing before it is unread: the smallest position among the lanes that have given more than was read.
  std::deque<Slot>::const_iterator first_unread(const QueuePosition& position) const {
    MessageId smallest = entries_.empty() ? 0 : entries_.back().id;
    for (std::size_t lane = 0; lane < last_of_lane_.size(); ++lane) {
      const MessageId seen = lane < position.seen.size() ? position.seen[lane] : 0;
      if (last_of_lane_[lane] > seen) smallest = std::min(smallest, seen);
    }
    return std::lower_bound(entries_.begin(), entries_.end(), smallest,
                            [](const Slot& slot, MessageId wanted) { return slot.id < wanted; });
  }

  static constexpr std::size_t kFewSlots = 32;

  std::deque<Slot> entries_;
  std::vector<MessageId> last_of_lane_;  // largest id of each lane that was ever here
  std::size_t live_ = 0;
  LedgerShare<MemoryLedger::Use::kQueues> share_;
};

}  // namespace petrel::storage
