// What petrel keeps so that an acknowledged message is never lost: sessions, subscriptions, queued messages, QoS 2
// state, retained messages and wills. The broker collects the changes of one turn of a shard in a Batch, submits it to
// the shard's Lane, and holds back every acknowledgement that rests on it until the lane reports it committed. Commits
// are asynchronous: a memory store may report them at once, a disk after its group commit. A batch never fails: while
// the disk takes nothing it waits, and is tried again, so that what is stored is always the past of what the broker
// knows.
//
// Order: batches of one lane are committed in the order of submission; a batch is atomic. A read sees every batch that
// was submitted, by any lane, before the read was. Hence a shard submits its batch before it posts mail about it.
// Retained messages belong to no lane: of batches that change the same topic, whatever their lanes, the one that was
// submitted last has the last word.
//
// Queues: each session has one queue, ordered by MessageId. Ids of one lane grow; ids of different lanes interleave and
// a smaller id of one lane may be committed after a larger one of another. A reader therefore keeps one position per
// lane.
//
// Threads: a Lane belongs to one shard's thread. Store's other members say so themselves. A Store outlives its lanes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/histogram.h"
#include "base/ref.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/message.h"
#include "wire/packet.h"

namespace petrel::storage {

// Identifies a session in the store; given out by Store::next_session_id(), never reused.
using SessionId = std::uint64_t;

// Position of a message in every queue that holds it: a counter that grows over restarts, and the lane in its low bits.
using MessageId = std::uint64_t;
inline constexpr unsigned kLaneBits = 8;
inline constexpr MessageId make_message_id(std::uint64_t counter, std::uint32_t lane) {
  return (counter << kLaneBits) | lane;
}
inline constexpr std::uint32_t lane_of(MessageId id) {
  return static_cast<std::uint32_t>(id & ((std::uint64_t{1} << kLaneBits) - 1));
}

struct SessionRecord {
  SessionId id = 0;
  std::string client_id;
  std::uint32_t session_expiry_interval_s = 0;  // 0xFFFFFFFF: never
  bool connected = false;
  TimeMs disconnected_at = 0;  // counted from here, when not connected
};

struct SubscriptionRecord {
  std::string filter;
  wire::SubscriptionOptions options;
  std::uint32_t identifier = 0;  // 0: none
};

// How one session is to receive a message.
struct QueueEntry {
  MessageId id = 0;
  Ref<const wire::Message> message;
  std::string identifiers;  // encoded subscription identifiers, usually empty
  wire::Qos qos = wire::Qos::k0;
  bool retain = false;
  std::string shared_group;  // "$share/..." it came through, usually empty

  // As session::Delivery has it.
  std::size_t waiting_bytes() const { return message->block_bytes() + identifiers.size(); }
};

// Outgoing QoS 2 exchange that has passed PUBLISH: packet id and whether PUBREC has come. Until then its message is in
// the session's queue.
struct OutgoingRecord {
  wire::PacketId packet_id = 0;
  MessageId message = 0;
  bool released = false;  // PUBREC received, PUBREL due
};

struct WillRecord {
  std::string topic, payload, forwarded_properties;
  wire::Qos qos = wire::Qos::k0;
  bool retain = false;
  std::uint32_t delay_interval_s = 0;
  std::optional<std::uint32_t> message_expiry_interval_s;
};

// The changes of one turn, in order. A plain list: stores walk it with std::visit.
struct PutSession {
  SessionRecord record;
};
struct EraseSession {
  SessionId session;
};  // and all that belongs to it: subscriptions, queue, QoS 2 state, will
struct PutSubscription {
  SessionId session;
  SubscriptionRecord record;
};
struct EraseSubscription {
  SessionId session;
  std::string filter;
};
struct Enqueue {
  SessionId session;
  QueueEntry entry;
};  // entries of one message follow each other in a batch; no such session: passed over, it may have been erased
// The message leaves this session's queue. `delivered`: because its receiver has it, so that nothing can be lost; a
// store may then forget the entry before it writes what else is in the batch, or make this last later than it reports
// the batch. Otherwise the two belong together: a message that is handed on is in exactly one queue.
struct Acknowledge {
  SessionId session;
  MessageId message;
  bool delivered = false;
};
struct PutOutgoing {
  SessionId session;
  OutgoingRecord record;
};
struct EraseOutgoing {
  SessionId session;
  wire::PacketId packet_id;
};
struct PutIncoming {
  SessionId session;
  wire::PacketId packet_id;
};  // QoS 2 PUBLISH received, PUBREL awaited
struct EraseIncoming {
  SessionId session;
  wire::PacketId packet_id;
};
struct PutRetained {
  Ref<const wire::Message> message;
};
struct EraseRetained {
  std::string topic;
};
struct PutWill {
  SessionId session;
  WillRecord will;
};
struct EraseWill {
  SessionId session;
};

using Change =
    std::variant<PutSession, EraseSession, PutSubscription, EraseSubscription, Enqueue, Acknowledge, PutOutgoing,
                 EraseOutgoing, PutIncoming, EraseIncoming, PutRetained, EraseRetained, PutWill, EraseWill>;

using BatchNumber = std::uint64_t;  // per lane, from 1

struct Batch {
  BatchNumber number = 0;
  std::vector<Change> changes;
};

// What is wrong with the store, in words for an operator.
struct StoreError {
  std::string what;
  bool full = false;  // no room, rather than a fault
};

// Where a queue's reader stands: everything up to and including `seen[lane]` has been read. Short vectors mean 0.
struct QueuePosition {
  std::vector<MessageId> seen;
  bool passed(MessageId id) const { return lane_of(id) < seen.size() && id <= seen[lane_of(id)]; }
  void advance(MessageId id) {
    if (lane_of(id) >= seen.size()) seen.resize(lane_of(id) + 1);
    if (id > seen[lane_of(id)]) seen[lane_of(id)] = id;
  }
};

struct QueuePage {
  SessionId session = 0;
  std::uint64_t request = 0;
  std::vector<QueueEntry> entries;  // by id
  bool more = false;
  std::optional<StoreError> error;
};

// Receives what a lane has done, inside Lane::poll().
class LaneEvents {
 public:
  virtual void on_committed(BatchNumber number) = 0;
  // Commits do not get through at present. Whoever needs no storage can still be served; others are to be refused.
  virtual void on_trouble(const StoreError& error) = 0;
  virtual void on_trouble_over() = 0;
  virtual void on_queue_page(QueuePage page) = 0;

 protected:
  ~LaneEvents() = default;
};

class Lane {
 public:
  virtual ~Lane() = default;
  virtual void commit(Batch batch) = 0;
  // Entries of the session's queue that `position` has not passed, oldest first, at most `limit` entries and about
  // `limit_bytes` of messages (at least one entry). Answered by on_queue_page() with the same `request`.
  virtual void read_queue(SessionId session, std::uint64_t request, QueuePosition position, std::size_t limit,
                          std::size_t limit_bytes) = 0;
  // Delivers what is done to `events`. Called by the shard after a wake-up and at the end of a turn.
  virtual void poll(LaneEvents& events) = 0;
};

// Everything a starting broker must know; queues are not part of it but for their length, of very long ones a
// low estimate, and how many bytes of memory their messages would take at least.
class Recovery {
 public:
  virtual void on_session(const SessionRecord& record) = 0;
  virtual void on_subscription(SessionId session, const SubscriptionRecord& record) = 0;
  virtual void on_queue(SessionId session, std::uint64_t messages, std::uint64_t bytes) = 0;
  // `entry`: the message of an exchange that is not released, null if the queue does not have it (any more).
  virtual void on_outgoing(SessionId session, const OutgoingRecord& record, const QueueEntry* entry) = 0;
  virtual void on_incoming(SessionId session, wire::PacketId packet_id) = 0;
  virtual void on_retained(Ref<const wire::Message> message) = 0;
  virtual void on_will(SessionId session, const WillRecord& will) = 0;

 protected:
  ~Recovery() = default;
};

// A number about a store's work, for operators: "commits". The name lives as long as the program.
struct StoreMetric {
  std::string_view name;
  std::uint64_t value = 0;
  bool grows = true;  // counts from the start; otherwise a state at present
};

class Store {
 public:
  virtual ~Store() = default;
  virtual std::string_view name() const = 0;                       // "memory"
  virtual std::vector<StoreMetric> metrics() const { return {}; }  // any thread
  virtual Histogram::Values commit_times() const { return {}; }    // of groups; any thread
  // Before the lanes are used, on one thread. A session's record precedes what belongs to it.
  virtual Result<void, StoreError> recover(Recovery& recovery) = 0;
  // The largest MessageId and SessionId in the store, 0 if none; ids given out later are larger.
  virtual MessageId last_message_id() const = 0;
  virtual SessionId last_session_id() const = 0;
  // `wake` is called from any thread when poll() has something to deliver outside a call of the lane.
  virtual std::unique_ptr<Lane> open_lane(std::uint32_t lane, std::function<void()> wake) = 0;
};

}  // namespace petrel::storage
