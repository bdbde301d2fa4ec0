// A SUBSCRIBE or UNSUBSCRIBE with so many filters that it takes several turns, and what is left of an ended session's
// subscriptions. Nobody waits for what one client asks for longer than a turn's share of it (filter_work.cpp).
//
// Threads: the shard's. `subscribe` and `unsubscribe` view `body`: the object stays where it is.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/memory_ledger.h"
#include "broker/session_subscriptions.h"
#include "wire/packet.h"

namespace petrel::broker {

class Connection;

struct FilterWork {
  Connection* connection;
  std::string body;
  LedgerShare<MemoryLedger::Use::kInput> share;
  wire::Subscribe subscribe;      // for a SUBACK
  wire::Unsubscribe unsubscribe;  // for an UNSUBACK
  wire::Suback answer;            // has a reason for each filter that is done

  FilterWork(Connection& asked, BytesView packet_body, wire::Suback begun)
      : connection(&asked), body(packet_body), answer(std::move(begun)) {
    share.set(body.size());
  }
};

struct EndingSubscriptions {
  topics::SubscriberId session;
  std::vector<SessionSubscription> left;
};

}  // namespace petrel::broker
