// A shard's broker logic, whole and sans-I/O: it is fed bytes, mail, commits and the time, and it leaves bytes in
// connections, mail for other shards and batches for the store. One file per group of packets: connect.cpp,
// publish.cpp, acknowledge.cpp, subscribe.cpp, disconnect.cpp; routing.cpp delivers, backlog.cpp keeps what waits,
// commit.cpp holds acknowledgements back, admission.cpp knows the limits, memory.cpp what happens when memory is used
// up.
//
// A turn: begin_turn(now); then any number of receive(), disconnected(), on_mail(), output_drained(); then
// end_turn(), which submits the turn's batch, releases the acknowledgements whose batches are committed and posts mail.
//
// Threads: one. SharedState, the store's lane and the host outlive the shard; connections may end before it (after
// disconnected()).
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/log.h"
#include "base/output_buffer.h"
#include "base/random.h"
#include "base/timing_wheel.h"
#include "broker/connection.h"
#include "broker/counters.h"
#include "broker/filter_work.h"
#include "broker/mail.h"
#include "broker/outgoing_publish.h"
#include "broker/session.h"
#include "broker/shared_state.h"
#include "storage/store.h"
#include "topics/match_cache.h"
#include "wire/decode.h"

namespace petrel::broker {

// What a shard asks of whoever drives it.
class ShardHost {
 public:
  // The connection has output to send at the end of the turn. Called once until the driver clears flush_requested.
  virtual void request_flush(Connection& connection) = 0;
  // Of its output, send until no more than `left` bytes are left, as far as the peer takes them at once. Whoever was
  // found to take none (blocked_since) is left alone.
  virtual void send_now(Connection& connection, std::size_t left) = 0;
  // Send what is left in the output, then close. The shard has forgotten the connection.
  virtual void close(Connection& connection) = 0;
  // Reading may go on: feed again what receive() left unconsumed.
  virtual void resume(Connection& connection) = 0;
  // To be given to that shard's on_mail(), in order.
  virtual void post(std::uint32_t shard, Mail mail) = 0;
  // Whether what can wait should: asked now and then while a client's bytes make much work.
  virtual bool turn_is_long() { return false; }
  // Others wait for this turn's end: little at a time.
  virtual bool turn_is_short() { return false; }

 protected:
  ~ShardHost() = default;
};

class Shard final : private storage::LaneEvents, private storage::Recovery {
 public:
  Shard(std::uint32_t index, SharedState& shared, storage::Lane& lane, ShardHost& host, Log& log, Random& random);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Takes the shard's sessions back from the store, and on shard 0 the retained messages. Before the first turn.
  Result<void, storage::StoreError> recover(storage::Store& store, TimeMs now);

  void begin_turn(TimeMs now);
  // What can wait for a later turn: timers, searches for retained messages, long packets of filters, what ended
  // sessions leave. A part of it, after begin_turn().
  void do_waiting_work();
  bool has_waiting_work() const;
  void end_turn();
  TimeMs next_deadline() const;
  // Of this turn, for another shard.
  const Mail& outbox(std::uint32_t shard) const { return outbox_[shard]; }

  // A new connection; it has connect_timeout_ms to send its CONNECT, of which `waited_ms` are over.
  void connected(Connection& connection, TimeMs waited_ms = 0);
  struct Received {
    std::size_t consumed = 0;
    enum class Then : std::uint8_t {
      kContinue,  // more bytes are welcome
      kPause,     // do not read until ShardHost::resume()
      kYield,     // the turn is long (ShardHost::turn_is_long): go on with the rest in a later one
      kHandOver,  // nothing was consumed: the client belongs to shard `owner`, give it the connection and the bytes
      kClosed,    // ShardHost::close() has been called
    } then = Then::kContinue;
    std::uint32_t owner = 0;
    std::size_t needed_bytes = 0;  // of the incomplete packet at the end, if known: room worth making
  };
  Received receive(Connection& connection, BytesView bytes);
  // Before kHandOver's connection is given away.
  void release(Connection& connection);
  // The network connection is gone; `why` for the log ("closed by peer").
  void disconnected(Connection& connection, std::string_view why);
  // The peer takes no more bytes at present (blocked_since is set).
  void output_blocked(Connection& connection);
  // What was in the output has been sent, wholly or in good part.
  void output_drained(Connection& connection);
  // Below so many unsent bytes output_drained() is worth calling.
  std::size_t drain_mark() const { return max_output_bytes_ / 4; }
  // With so many unsent bytes a peer that takes none is not read (sets waits_for_output): what it sends would only be
  // answered with more.
  std::size_t full_mark() const { return settings_.max_output_bytes * 2; }

  void on_mail(Mail mail);

  // Shutdown, first part, on all shards before the second on any: publishes the wills that are due when the connections
  // end, while those who wait for them are still there.
  void publish_last_wills();
  // Ends every connection as the specification says for a server's shutdown: DISCONNECT 0x8B to 5.0 clients. Sessions
  // that outlive their connection are stored.
  void shut_down();

  // Publishes on the broker's own behalf ($SYS, embedding).
  void publish(const wire::Message::Parts& parts);

  // An outgoing QoS 2 exchange as the store remembers it.
  struct RecoveredExchange {
    wire::PacketId packet_id;
    session::Outgoing::State state;
    session::Delivery delivery;
  };

  const Counters& counters() const { return counters_; }
  std::size_t session_count() const { return by_client_id_.size(); }

 private:
  using Reason = wire::ReasonCode;

  // receive(): one complete packet
  bool dispatch(Connection& connection, const wire::Frame& frame);
  Received receive_connect(Connection& connection, BytesView bytes);
  std::uint32_t max_packet_bytes(const Connection& connection) const {
    return connection.has_own_packet_limit ? *connection.policy->limits.max_packet_bytes : settings_.max_packet_bytes;
  }

  // admission.cpp: limits
  Reason over(Limit limit);
  // Whether a text that a table would keep is short enough for the memory that there is.
  bool fits_full_memory(std::size_t bytes) const { return !memory_full_ || bytes <= kTextWhenFull; }
  static constexpr std::size_t kTextWhenFull = 256;
  std::optional<Limit> connection_excess(std::string_view client_id) const;
  std::optional<Limit> property_excess(BytesView user_properties) const;
  std::optional<Limit> topic_excess(std::string_view topic) const;
  std::optional<Limit> subscription_excess(const Session& session, std::string_view filter) const;
  std::optional<Limit> retained_excess(const wire::Message::Parts& parts) const;

  // memory.cpp
  void watch_memory();
  void enter_memory_state(bool full);
  bool waits_for_memory(Connection& connection, const wire::Frame& frame);
  bool adds_to_memory(std::string_view topic);
  bool would_wait(topics::SubscriberId receiver) const;
  void end_memory_wait(Connection& connection);

  // sys.cpp
  void publish_sys();
  bool somebody_listens_to_sys() const;
  bool may_read_sys(const Connection& connection) const;
  void end_unreadable_subscriptions(Session& session);
  void tell_event(std::string_view event, std::string_view payload);
  void tell_subscription_event(std::string_view event, const Session& session, std::string_view filter);

  // connect.cpp
  Received accept(Connection& connection, const wire::Connect& connect, std::string_view client_id,
                  std::size_t consumed);
  void refuse(Connection& connection, wire::ProtocolVersion version, Reason reason, std::string_view client_id,
              std::string_view why);
  struct Refusal {
    Reason reason;
    std::string_view why;  // static text
  };
  std::optional<Refusal> refusal_of(const Connection& connection, const wire::Connect& connect,
                                    std::string_view client_id);
  void count_client();
  std::string assign_client_id(std::string_view mount_point);
  std::string connack_for(const Connection& connection, const wire::Connect& connect, bool session_present) const;
  Session& create_session(std::string_view client_id);
  void apply_connect(Connection& connection, Session& session, const wire::Connect& connect);
  void agree_on_limits(Connection& connection, Session& session, const wire::Connect& connect);
  void open(Session& session, const std::string& connack);

  // publish.cpp
  void handle_publish(Connection& connection, const wire::Frame& frame);
  std::string_view below_mount(const Connection& connection, std::string_view topic);
  bool take_publish(Connection& connection, const wire::Publish& publish, std::string_view topic, TimeMs expires_at);
  bool needs_store(const Session& session, const wire::Publish& publish, std::string_view topic);
  std::optional<Reason> refusal_of(const Connection& connection, const wire::Publish& publish, std::string_view topic);
  void acknowledge_publish(Session& session, const wire::Publish& publish, Reason reason);
  void keep_retained(OutgoingPublish& publish);

  // acknowledge.cpp
  void handle_puback(Connection& connection, const wire::Ack& ack);
  void handle_pubrec(Connection& connection, const wire::Ack& ack);
  void handle_pubrel(Connection& connection, const wire::Ack& ack);
  void handle_pubcomp(Connection& connection, const wire::Ack& ack);
  bool handle_acknowledgement(Connection& connection, const wire::Frame& frame);

  // subscribe.cpp
  Reason subscribe_as_asked(Session& session, wire::Subscription asked, std::uint32_t identifier);
  Reason subscribe(Session& session, const wire::Subscription& subscription, std::uint32_t identifier);
  Reason subscribe_below_mount(Session& session, const wire::Subscription& asked, std::uint32_t identifier);
  Reason unsubscribe_as_asked(Session& session, std::string_view filter);
  Reason unsubscribe(Session& session, std::string_view filter);
  bool continue_replays(Session& session);
  bool room_for_replay(Session& session);
  bool continue_replay(Session& session, RetainedReplay& replay);
  void send_retained(Session& session, const RetainedReplay& replay, Ref<const wire::Message> message);
  bool still_subscribed(Session& session, std::string_view filter);
  void resume_replays();

  void keep_house();

  // filter_work.cpp
  void begin_filter_work(bool is_short);
  bool filter_work_left(std::size_t keep) const;
  void filter_work_done(std::size_t work);
  std::size_t filter_work_of_others() const;
  void handle_filters(Connection& connection, const wire::Frame& frame);
  bool check_some(Connection& connection, FilterPacket& packet, std::size_t keep);
  bool work_off_some(Session& session, FilterPacket& packet, std::size_t keep);
  void answer_filters(Session& session, const wire::Suback& answer);
  void forget_filter_work(Connection& connection);
  void continue_filter_work();
  void work_off_packets();
  void end_subscriptions(Session& session);
  void end_some_subscriptions();
  void discard(std::unique_ptr<Outbound> outbound);
  void discard_some();

  // disconnect.cpp
  void handle_disconnect(Connection& connection, const wire::Frame& frame);
  void fail(Connection& connection, Reason reason, std::string_view why);
  void fail(Connection& connection, Reason reason, Limit limit);
  void fail(Connection& connection, const wire::Error& of_frame);
  void close(Connection& connection);
  void forget(Connection& connection);
  void leave(Connection& connection, bool publish_will);
  void end_session(Session& session);
  void publish_will(Session& session);
  void finish_session(Session& session);
  void become_absent(Session& session, TimeMs left_at);
  void store_session(const Session& session, bool connected, TimeMs disconnected_at);

  // routing.cpp
  bool route(OutgoingPublish& publish);
  storage::MessageId store_for_receivers(OutgoingPublish& publish, const topics::MatchList& matches,
                                         QueuedQos0& queued_qos0);
  void deliver_matches(OutgoingPublish& publish, const topics::MatchList& matches, storage::MessageId id,
                       const std::vector<topics::SubscriberId>* queued_qos0);
  void deliver_shared(OutgoingPublish& publish, const topics::SharedMatch& match);
  void deliver_to_another(OutgoingPublish& publish, std::string_view group, topics::SubscriberId leaving);
  void deliver_to_member(OutgoingPublish& publish, const topics::SharedGroup& group,
                         const topics::SharedMember& member);
  void on_shared_delivery(SharedDelivery shared);
  void deliver(Session& session, OutgoingPublish& publish, session::Delivery delivery);
  void send(Session& session, OutgoingPublish& publish, session::Delivery delivery);
  static bool has_room_for_qos0(const Session& session, std::size_t payload_bytes, std::size_t max_output_bytes);
  bool make_room_for_qos0(Session& session, std::size_t payload_bytes);
  bool has_room_to_pump(Session& session);
  void send_qos0(Session& session, OutgoingPublish& publish, bool retain,
                 const Ref<const topics::EncodedIdentifiers>& identifiers);
  void append_qos0(Session& session, OutgoingPublish& publish, bool retain,
                   const topics::EncodedIdentifiers* identifiers);
  void hold_qos0(Session& session, OutgoingPublish& publish, session::Delivery delivery);
  void release_qos0(Session& session);
  void send_held_qos0(Session& session, const session::Delivery& delivery);
  void mail_to_others(OutgoingPublish& publish, const Ref<const topics::MatchList>& found, storage::MessageId id,
                      const QueuedQos0& queued_qos0);
  void drop_qos0(const Session& session, std::size_t payload_bytes);
  void hand_on(const Session& leaving, const session::Delivery& delivery);
  void mail_shared(std::uint32_t shard, SharedDelivery shared);
  struct Departing {
    storage::SessionId stored;
    topics::SubscriberId id;
    storage::QueuePosition position;
  };
  void depart(const Session& session, storage::QueuePosition position);
  void on_last_mail(topics::SubscriberId receiver);
  void read_departing(Departing departing);
  void on_departing_page(storage::QueuePage page);
  session::Delivery to_delivery(storage::QueueEntry entry);
  void pump(Session& session);
  void resend(Session& session);
  void discard(Session& session, wire::PacketId packet_id, Counter& counter);
  void drop(const Session& session, const session::Delivery& delivery, Counter& counter);
  Session* find(topics::SubscriberId id) const;

  // backlog.cpp
  static constexpr std::size_t kPrefetchMessages = 256;  // of a stored queue, in memory ahead of the client's window
  static constexpr std::size_t kPrefetchBytes = std::size_t{1} << 20;
  void set_backlog(Session& session, std::uint64_t messages, std::uint64_t bytes);
  void take_from_backlog(Session& session, std::uint64_t bytes);
  std::optional<Limit> total_excess(std::uint64_t more) const;
  std::optional<Limit> queue_excess(const Outbound& out, const session::Delivery& delivery) const;
  void wait_in_queue(Session& session, session::Delivery delivery);
  bool make_room(Session& session, const session::Delivery& delivery, Limit limit);
  bool is_over(const Outbound& out) const;
  void update_marks(Session& session);
  bool is_full(topics::SubscriberId receiver) const;
  std::optional<Limit> receivers_excess(std::string_view topic, topics::SubscriberId publisher);
  bool queues_qos0(std::string_view topic) const;
  void read_backlog(Session& session);
  static void forget_dropped(Outbound& out, storage::QueuePage& page);
  void expect_reads_again();
  static constexpr std::size_t kReadsAgain = 1024;  // at once, while the store may still fail
  void read_again(std::size_t most);
  void trim(Session& session);
  void on_trim_page(Session& session, storage::QueuePage page);
  TimeMs message_ttl(wire::Qos qos) const;
  TimeMs shortest_message_ttl() const;
  bool has_outstayed(const Session& session, storage::MessageId id, wire::Qos qos) const;
  void note_outstayed(Session& session);
  void watch_for_outstayed(Absence& absence, TimeMs from);
  void remove_outstayed(Absence& absence);
  void end_outstayed_subscriptions(Absence& absence, std::size_t most);

  // commit.cpp: acknowledgements that rest on this turn's batch
  struct Held {
    // kLive: a PUBLISH that rests on no commit, but is behind others that do.
    enum class Kind : std::uint8_t { kAck, kBytes, kOpen, kPublish, kLive } kind;
    wire::PacketType type;
    Reason reason;
    wire::PacketId packet_id;
    std::uint32_t connection_number;
    topics::SubscriberId session;
    std::string bytes;
  };
  void hold_ack(Session& session, wire::PacketType type, wire::PacketId packet_id, Reason reason = Reason::kSuccess);
  void hold_bytes(Session& session, std::string bytes, wire::PacketType type);
  void hold(Session& session, Held::Kind kind, wire::PacketId packet_id = 0, std::string bytes = {});
  void release_held(std::vector<Held>& held);
  bool waits_for_store(Connection& connection, const wire::Frame& frame);
  void end_store_wait(Connection& connection);
  void end_store_waits();
  void release_one(Held& held);
  void release_publish(Session& session, wire::PacketId packet_id);
  void submit();
  void release_independent();
  void release_live();
  void commit(storage::Batch batch);
  void change_retained(storage::Change change);
  void change(storage::Change change) { batch_.changes.push_back(std::move(change)); }
  void on_committed(storage::BatchNumber number) override;
  void on_trouble(const storage::StoreError& error) override;
  void on_trouble_over() override;
  void on_queue_page(storage::QueuePage page) override;

  // timers.cpp
  void on_timer(TimerNode& node);
  // Between turns, when something was due: the thread did not run.
  static constexpr TimeMs kStopMs = 1000;
  void notice_stop(TimeMs now);
  void check_connection(Connection& connection);
  void check_absence(Absence& absence);
  void arm(Connection& connection);
  void fail_refused(Connection& connection);
  TimeMs connect_timeout_ms(const Connection& connection) const {
    return connection.listener_limits().connect_timeout_ms.value_or(settings_.connect_timeout_ms);
  }

  // recovery.cpp
  void on_session(const storage::SessionRecord& record) override;
  void on_subscription(storage::SessionId session, const storage::SubscriptionRecord& record) override;
  void on_queue(storage::SessionId session, std::uint64_t messages, std::uint64_t bytes) override;
  void on_outgoing(storage::SessionId session, const storage::OutgoingRecord& record,
                   const storage::QueueEntry* entry) override;
  void on_incoming(storage::SessionId session, wire::PacketId packet_id) override;
  void on_retained(Ref<const wire::Message> message) override;
  void on_will(storage::SessionId session, const storage::WillRecord& will) override;

  // Appends a packet and asks for a flush.
  template <class Packet>
  void write(Connection& connection, const Packet& packet);
  void write_bytes(Connection& connection, BytesView bytes);
  void count_sent(const Connection& connection, const OutgoingPublish& publish);
  void request_flush(Connection& connection);

  bool online(const Session& session) const {
    return session.connection != nullptr && session.connection->state == Connection::State::kOpen;
  }
  storage::MessageId next_message_id();
  static TimeMs time_of(storage::MessageId id);
  std::uint32_t owner_of(std::string_view client_id) const {
    return static_cast<std::uint32_t>(hash_bytes(client_id, shared_.hash_seed) % shared_.shard_count);
  }

  const std::uint32_t index_;
  SharedState& shared_;
  const Settings& settings_;
  storage::Lane& lane_;
  ShardHost& host_;
  Log& log_;
  LogLimiter refusals_;
  Random& random_;
  Counters& counters_;
  TimeMs now_ = 0;

  BufferPool pool_;
  TimingWheel wheel_;
  topics::MatchCache cache_;
  std::string scratch_;
  std::string mounted_topic_;  // of the PUBLISH under way

  struct StringHash {
    using is_transparent = void;
    std::uint64_t seed = 0;
    std::size_t operator()(std::string_view s) const { return hash_bytes(s, seed); }
  };
  // Keys view the sessions' own client_id.
  boost::unordered_flat_map<std::string_view, Session*, StringHash, std::equal_to<>> by_client_id_;
  struct Slot {
    std::unique_ptr<Session> session;
    std::uint32_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Mail> outbox_;  // by shard
  std::size_t mailed_ = 0;    // receivers on other shards, of all messages so far
  storage::Batch batch_;
  bool batch_has_retained_ = false;
  storage::BatchNumber last_submitted_ = 0, last_committed_ = 0;
  std::vector<Held> held_;  // of this turn
  struct HeldBatch {
    storage::BatchNumber number;
    std::vector<Held> held;
    std::size_t published_bytes;
  };
  std::deque<HeldBatch> waiting_;         // submitted, not committed
  std::size_t turn_published_bytes_ = 0;  // QoS 1 and 2, taken from clients since the last batch
  std::size_t uncommitted_bytes_ = 0;     // the same, of batches that are not committed
  std::vector<Connection*> store_waits_;  // publishers that are not read until the store has caught up
  std::optional<Reason> trouble_;         // the store takes no changes: what is answered to those who need it
  std::uint64_t last_counter_ = 0;
  std::uint64_t last_read_request_ = 0;
  boost::unordered_flat_map<storage::SessionId, Session*> by_stored_id_;
  // Ended sessions whose stored queues are to be handed on when the other shards have said that nothing more is coming.
  struct Leaving {
    Departing departing;
    std::uint32_t unanswered;
  };
  boost::unordered_flat_map<topics::SubscriberId, Leaving> leaving_;
  // Ended sessions whose stored queues are being handed on, by read request.
  boost::unordered_flat_map<std::uint64_t, Departing> departing_;
  // What could not be read: queues of sessions, of which some may have ended since, and of ended ones.
  std::deque<topics::SubscriberId> unread_sessions_;
  std::deque<Departing> unread_departing_;
  TimeMs reads_again_at_ = kNever;
  // Sessions whose retained messages are to be read on in the next turn, and how much this turn may still read.
  std::deque<topics::SubscriberId> awaiting_replay_turn_;
  std::uint64_t work_between_looks_ = 0;  // of one client
  unsigned next_work_ = 0;                // the kind of waiting work that comes next
  std::size_t replay_visits_left_ = 0;
  std::deque<std::unique_ptr<FilterWork>> filter_work_;  // packets that take several turns
  std::deque<std::unique_ptr<Outbound>> discarded_;      // with long queues, of sessions that are no more
  std::deque<EndingSubscriptions> endings_;              // of sessions that are no more
  std::size_t filter_work_per_turn_ = 0, filter_work_left_ = 0;
  std::size_t filters_done_ = 0;  // as many subscriptions of ended sessions are to go
  std::vector<Held> spare_held_;  // keeps its capacity from turn to turn
  struct Recovered {
    TimeMs left_at = 0;
    std::vector<RecoveredExchange> exchanges;
  };
  boost::unordered_flat_map<storage::SessionId, Recovered> recovered_;  // while recovering
  bool shutting_down_ = false;

  TimeMs house_due_ = 0;
  TimeMs judges_from_ = 0;  // until then no connection has been silent for too long
  TimeMs sys_due_;          // kNever on all shards but the first
  bool memory_full_ = false;
  TimeMs memory_due_ = 0;         // next look at it
  std::size_t max_output_bytes_;  // the setting, less while memory is full
  struct MemoryWait {
    Connection* connection;
    TimeMs since;
  };
  std::vector<MemoryWait> memory_waits_;  // publishers that are not read
};

}  // namespace petrel::broker
