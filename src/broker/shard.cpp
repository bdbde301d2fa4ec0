#include "broker/shard.h"

#include <algorithm>

#include "wire/encode.h"

namespace petrel::broker {

using wire::PacketType;

Shard::Shard(std::uint32_t index, SharedState& shared, storage::Lane& lane, ShardHost& host, Log& log, Random& random)
    : index_(index),
      shared_(shared),
      settings_(shared.settings),
      lane_(lane),
      host_(host),
      log_(log),
      refusals_(log),
      random_(random),
      cache_(shared.index, shared.settings.match_cache_topics, shared.settings.match_cache_bytes),
      by_client_id_(0, StringHash{shared.hash_seed}),
      outbox_(shared.shard_count) {}

Shard::~Shard() { refusals_.finish(); }

void Shard::begin_turn(TimeMs now) {
  now_ = now;
  refusals_.advance(now);
  wheel_.advance(now, [this](TimerNode& node) { on_timer(node); });
  lane_.poll(*this);
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
    host_.post(shard, std::move(outbox_[shard]));
    outbox_[shard] = Mail{};
  }
}

TimeMs Shard::next_deadline() const { return std::min(wheel_.next_deadline(), refusals_.next_report()); }

void Shard::connected(Connection& connection) {
  connection.opened_at = connection.last_received_at = now_;
  arm(connection);
}

void Shard::release(Connection& connection) { wheel_.cancel(connection); }

Session* Shard::find(topics::SubscriberId id) const {
  const std::uint32_t slot = topics::slot_of(id);
  if (slot >= slots_.size() || slots_[slot].generation != topics::generation_of(id)) return nullptr;
  return slots_[slot].session.get();
}

Shard::Received Shard::receive(Connection& connection, BytesView bytes) {
  Received result;
  connection.last_received_at = now_;
  while (result.consumed < bytes.size()) {
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
        break;
    }
    const auto frame = wire::next_frame(connection.version, bytes.substr(result.consumed), settings_.max_packet_bytes);
    if (!frame.has_value()) {
      fail(connection, frame.error().reason, frame.error().what);
      continue;
    }
    if (!frame->complete) {
      result.needed_bytes = frame->needed_bytes;
      return result;
    }
    dispatch(connection, frame->frame);
    result.consumed += frame->frame.total_bytes;
  }
  if (connection.state == Connection::State::kClosing) result.then = Received::Then::kClosed;
  if (connection.state == Connection::State::kAwaitsCommit) result.then = Received::Then::kPause;
  return result;
}

bool Shard::dispatch(Connection& connection, const wire::Frame& frame) {
  switch (frame.type) {
    case PacketType::kPublish:
      handle_publish(connection, frame);
      return true;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return handle_acknowledgement(connection, frame);
    case PacketType::kSubscribe:
      handle_subscribe(connection, frame);
      return true;
    case PacketType::kUnsubscribe:
      handle_unsubscribe(connection, frame);
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
  connection.output.append(pool_, bytes);
  request_flush(connection);
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

storage::MessageId Shard::next_message_id() {
  // Time in the high bits keeps ids growing over restarts and comparable between shards.
  constexpr unsigned kCounterBits = 12;
  const auto by_time = static_cast<std::uint64_t>(now_) << kCounterBits;
  const std::uint64_t earlier = shared_.last_message_id.load(std::memory_order_relaxed) >> storage::kLaneBits;
  last_counter_ = std::max({last_counter_ + 1, by_time, earlier + 1});
  return storage::make_message_id(last_counter_, index_);
}

}  // namespace petrel::broker
