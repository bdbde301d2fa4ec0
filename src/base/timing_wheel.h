// Timers of one shard: a hashed, hierarchical timing wheel (Varghese and Lauck, 1987). Scheduling, moving and
// cancelling are O(1) and allocate nothing, because the nodes are part of the objects they wake. Ticks are kTickMs
// long: a timer goes off at its deadline or up to one tick later, never earlier.
//
// Threads: one shard's. A node unlinks itself when it is destroyed; the wheel must not be destroyed while nodes are
// scheduled that outlive it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/time.h"

namespace petrel {

class TimerNode {
 public:
  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;
  ~TimerNode() { unlink(); }
  bool scheduled() const { return next_ != nullptr; }
  TimeMs deadline() const { return deadline_; }

 private:
  friend class TimingWheel;
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }
  TimerNode* next_ = nullptr;
  TimerNode* previous_ = nullptr;
  TimeMs deadline_ = 0;
};

class TimingWheel {
 public:
  static constexpr TimeMs kTickMs = 16;

  TimingWheel() {
    for (auto& level : slots_)
      for (TimerNode& slot : level) slot.next_ = slot.previous_ = &slot;
  }
  ~TimingWheel() {
    for (auto& level : slots_) {
      for (TimerNode& slot : level) {
        while (slot.next_ != &slot) slot.next_->unlink();
        slot.next_ = slot.previous_ = nullptr;
      }
    }
  }
  TimingWheel(const TimingWheel&) = delete;
  TimingWheel& operator=(const TimingWheel&) = delete;

  // Schedules the node, or moves it.
  void schedule(TimerNode& node, TimeMs deadline) {
    node.unlink();
    node.deadline_ = deadline;
    place(node, tick_ + 1);
  }
  void cancel(TimerNode& node) { node.unlink(); }

  // Calls fire(node) for each node whose deadline has come; the node is no longer scheduled then and may be scheduled
  // again or destroyed. The first call sets the wheel's beginning.
  template <class Fire>
  void advance(TimeMs now, Fire&& fire) {
    advance(now, fire, [] { return false; });
  }
  // The same, until stop() after a node has been fired: the others that are due wait for the next call.
  template <class Fire, class Stop>
  void advance(TimeMs now, Fire&& fire, Stop&& stop) {
    const std::uint64_t target = static_cast<std::uint64_t>(now / kTickMs);
    if (!started_) {
      started_ = true;
      tick_ = target;
      rehash();
      stopped_ = true;
    }
    if (stopped_ && !fire_due(fire, stop)) return;
    while (tick_ < target) {
      if (empty()) {
        tick_ = target;
        break;
      }
      ++tick_;
      // When a level has gone round, the next slot of the level above is dealt out.
      for (unsigned level = 1; level < kLevels && (tick_ & ((std::uint64_t{1} << (kBits * level)) - 1)) == 0; ++level)
        deal_out(slots_[level][(tick_ >> (kBits * level)) & kMask]);
      if (!fire_due(fire, stop)) return;
    }
  }

  // When advance() is next due: exact to a tick for timers of the next second, earlier than needed for far ones (the
  // wheel then has slots to deal out). kNever when nothing is scheduled.
  TimeMs next_deadline() const {
    if (stopped_) return time_of(tick_);
    for (std::uint64_t step = 1; step <= kSlots; ++step) {
      const std::uint64_t tick = tick_ + step;
      const TimerNode& slot = slots_[0][tick & kMask];
      if (slot.next_ != &slot) return time_of(tick);
      if ((tick & kMask) == 0) return empty() ? kNever : time_of(tick);
    }
    return empty() ? kNever : time_of(tick_ + kSlots);
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kLevels = 6;
  static constexpr std::uint64_t kSlots = 1U << kBits;
  static constexpr std::uint64_t kMask = kSlots - 1;

  static TimeMs time_of(std::uint64_t tick) { return static_cast<TimeMs>(tick) * kTickMs; }

  bool empty() const {
    for (const auto& level : slots_)
      for (const TimerNode& slot : level)
        if (slot.next_ != &slot) return false;
    return true;
  }

  static void link(TimerNode& slot, TimerNode& node) {
    node.previous_ = slot.previous_;
    node.next_ = &slot;
    slot.previous_->next_ = &node;
    slot.previous_ = &node;
  }

  template <class Fire, class Stop>
  bool fire_due(Fire& fire, Stop& stop) {
    TimerNode& slot = slots_[0][tick_ & kMask];
    stopped_ = false;
    while (slot.next_ != &slot) {
      TimerNode& node = *slot.next_;
      node.unlink();
      fire(node);
      stopped_ = slot.next_ != &slot && stop();
      if (stopped_) return false;
    }
    return true;
  }

  // Links the node into the slot of its deadline, rounded up to a tick, but of none before `earliest`. What lies beyond
  // the last level waits there and is dealt out again.
  void place(TimerNode& node, std::uint64_t earliest) {
    const auto due = static_cast<std::uint64_t>((std::max<TimeMs>(node.deadline_, 0) + kTickMs - 1) / kTickMs);
    constexpr std::uint64_t kHorizon = (std::uint64_t{1} << (kBits * kLevels)) - 1;
    const std::uint64_t tick = std::min(std::max(due, earliest), tick_ + kHorizon);
    // The highest bit in which `tick` differs from now says on which level they part.
    const unsigned differing = static_cast<unsigned>(std::bit_width(tick ^ tick_));
    const unsigned level = std::min(differing == 0 ? 0 : (differing - 1) / kBits, kLevels - 1);
    link(slots_[level][(tick >> (kBits * level)) & kMask], node);
  }

  // Places the nodes of a slot anew; those that are due go off in this very tick.
  void deal_out(TimerNode& slot) {
    if (slot.next_ == &slot) return;
    TimerNode list;
    list.next_ = slot.next_;
    list.previous_ = slot.previous_;
    list.next_->previous_ = &list;
    list.previous_->next_ = &list;
    slot.next_ = slot.previous_ = &slot;
    while (list.next_ != &list) {
      TimerNode& node = *list.next_;
      node.unlink();
      place(node, tick_);
    }
    list.next_ = list.previous_ = nullptr;
  }

  void rehash() {
    for (auto& level : slots_)
      for (TimerNode& slot : level) deal_out(slot);
  }

  std::array<std::array<TimerNode, kSlots>, kLevels> slots_;
  std::uint64_t tick_ = 0;
  bool started_ = false;
  bool stopped_ = false;  // nodes of this tick have not been fired yet
};

}  // namespace petrel
