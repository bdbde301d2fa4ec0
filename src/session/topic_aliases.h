// Topic aliases of one connection (MQTT 5.0, 3.3.2.3.4). Both directions begin empty with each connection.
// Sans-I/O. Threads: its owner's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_ledger.h"

namespace petrel::session {

// Aliases that the peer defines.
class IncomingAliases {
 public:
  explicit IncomingAliases(std::uint16_t maximum) : maximum_(maximum) {}
  std::uint16_t maximum() const { return maximum_; }

  // False when the alias is 0 or above the announced maximum [MQTT-3.3.2-8], [MQTT-3.3.2-9].
  bool define(std::uint16_t alias, std::string_view topic) {
    if (alias == 0 || alias > maximum_) return false;
    if (alias > topics_.size()) topics_.resize(alias);
    std::string& place = topics_[alias - 1];
    const std::size_t before = place.capacity();
    place.assign(topic);
    if (place.capacity() != before) share_.set(bytes_ += place.capacity() - before);
    return true;
  }
  // The topic of an alias, empty when it was not defined on this connection. Valid until the next define().
  std::string_view find(std::uint16_t alias) const {
    return alias == 0 || alias > topics_.size() ? std::string_view{} : std::string_view(topics_[alias - 1]);
  }

 private:
  std::vector<std::string> topics_;
  std::uint16_t maximum_;
  std::size_t bytes_ = 0;
  LedgerShare<MemoryLedger::Use::kTables> share_;
};

// Aliases that we define. Each topic has one slot, by its hash; a topic that comes more often than the slot's holder
// takes the slot over, so that frequent topics keep their aliases while rare ones pass through unaliased.
class OutgoingAliases {
 public:
  explicit OutgoingAliases(std::uint16_t maximum) : slots_(maximum) {}

  struct Alias {
    std::uint16_t alias = 0;   // 0: send the topic as it is
    bool topic_known = false;  // the peer knows the alias: leave the topic empty
  };
  // Of a message with many receivers the hash is taken once.
  static std::uint32_t hash(std::string_view topic);
  Alias use(std::string_view topic, std::uint32_t hash);
  Alias use(std::string_view topic) { return use(topic, hash(topic)); }
  // What the peer was told is not certain to arrive (the packet was not sent): forget the slot.
  void forget(std::uint16_t alias) {
    Slot& slot = slots_[alias - 1];
    slot.topic.clear();  // no topic is empty
    slot.credit = 0;
  }

 private:
  struct Slot {
    std::string topic;
    std::uint32_t hash = 0;  // of the topic
    std::uint8_t credit = 0;
  };
  static constexpr std::uint8_t kMaxCredit = 4;
  // Below this the three bytes of the property cost as much as the topic.
  static constexpr std::size_t kShortestTopicBytes = 4;
  std::vector<Slot> slots_;
  std::size_t bytes_ = 0;
  LedgerShare<MemoryLedger::Use::kTables> share_;
};

}  // namespace petrel::session
