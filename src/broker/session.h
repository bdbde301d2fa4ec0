// A session: what the broker keeps of a client while it is connected and, if its session expiry interval says so, after
// (MQTT 5.0, 4.1). Owned by one shard, chosen by the client identifier. Rarely used parts are allocated on first use.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/memory_ledger.h"
#include "base/ring.h"
#include "broker/session_subscriptions.h"
#include "broker/shard_timer.h"
#include "session/delivery.h"
#include "session/incoming.h"
#include "session/outgoing.h"
#include "storage/store.h"
#include "topics/subscription_index.h"

namespace petrel::broker {

class Connection;
struct Session;

// The message to publish when the client is gone without saying so (3.1.2.5).
struct PendingWill {
  explicit PendingWill(storage::WillRecord will) : record(std::move(will)) {
    share.set(record.topic.size() + record.payload.size() + record.forwarded_properties.size());
  }
  storage::WillRecord record;
  LedgerShare<MemoryLedger::Use::kTables> share;
};

// A subscription's retained messages on their way, at the receiver's pace.
struct RetainedReplay {
  std::string filter;
  Ref<const topics::EncodedIdentifiers> identifiers;
  wire::Qos maximum_qos = wire::Qos::k0;
  std::string resume;

  std::size_t bytes() const { return sizeof(RetainedReplay) + filter.size(); }
};

// QoS 1 and 2 toward the client and what waits for it. Allocated when first needed.
struct Outbound {
  session::Outgoing outgoing;
  Ring<session::Delivery> queue;  // in memory, before the backlog
  std::size_t queue_bytes = 0;
  LedgerShare<MemoryLedger::Use::kQueues> share;
  // Stored messages beyond the queue. `position` is how far the stored queue has been taken into memory.
  storage::QueuePosition position;
  std::uint64_t backlog_messages = 0, backlog_bytes = 0;  // changed by Shard::set_backlog()
  std::uint64_t read_request = 0;                         // under way; 0: none
  std::uint64_t arrived_during_read = 0, arrived_bytes_during_read = 0;
  std::vector<storage::MessageId> dropped_during_read;  // for want of room: the page may still have them
  storage::BatchNumber dropped_in = 0;  // the batch that takes what was dropped last out of the stored queue
  bool trims = false;                   // the read is to remove what has no place or has waited too long
  bool unread = false;                  // a read has failed: the next is Shard::read_again()'s
  std::uint8_t marks = 0;               // in the session directory
  // Messages up to this time, by QoS, have waited too long for a client that came back.
  std::array<TimeMs, 3> outstayed_until{};
  std::vector<storage::MessageId> restored;  // in the stored queue, but under way since before the broker started
  // Of this connection: PUBLISH packets that wait for a commit, and those of them that have no packet identifier.
  std::uint32_t held_publishes = 0;
  Ring<session::Delivery> held_qos0;
  std::size_t held_qos0_bytes = 0;
  std::size_t largest_held_qos0_bytes = 0;  // once it has gone, of those that came since
  Ring<RetainedReplay> replays;
  std::size_t replay_bytes = 0;
  bool awaits_replay_turn = false;  // stands in the shard's list

  void push(RetainedReplay replay) {
    replay_bytes += replay.bytes();
    replays.push_back(std::move(replay));
    count_bytes();
  }
  RetainedReplay pop_replay() {
    RetainedReplay replay = replays.pop_front();
    replay_bytes -= replay.bytes();
    count_bytes();
    return replay;
  }
  void hold_qos0(session::Delivery delivery) {
    ++held_publishes;
    const std::size_t bytes = delivery.message->block_bytes();
    held_qos0_bytes += bytes;
    largest_held_qos0_bytes = std::max(largest_held_qos0_bytes, bytes);
    held_qos0.push_back(std::move(delivery));
  }
  session::Delivery pop_held_qos0() {
    session::Delivery delivery = held_qos0.pop_front();
    const std::size_t bytes = delivery.message->block_bytes();
    held_qos0_bytes -= bytes;
    if (bytes == largest_held_qos0_bytes) largest_held_qos0_bytes = 0;
    return delivery;
  }
  // Those of them that rest on no commit, in their order.
  std::vector<session::Delivery> take_live_qos0() {
    std::vector<session::Delivery> live;
    for (std::size_t left = held_qos0.size(); left > 0; --left) {
      session::Delivery delivery = pop_held_qos0();
      --held_publishes;
      if (delivery.id == 0) {
        live.push_back(std::move(delivery));
      } else {
        hold_qos0(std::move(delivery));
      }
    }
    return live;
  }
  void forget_held() {
    held_publishes = 0;
    held_qos0.clear();
    held_qos0_bytes = largest_held_qos0_bytes = 0;
  }
  void push(session::Delivery delivery) {
    queue_bytes += delivery.waiting_bytes();
    queue.push_back(std::move(delivery));
    count_bytes();
  }
  void count_bytes() { share.set(queue.size() * sizeof(session::Delivery) + replay_bytes); }
  session::Delivery pop() {
    session::Delivery delivery = queue.pop_front();
    queue_bytes -= delivery.waiting_bytes();
    count_bytes();
    return delivery;
  }
};

// Alive while the client is away.
struct Absence : ShardTimer {
  explicit Absence(Session& absent) : ShardTimer(Kind::kAbsence), session(&absent) {}
  Session* session;
  TimeMs will_at = kNever;
  TimeMs expires_at = kNever;
  TimeMs subscriptions_end_at = kNever;
  std::size_t subscriptions_ended = 0;  // so far, while they end
  TimeMs trim_at = kNever;              // messages may have waited too long
  TimeMs left_at = 0;
  TimeMs due() const { return std::min({will_at, expires_at, subscriptions_end_at, trim_at}); }
};

struct Session {
  topics::SubscriberId id = 0;
  std::string client_id;
  Connection* connection = nullptr;
  storage::SessionId stored = 0;  // 0: ends with its connection
  std::uint32_t expiry_interval_s = 0;
  std::uint16_t receive_maximum = 65535;  // toward the client, on this connection
  std::uint32_t connection_number = 0;    // counts connections, so that late acknowledgements find the right one
  session::Incoming incoming;
  SessionSubscriptions subscriptions;
  Ref<const topics::Presence> presence;  // of its members of shared subscriptions, if it has had any
  std::unique_ptr<Outbound> outbound;
  std::unique_ptr<PendingWill> will;
  std::unique_ptr<Absence> absence;

  void make_presence(topics::Presence::State state) {
    if (presence.get() == nullptr) presence = make_ref<topics::Presence>(state);
  }
  void set_presence(topics::Presence::State state) const {
    if (presence.get() != nullptr) presence->set(state);
  }
  Outbound& out() {
    if (outbound == nullptr) {
      outbound = std::make_unique<Outbound>();
      outbound->outgoing.begin_connection(receive_maximum);
    }
    return *outbound;
  }
};

}  // namespace petrel::broker
