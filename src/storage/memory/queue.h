// The queue of one session in memory: compact entries, of each lane by id, for a lane that is late must not move what
// the others have put in meanwhile. Threads: none of its own; the store's mutex guards it. Lifetime: belongs to the
// store's record of the session.
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
  struct Rare {
    std::string identifiers, shared_group;
  };
  struct Slot {
    MessageId id;
    Ref<const wire::Message> message;  // null: acknowledged
    std::unique_ptr<Rare> rare;
    wire::Qos qos;
    bool retain;
    std::size_t waiting_bytes() const { return message->block_bytes() + (rare ? rare->identifiers.size() : 0); }
  };
  struct Lane {
    std::deque<Slot> entries;
    std::size_t dead = 0;  // of them without a message
    Lane() = default;
    Lane(Lane&&) noexcept = default;
    Lane& operator=(Lane&&) noexcept = default;
  };
  struct Unread {
    std::deque<Slot>::const_iterator at, end;
  };
  template <class Entries>
  static auto first_from(Entries& entries, MessageId id) {
    return std::lower_bound(entries.begin(), entries.end(), id,
                            [](const Slot& slot, MessageId wanted) { return slot.id < wanted; });
  }

 public:
  std::size_t size() const { return live_; }

  // Frees one slot, and gives the bytes of its message. There must be one with a message.
  std::size_t drop_one() {
    for (Lane& lane : lanes_) {
      if (lane.entries.empty()) continue;
      const std::size_t bytes = lane.entries.front().message ? lane.entries.front().message->block_bytes() : 0;
      if (lane.entries.front().message) --live_;
      free_rare(lane.entries.front());
      lane.entries.pop_front();
      count_slots(-1);
      return bytes;
    }
    return 0;
  }

  // Almost always an append.
  void insert(QueueEntry entry) {
    Slot slot{entry.id, std::move(entry.message), nullptr, entry.qos, entry.retain};
    identifier_bytes_ += entry.identifiers.size();
    if (!entry.identifiers.empty() || !entry.shared_group.empty())
      slot.rare = std::make_unique<Rare>(Rare{std::move(entry.identifiers), std::move(entry.shared_group)});
    const std::uint32_t number = lane_of(slot.id);
    if (number >= lanes_.size()) lanes_.resize(number + 1);
    std::deque<Slot>& entries = lanes_[number].entries;
    const auto place = entries.empty() || entries.back().id < slot.id ? entries.end() : first_from(entries, slot.id);
    if (place != entries.end() && place->id == slot.id) {
      if (!place->message) ++live_;
      free_rare(*place);
      *place = std::move(slot);
      count_slots(0);
      return;
    }
    entries.insert(place, std::move(slot));
    ++live_;
    count_slots(1);
  }

  // Unknown ids are fine. The slot stays, empty, until those before it have left or most are empty.
  void acknowledge(MessageId id) {
    if (lane_of(id) >= lanes_.size()) return;
    Lane& lane = lanes_[lane_of(id)];
    const auto place = first_from(lane.entries, id);
    if (place == lane.entries.end() || place->id != id || !place->message) return;
    place->message = nullptr;
    free_rare(*place);
    --live_;
    ++lane.dead;
    const std::size_t before = lane.entries.size();
    for (; !lane.entries.empty() && !lane.entries.front().message; --lane.dead) lane.entries.pop_front();
    if (lane.entries.size() > kFewSlots && lane.dead > lane.entries.size() / 2) {
      std::erase_if(lane.entries, [](const Slot& slot) { return !slot.message; });
      lane.dead = 0;
    }
    count_slots(static_cast<std::ptrdiff_t>(lane.entries.size()) - static_cast<std::ptrdiff_t>(before));
  }

  void read(const QueuePosition& position, std::size_t limit, std::size_t limit_bytes, QueuePage& page) const {
    std::vector<Unread> unread;
    for (std::size_t number = 0; number < lanes_.size(); ++number) {
      const std::deque<Slot>& entries = lanes_[number].entries;
      const MessageId seen = number < position.seen.size() ? position.seen[number] : 0;
      unread.push_back({first_from(entries, seen + 1), entries.end()});
    }
    for (std::size_t bytes = 0;;) {
      Unread* next = nullptr;
      for (Unread& lane : unread) {
        while (lane.at != lane.end && !lane.at->message) ++lane.at;
        if (lane.at != lane.end && (next == nullptr || lane.at->id < next->at->id)) next = &lane;
      }
      if (next == nullptr) return;
      const Slot& slot = *next->at++;
      if (!page.entries.empty() && (page.entries.size() >= limit || bytes >= limit_bytes)) {
        page.more = true;
        return;
      }
      bytes += slot.waiting_bytes();
      page.entries.push_back(entry_of(slot));
    }
  }

  std::uint64_t bytes() const {
    std::uint64_t bytes = 0;
    for (const Lane& lane : lanes_)
      for (const Slot& slot : lane.entries)
        if (slot.message) bytes += slot.waiting_bytes();
    return bytes;
  }

  std::optional<QueueEntry> find_entry(MessageId id) const {
    if (lane_of(id) >= lanes_.size()) return std::nullopt;
    const std::deque<Slot>& entries = lanes_[lane_of(id)].entries;
    const auto place = first_from(entries, id);
    if (place == entries.end() || place->id != id || !place->message) return std::nullopt;
    return entry_of(*place);
  }

 private:
  static QueueEntry entry_of(const Slot& slot) {
    QueueEntry entry{slot.id, slot.message, {}, slot.qos, slot.retain, {}};
    if (slot.rare) {
      entry.identifiers = slot.rare->identifiers;
      entry.shared_group = slot.rare->shared_group;
    }
    return entry;
  }
  void free_rare(Slot& slot) {
    if (slot.rare) identifier_bytes_ -= slot.rare->identifiers.size();
    slot.rare.reset();
  }
  void count_slots(std::ptrdiff_t more) {
    slots_ += static_cast<std::size_t>(more);
    share_.set(slots_ * sizeof(Slot) + identifier_bytes_);
  }

  static constexpr std::size_t kFewSlots = 32;

  std::vector<Lane> lanes_;
  std::size_t live_ = 0, slots_ = 0;
  std::size_t identifier_bytes_ = 0;  // a client may have tens of thousands of subscriptions to a message
  LedgerShare<MemoryLedger::Use::kQueues> share_;
};

}  // namespace petrel::storage
