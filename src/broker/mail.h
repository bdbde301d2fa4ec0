// What one shard has for another at the end of a turn: one Mail, posted once. Messages and match lists are shared, not
// copied; the receiving shard delivers to those entries of each list that are its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "session/delivery.h"
#include "storage/store.h"
#include "topics/subscription_index.h"
#include "wire/message.h"

namespace petrel::broker {

// The receivers in whose stored queues a message with QoS 0 has been put, ascending.
using QueuedQos0 = std::shared_ptr<const std::vector<topics::SubscriberId>>;

// A message for one session: its turn in a shared subscription has come. Or, about a member that leaves: the question
// whether more is on its way to it, which is answered behind all that is, with the same.
struct SharedDelivery {
  enum class Kind : std::uint8_t { kMessage, kIsThatAll, kThatIsAll } kind = Kind::kMessage;
  topics::SubscriberId receiver = 0;
  session::Delivery delivery;
};

struct RoutedMessage {
  Ref<const wire::Message> message;
  Ref<const topics::MatchList> matches;
  storage::MessageId id = 0;               // 0: in no stored queue
  std::unique_ptr<SharedDelivery> shared;  // instead of the above
  QueuedQos0 queued_qos0{};                // null: none
  std::uint32_t receivers = 1;             // on the receiving shard
};

// In the order of their message ids, which is the order of their publishing: receivers rely on it to tell what a page
// of their stored queue has brought already.
class Mail {
 public:
  static constexpr std::size_t kBytesPerWeight = 4096, kReceiversPerWeight = 8;

  void push(RoutedMessage routed) {
    const wire::Message* message = routed.shared ? routed.shared->delivery.message.get() : routed.message.get();
    weight_ += 1 + routed.receivers / kReceiversPerWeight;
    if (message != nullptr) weight_ += message->block_bytes() / kBytesPerWeight;
    messages_.push_back(std::move(routed));
  }
  bool empty() const { return messages_.empty(); }
  auto begin() { return messages_.begin(); }
  auto end() { return messages_.end(); }

  // The work that it brings, and what it holds: one for each message, for so many receivers of it, and for so many
  // bytes, which count as often as they are there though they may be shared.
  std::size_t weight() const { return weight_; }

 private:
  std::vector<RoutedMessage> messages_;
  std::size_t weight_ = 0;
};

}  // namespace petrel::broker
