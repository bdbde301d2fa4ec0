// What one shard has for another at the end of a turn: one Mail, posted once. Messages and match lists are shared, not
// copied; the receiving shard delivers to those entries of each list that are its own.
#pragma once

#include <vector>

#include "session/delivery.h"
#include "storage/store.h"
#include "topics/subscription_index.h"
#include "wire/message.h"

namespace petrel::broker {

struct RoutedMessage {
  Ref<const wire::Message> message;
  Ref<const topics::MatchList> matches;
  storage::MessageId id = 0;  // 0: in no stored queue
};

// A message for one session: its turn in a shared subscription has come.
struct SharedDelivery {
  topics::SubscriberId receiver = 0;
  session::Delivery delivery;
};

struct Mail {
  std::vector<RoutedMessage> messages;
  std::vector<SharedDelivery> shared;
  bool empty() const { return messages.empty() && shared.empty(); }
  std::size_t size() const { return messages.size() + shared.size(); }
};

}  // namespace petrel::broker
