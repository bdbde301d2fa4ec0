#include "broker/shard.h"

#include <algorithm>

#include "wire/encode.h"

namespace petrel::broker {

using wire::PacketType;

namespace {

// Connections without a CONNECT that are let in beyond limits.max_connections.
constexpr std::size_t kStrangers = 64;
// While memory is used up, somebody looks so often whether it still is, though nothing else happens.
constexpr TimeMs kMemoryWakeMs = 10;
// What is kept to be used again is given back a little at a time, when it is not.
constexpr TimeMs kHouseEveryMs = 100;
constexpr std::size_t kAgeParts = 300;
constexpr std::size_t kPoolParts = 80;
// While memory is used up, packets above this size are not waited for.
constexpr std::size_t kLargePacketBytes = 65'536;
// Work of one client's bytes after which it is asked whether the turn is long: a unit for each message sent, here or by
// another shard, so many for each packet and one for so many bytes of it. About a tenth of a millisecond.
constexpr std::uint64_t kWorkBetweenLooks = 2048, kShortWorkBetweenLooks = 256;
constexpr std::uint64_t kWorkOfPacket = 16;
constexpr std::uint64_t kBytesOfWork = 16;
constexpr std::uint64_t kWorkOfLookUp = 8;  // for each subscription that is found
// How many retained messages a turn looks at, for all sessions together, whether they match or not. A millisecond; in
// short turns a tenth.
constexpr std::size_t kReplayVisitsPerTurn = 1024, kShortReplayVisitsPerTurn = 128;
// Message ids of one millisecond.
constexpr unsigned kCounterBits = 12;

}  // namespace

Shard::Shard(std::uint32_t index, SharedState& shared, storage::Lane& lane, ShardHost& host, Log& log, Random& random)
    : index_(index),
      shared_(shared),
      settings_(shared.settings),
      lane_(lane),
      host_(host),
      log_(log),
      refusals_(log),
      random_(random),
      counters_(shared.counters[index]),
      pool_(BufferPool::kMaxKeptBytes, &counters_.bytes_sent),
      cache_(shared.index, shared.settings.match_cache_topics, shared.settings.match_cache_bytes),
      by_client_id_(0, StringHash{shared.hash_seed}),
      outbox_(shared.shard_count),
      sys_due_(index == 0 && shared.settings.sys.enabled ? 0 : kNever),
      max_output_bytes_(shared.settings.max_output_bytes) {}

Shard::~Shard() { refusals_.finish(); }

void Shard::begin_turn(TimeMs now) {
  if (now - now_ > kStopMs) notice_stop(now);
  now_ = now;
  refusals_.advance(now);
  watch_memory();
  keep_house();
  lane_.poll(*this);
  if (now_ >= reads_again_at_) read_again(kReadsAgain);
  publish_sys();
  const bool is_short = host_.turn_is_short();
  replay_visits_left_ = is_short ? kShortReplayVisitsPerTurn : kReplayVisitsPerTurn;
  begin_filter_work(is_short);
  work_between_looks_ = is_short ? kShortWorkBetweenLooks : kWorkBetweenLooks;
}

// One kind after the other; when one has taken the time, the next turn begins with the next.
void Shard::do_waiting_work() {
  constexpr unsigned kKinds = 3;
  for (unsigned kind = 0; kind < kKinds && (kind == 0 || !host_.turn_is_long()); ++kind) {
    switch (next_work_++ % kKinds) {
      case 0:
        wheel_.advance(
            now_, [this](TimerNode& node) { on_timer(node); }, [this] { return host_.turn_is_long(); });
        break;
      case 1:
        resume_replays();
        break;
      default:
        continue_filter_work();
    }
  }
}

bool Shard::has_waiting_work() const {
  return wheel_.next_deadline() <= now_ || !awaiting_replay_turn_.empty() || !filter_work_.empty() ||
         !endings_.empty() || !discarded_.empty();
}

void Shard::end_turn() {
  submit();
  lane_.poll(*this);
  // Releasing acknowledgements may have led to more work, which must not wait for the next event.
  while (!batch_.changes.empty() || !held_.empty()) {
    submit();
    lane_.poll(*this);
  }
  for (std::uint32_t shard = 0; shard < outbox_.size(); ++shard) {
    if (outbox_[shard].empty()) continue;
    counters_.mails_posted.add();
    host_.post(shard, std::exchange(outbox_[shard], {}));
  }
}

void Shard::keep_house() {
  if (now_ < house_due_) return;
  house_due_ = now_ + kHouseEveryMs;
  cache_.age(kAgeParts);
  pool_.free_some(kPoolParts);
}

TimeMs Shard::next_deadline() const {
  TimeMs due = std::min({wheel_.next_deadline(), refusals_.next_report(), sys_due_, reads_again_at_});
  if (cache_.count() != 0 || pool_.kept_bytes() != 0) due = std::min(due, house_due_);
  if (has_waiting_work()) return std::min(due, now_);
  return memory_full_ ? std::min(due, memory_due_ + kMemoryWakeMs) : due;
}

void Shard::connected(Connection& connection, TimeMs waited_ms) {
  const bool handed_over = connection.limited_since != 0;
  if (!handed_over) counters_.network_connections.add();
  connection.last_received_at = now_;
  connection.limited_since = now_ - waited_ms;
  arm(connection);
  const std::size_t open = shared_.connections.fetch_add(1, std::memory_order_relaxed) + 1;
  // Those above the limit are told so when their CONNECT has come, as long as they are not too many.
  if (settings_.max_connections != 0 && open > settings_.max_connections + kStrangers)
    fail(connection, Reason::kQuotaExceeded, Limit::kConnections);
}

void Shard::release(Connection& connection) {
  if (connection.state == Connection::State::kClosing) return;
  forget(connection);
}

void Shard::forget(Connection& connection) {
  wheel_.cancel(connection);
  end_memory_wait(connection);
  forget_filter_work(connection);
  end_store_wait(connection);
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
}

// Whatever is to be sent has been written to its output.
void Shard::close(Connection& connection) {
  connection.state = Connection::State::kClosing;
  forget(connection);
  host_.close(connection);
}

Session* Shard::find(topics::SubscriberId id) const {
  const std::uint32_t slot = topics::slot_of(id);
  if (slot >= slots_.size() || slots_[slot].generation != topics::generation_of(id)) return nullptr;
  return slots_[slot].session.get();
}

Shard::Received Shard::receive(Connection& connection, BytesView bytes) {
  Received result;
  connection.last_received_at = now_;
  std::uint64_t work = 0, looked_up = cache_.looked_up();
  while (result.consumed < bytes.size()) {
    if (work > work_between_looks_ && std::exchange(work, 0) != 0 && host_.turn_is_long()) {
      result.then = Received::Then::kYield;
      return result;
    }
    switch (connection.state) {
      case Connection::State::kClosing:
        result.then = Received::Then::kClosed;
        return result;
      case Connection::State::kAwaitsCommit:
        result.then = Received::Then::kPause;
        return result;
      case Connection::State::kAwaitsConnect: {
        const Received first = receive_connect(connection, bytes.substr(result.consumed));
        result.consumed += first.consumed;
        result.owner = first.owner;
        result.needed_bytes = first.needed_bytes;
        if (first.then != Received::Then::kContinue || first.consumed == 0) {
          result.then = first.then;
          return result;
        }
        continue;
      }
      case Connection::State::kOpen:
        if (connection.waits_for_filters) {
          result.then = Received::Then::kPause;
          return result;
        }
        break;
    }
    const auto frame =
        wire::next_frame(connection.version, bytes.substr(result.consumed), max_packet_bytes(connection));
    if (!frame.has_value()) {
      fail(connection, frame.error());
      continue;
    }
    if (!frame->complete) {
      if (memory_full_ && frame->needed_bytes > kLargePacketBytes) {
        fail(connection, Reason::kQuotaExceeded, Limit::kMemoryBytes);
        continue;
      }
      result.needed_bytes = frame->needed_bytes;
      return result;
    }
    if (waits_for_store(connection, frame->frame) || (memory_full_ && waits_for_memory(connection, frame->frame))) {
      result.then = Received::Then::kPause;
      return result;
    }
    counters_.bytes_received.add(frame->frame.total_bytes);
    const std::uint64_t sent = counters_.packets_sent.of(PacketType::kPublish);
    const std::size_t mailed = mailed_;
    dispatch(connection, frame->frame);
    if (cache_.looked_up() != looked_up) {
      const std::uint64_t found = cache_.looked_up() - std::exchange(looked_up, cache_.looked_up());
      counters_.looked_up.add(found);
      work += found * kWorkOfLookUp;
    }
    work += counters_.packets_sent.of(PacketType::kPublish) - sent + (mailed_ - mailed) + kWorkOfPacket +
            frame->frame.total_bytes / kBytesOfWork;
    result.consumed += frame->frame.total_bytes;
  }
  if (connection.state == Connection::State::kClosing) result.then = Received::Then::kClosed;
  if (connection.state == Connection::State::kAwaitsCommit || connection.waits_for_filters)
    result.then = Received::Then::kPause;
  return result;
}

bool Shard::dispatch(Connection& connection, const wire::Frame& frame) {
  counters_.packets_received.add(frame.type);
  switch (frame.type) {
    case PacketType::kPublish:
      if (connection.traffic != nullptr) connection.traffic->messages_received.add();
      handle_publish(connection, frame);
      return true;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return handle_acknowledgement(connection, frame);
    case PacketType::kSubscribe:
    case PacketType::kUnsubscribe:
      handle_filters(connection, frame);
      return true;
    case PacketType::kPingreq:
      if (const auto ok = wire::decode_empty(frame.type, frame.body); !ok.has_value()) {
        fail(connection, ok.error().reason, ok.error().what);
      } else {
        write_bytes(connection, wire::kPingresp);
      }
      return true;
    case PacketType::kDisconnect:
      handle_disconnect(connection, frame);
      return true;
    case PacketType::kConnect:
      fail(connection, Reason::kProtocolError, "second CONNECT on a connection [MQTT-3.1.0-2]");
      return true;
    case PacketType::kAuth:
      fail(connection, Reason::kProtocolError, "AUTH without an authentication method in CONNECT [MQTT-4.12.0-6]");
      return true;
    case PacketType::kConnack:
    case PacketType::kSuback:
    case PacketType::kUnsuback:
    case PacketType::kPingresp:
      break;
  }
  fail(connection, Reason::kProtocolError, "packet that only a server sends");
  return false;
}

void Shard::request_flush(Connection& connection) {
  if (connection.flush_requested) return;
  connection.flush_requested = true;
  host_.request_flush(connection);
}

void Shard::write_bytes(Connection& connection, BytesView bytes) {
  counters_.packets_sent.add(static_cast<PacketType>(byte_at(bytes, 0) >> 4));
  connection.output.append(pool_, bytes);
  request_flush(connection);
}

void Shard::count_sent(const Connection& connection, const OutgoingPublish& publish) {
  if (connection.traffic != nullptr) connection.traffic->messages_sent.add();
  counters_.packets_sent.add(PacketType::kPublish);
  counters_.payload_bytes_sent.add(publish.parts().payload.size());
}

void Shard::publish_last_wills() {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    Session* session = slots_[slot].session.get();
    if (session == nullptr || session->connection == nullptr || session->will == nullptr) continue;
    if (session->expiry_interval_s == 0 || session->will->record.delay_interval_s == 0) publish_will(*session);
  }
}

void Shard::shut_down() {
  shutting_down_ = true;
  log_.info("closing connections for shutdown", {{"shard", index_}, {"sessions", by_client_id_.size()}});
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    Session* session = slots_[slot].session.get();
    if (session == nullptr || session->connection == nullptr) continue;
    fail(*session->connection, Reason::kServerShuttingDown, "server is shutting down");
  }
}

void Shard::publish(const wire::Message::Parts& parts) {
  OutgoingPublish publish(parts, now_, scratch_);
  if (parts.retain) keep_retained(publish);
  route(publish);
}

TimeMs Shard::time_of(storage::MessageId id) { return static_cast<TimeMs>(id >> (storage::kLaneBits + kCounterBits)); }

storage::MessageId Shard::next_message_id() {
  // Time in the high bits keeps ids growing over restarts and comparable between shards.
  const auto by_time = static_cast<std::uint64_t>(now_) << kCounterBits;
  const std::uint64_t earlier = shared_.last_message_id.load(std::memory_order_relaxed) >> storage::kLaneBits;
  last_counter_ = std::max({last_counter_ + 1, by_time, earlier + 1});
  return storage::make_message_id(last_counter_, index_);
}

}  // namespace petrel::broker
