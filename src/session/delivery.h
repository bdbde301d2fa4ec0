// One message on its way to one receiver: the shared message, and what is particular to this delivery.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ref.h"
#include "topics/subscription_index.h"
#include "wire/message.h"

namespace petrel::session {

struct Delivery {
  // Null only in the inflight window, for a delivery that nobody can ask for again: its session ends with the
  // connection and no other member of a shared subscription waits for it.
  Ref<const wire::Message> message;
  Ref<const topics::EncodedIdentifiers> identifiers;
  Ref<const topics::SharedGroup> group;  // the shared subscription it came through
  std::uint64_t id = 0;                  // its place in the stored queue; 0: not stored
  wire::Qos qos = wire::Qos::k0;
  bool retain = false;
  bool dup = false;  // may have been sent before, by an earlier life of the broker

  // While it waits. A client with very many overlapping subscriptions has more identifiers than the message has bytes.
  std::size_t waiting_bytes() const { return message->block_bytes() + (identifiers ? identifiers->bytes().size() : 0); }
};

}  // namespace petrel::session
