// SUBSCRIBE and UNSUBSCRIBE, which may have so many filters that they take several turns, and what is left of an ended
// session's subscriptions. Nobody waits for what one client asks for longer than a turn's share of it
// (filter_work.cpp).
//
// Threads: the shard's. The views of a FilterWork's packet are of its own `filters`: the object stays where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/memory_ledger.h"
#include "broker/session_subscriptions.h"
#include "wire/decode.h"
#include "wire/packet.h"

namespace petrel::broker {

class Connection;

struct FilterPacket {
  wire::PacketType type;
  std::uint32_t subscription_identifier = 0;
  BytesView undone;         // filters that are still to be worked off
  BytesView unchecked;      // the last of them, still to be decoded: none is worked off before all are well-formed
  std::size_t checked = 0;  // so many filters are
  wire::Suback answer;      // has a reason for each filter that is done

  FilterPacket(wire::PacketType packet_type, const wire::FiltersHead& head)
      : type(packet_type),
        subscription_identifier(head.subscription_identifier),
        undone(head.filters),
        unchecked(head.filters) {
    answer.type = type == wire::PacketType::kSubscribe ? wire::PacketType::kSuback : wire::PacketType::kUnsuback;
    answer.packet_id = head.packet_id;
  }
};

struct FilterWork {
  Connection* connection;
  std::string filters;
  LedgerShare<MemoryLedger::Use::kInput> share;
  FilterPacket packet;

  FilterWork(Connection& asked, FilterPacket begun)
      : connection(&asked), filters(begun.undone), packet(std::move(begun)) {
    packet.undone = filters;
    packet.unchecked = packet.undone.substr(filters.size() - packet.unchecked.size());
    share.set(filters.size());
  }
};

struct EndingSubscriptions {
  topics::SubscriberId session;
  std::vector<SessionSubscription> left;
};

}  // namespace petrel::broker
