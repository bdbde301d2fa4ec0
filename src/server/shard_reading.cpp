// Reading: who is read when, and how much at a time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "server/shard_thread.h"

namespace petrel::server {

using broker::Connection;
using net::IoStatus;

namespace {

// A peer this many messages behind (those that are large or have many receivers count more often: broker::Mail) makes
// its senders wait: their busy publishers are not read meanwhile, from the second mark on no publisher is. What the
// others send between the two comes behind not too many.
constexpr std::size_t kMailBacklogForBusy = 5000, kShortMailBacklogForBusy = 250;
constexpr std::size_t kMailBacklogForAll = 50'000;
// Who brings more than it has credit for is read after the others, and in each turn only until the time is over. Credit
// grows with time, so that whoever was not read for a while may have sent more: or whoever had to wait once would wait
// behind the others for good. Each read may bring kShortReadBytes in any case, and at most kMostCalmBytes at a time. A
// message that is sent to somebody counts like so many bytes.
constexpr std::size_t kShortReadBytes = 4096, kMostCalmBytes = 32'768;
constexpr std::size_t kCalmBytesPerMs = 128, kMostCredit = std::size_t{512} << 10;
constexpr std::uint64_t kBytesOfMessage = 4;
// How long a turn may be. Long ones let much go out in few writes; while there are publishers that send little at a
// time, on whichever thread, turns are short, so that their messages do not wait.
constexpr std::chrono::microseconds kTurnTime{4000}, kShortTurnTime{125};
constexpr TimeMs kCalmMs = 100;
// Work that can wait is done once in so long, though another thread is behind.
constexpr TimeMs kMostWaitMs = 10;
constexpr std::size_t kManyUnfinished = 64;
// What one of them may bring at a time: less when its packets take long.
constexpr std::size_t kLeastBusyReadBytes = 16'384;
// Of a large packet at a time.
constexpr std::size_t kGatherReadBytes = std::size_t{1} << 20, kShortGatherReadBytes = 16'384;

}  // namespace

void ShardThread::begin_time() {
  const bool calm = std::any_of(peers_.begin(), peers_.end(), [this](const ShardThread* peer) {
    return now_ - peer->calm_at_.load(std::memory_order_relaxed) < kCalmMs;
  });
  is_short_ = calm;
  turn_time_ = calm ? kShortTurnTime : kTurnTime;
  sending_left_ = turn_time_;
  turn_end_ = std::chrono::steady_clock::now() + turn_time_ / 4;
}

// Time for the next part of the turn, however long it has been already.
void ShardThread::extend_time(int quarters) {
  turn_end_ = std::max(turn_end_, std::chrono::steady_clock::now() + turn_time_ * (is_short_ ? quarters : 4) / 4);
}

// Which kind of waiting work this turn does. None while another thread is behind, for all of it makes more messages;
// and none before what the last made is sent, once that is more than a little: until then one write is to serve for
// many messages.
void ShardThread::choose_work() {
  work_ = Work::kNone;
  hold_back(congested(busy_mark()) && now_ - worked_at_ < kMostWaitMs);
  if (held_back_ || (is_short_ && owes_much() && now_ - worked_at_ < kMostWaitMs)) return;
  worked_at_ = now_;
  work_ = Work::kAll;
  if (!is_short_) return;
  // Much of what the others do is made by those that send much.
  constexpr std::array<Work, 7> kRotation = {Work::kShard, Work::kBusy,   Work::kNewcomers, Work::kBusy,
                                             Work::kShard, Work::kBroken, Work::kBusy};
  for (std::size_t tries = kRotation.size(); tries > 0; --tries) {
    work_ = kRotation[++rotation_ % kRotation.size()];
    if (is_due(work_)) return;
  }
  work_ = Work::kAll;  // that comes in this turn
}

bool ShardThread::owes_much() const { return round_left_ > 0 && has_much_to_send(*unhurried_.front()); }

bool ShardThread::is_due(Work work) const {
  switch (work) {
    case Work::kShard:
      return shard_.has_waiting_work();
    case Work::kBroken:
      return !broken_.empty();
    case Work::kNewcomers:
      return !newcomers_.empty();
    case Work::kBusy:
      return !busy_.empty();
    default:
      return false;
  }
}

bool ShardThread::turn_is_long() {
  return std::chrono::steady_clock::now() >= turn_end_ || (is_short_ && congested(busy_mark()));
}

bool ShardThread::congested(std::size_t mark) const {
  return std::any_of(peers_.begin(), peers_.end(), [this, mark](const ShardThread* peer) {
    return peer != this &&
           peer->mail_backlog_.load(std::memory_order_relaxed) + shard_.outbox(peer->index_).weight() > mark;
  });
}

std::size_t ShardThread::busy_mark() const { return is_short_ ? kShortMailBacklogForBusy : kMailBacklogForBusy; }

void ShardThread::hold_back(bool how) {
  held_back_ = how;
  waits_for_peers_.store(how || !congested_.empty(), std::memory_order_relaxed);
}

void ShardThread::pause_for_congestion(Socket& socket) {
  congested_.push_back(&socket);
  waits_for_peers_.store(true, std::memory_order_relaxed);
  socket.congested = true;
  set_interest(socket, wanted_events(socket));
}

void ShardThread::resume_after_congestion() {
  if (congested_.empty()) return;
  if (congested(busy_mark())) {
    // Of short turns only those that send little wait: for them turns are to stay short.
    if (is_short_) calm_at_.store(now_, std::memory_order_relaxed);
    return;
  }
  std::vector<Socket*> sockets;
  sockets.swap(congested_);
  for (Socket* socket : sockets) {
    socket->congested = false;
    set_interest(*socket, wanted_events(*socket));
    settle(*socket);
  }
}

// `ends`: the peer has hung up, and what that leads to (a will, the end of a session) is nothing that others wait for.
void ShardThread::on_readable(Socket& socket, bool ends) {
  if (socket.closing) return wait_for_end(socket);
  if (socket.yielded) return;
  const bool is_new = socket.state == Connection::State::kAwaitsConnect;
  const bool brings_much = socket.busy || socket.partial.is_large();
  // In short turns they are not paused, but held back.
  if (congested(brings_much && !is_new && !is_short_ ? kMailBacklogForBusy : kMailBacklogForAll))
    return pause_for_congestion(socket);
  if (is_full(socket)) return wait_for_output(socket);
  if (!brings_much && !ends) return read(socket, std::min(calm_bytes(socket), kMostCalmBytes));
  if (socket.waits == Socket::Waits::kNot) (is_new ? newcomers_ : busy_).push(socket);
}

ReadQueue& ShardThread::queue_of(Socket::Waits waits) {
  if (waits == Socket::Waits::kUnfinished) return unfinished_;
  return waits == Socket::Waits::kNewcomer ? newcomers_ : busy_;
}

void ShardThread::wait_for_output(Socket& socket) {
  socket.waits_for_output = true;
  set_interest(socket, wanted_events(socket));
}

// What somebody who sends little may bring now.
std::size_t ShardThread::calm_bytes(const Socket& socket) const {
  const auto silent_ms = static_cast<std::size_t>(std::max<TimeMs>(now_ - socket.last_received_at, 0));
  return std::clamp(socket.credit_bytes + silent_ms * kCalmBytesPerMs, kShortReadBytes, kMostCredit);
}

void ShardThread::read(Socket& socket, std::size_t most_bytes) {
  char* const buffer = read_buffer_.get();
  const std::size_t have = socket.partial.bytes().size();
  if (have != 0) std::memcpy(buffer, socket.partial.bytes().data(), have);
  const iovec room{buffer + have, std::min(most_bytes, kReadBufferBytes - have)};
  socket.unread = false;
  const net::IoResult result = socket.transport->read_some({&room, 1});
  if (result.status != IoStatus::kOk) return read_failed(socket, result);
  socket.traffic->bytes_received.add(result.bytes);
  socket.partial = {};
  const std::uint64_t published = counters().packets_received.of(wire::PacketType::kPublish);
  const std::size_t allowed = calm_bytes(socket);
  const bool was_busy = socket.busy;
  socket.busy = result.bytes >= allowed;
  socket.credit_bytes = static_cast<std::uint32_t>(allowed - std::min(allowed, result.bytes));
  if (!feed(socket, {buffer, have + result.bytes})) return;
  if (!was_busy && !socket.busy && counters().packets_received.of(wire::PacketType::kPublish) != published)
    calm_at_.store(now_, std::memory_order_relaxed);
}

void ShardThread::charge_messages(Socket& socket, std::uint64_t messages) {
  const std::uint64_t bytes = messages * kBytesOfMessage;
  if (bytes > socket.credit_bytes) socket.busy = true;
  socket.credit_bytes -= static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, socket.credit_bytes));
}

std::uint64_t ShardThread::messages_sent() const {
  return counters().packets_sent.of(wire::PacketType::kPublish) + counters().dropped_slow_consumer.value() +
         counters().looked_up.value();
}

// One after the other, until the time is over; who is left comes first the next time.
void ShardThread::read_queued(ReadQueue& queue) {
  using Clock = std::chrono::steady_clock;
  if (queue.empty()) return;
  extend_time(3);
  auto begin = Clock::now();
  do {
    read_next(queue);
    if (&queue != &busy_) continue;
    const auto end = Clock::now();
    if (end - begin > turn_time_ / 2) {
      busy_read_bytes_ = std::max(busy_read_bytes_ / 2, kLeastBusyReadBytes);
    } else if (end - begin < turn_time_ / 8) {
      busy_read_bytes_ = std::min(busy_read_bytes_ * 2, kReadBufferBytes);
    }
    begin = end;
  } while (!queue.empty() && !turn_is_long());
}

void ShardThread::read_next(ReadQueue& queue) {
  const auto [socket, was_aside] = queue.take();
  if (was_aside) set_interest(socket, wanted_events(socket));
  if (socket.closing) {
    wait_for_end(socket);
  } else if (std::exchange(socket.yielded, false)) {
    const PartialPacket waiting = std::move(socket.partial);
    feed(socket, waiting.bytes());
  } else if (is_full(socket)) {
    wait_for_output(socket);
  } else if (socket.paused || socket.congested) {
    // Whoever lets it go on has its interest registered again.
  } else if (socket.partial.is_large()) {
    read_rest_of_packet(socket);
  } else {
    const bool known = socket.state != Connection::State::kAwaitsConnect;
    read(socket, known ? busy_read_bytes_ : kShortReadBytes);
  }
}

void ShardThread::set_aside_queued() {
  const auto aside = [this](Socket& socket) { set_interest(socket, wanted_events(socket)); };
  newcomers_.set_aside(aside);
  busy_.set_aside(aside);
  // A few of them are reported once or twice: that costs less.
  if (unfinished_.size() > kManyUnfinished) unfinished_.set_aside(aside);
}

// A large packet is under way: what is missing is read to its place, and what follows it into the read buffer.
void ShardThread::read_rest_of_packet(Socket& socket) {
  const std::size_t missing = socket.partial.missing_bytes();
  std::array<iovec, 2> room = {socket.partial.room(), iovec{read_buffer_.get(), kReadBufferBytes}};
  room[0].iov_len = std::min(room[0].iov_len, is_short_ ? kShortGatherReadBytes : kGatherReadBytes);
  const bool whole = room[0].iov_len == missing;
  // A packet that takes longer than the keep alive is a sign of life all the while.
  socket.last_received_at = now_;
  const net::IoResult result = socket.transport->read_some({room.data(), whole ? 2U : 1U});
  if (result.status != IoStatus::kOk) return read_failed(socket, result);
  socket.traffic->bytes_received.add(result.bytes);
  const std::size_t gathered = std::min(result.bytes, room[0].iov_len);
  socket.partial.commit(gathered);
  if (!socket.partial.complete()) return settle(socket);
  const PartialPacket packet = std::move(socket.partial);
  feed(socket, packet.bytes(), {read_buffer_.get(), result.bytes - gathered});
}

void ShardThread::read_failed(Socket& socket, const net::IoResult& result) {
  if (result.status == IoStatus::kEnd) return lost(socket, "closed by peer");
  if (result.status == IoStatus::kError) return lost(socket, socket.transport->failure(result));
  settle(socket);
}

// After reading: a layered transport may hold bytes of which the system does not tell, and may have something to write.
void ShardThread::settle(Socket& socket) {
  if (!socket.layered || socket.gone) return;
  if (socket.ended) {
    set_interest(socket, wanted_events(socket));
  } else if (socket.transport->wants_write()) {
    mark_blocked(socket);
    set_interest(socket, wanted_events(socket));
  }
  if (socket.gone || socket.buffered || socket.waits != Socket::Waits::kNot || socket.paused || socket.congested ||
      socket.waits_for_output)
    return;
  if (!socket.transport->has_buffered()) return;
  socket.buffered = true;
  buffered_.push_back(&socket);
}

void ShardThread::read_buffered() {
  if (buffered_.empty()) return;
  std::vector<Socket*> sockets;
  sockets.swap(buffered_);
  for (Socket* socket : sockets) {
    socket->buffered = false;
    if (!socket->gone && !socket->paused && !socket->congested) on_readable(*socket);
  }
}

// All has been said to the peer; what it still sends is of no interest, only that it hangs up.
void ShardThread::wait_for_end(Socket& socket) {
  const iovec room{read_buffer_.get(), kReadBufferBytes};
  const net::IoResult result = socket.transport->read_some({&room, 1});
  if (result.status == IoStatus::kEnd || result.status == IoStatus::kError) return bury(socket);
  settle(socket);
}

// `following` comes after `bytes`, which then are one whole packet. False when the socket is another shard's now, or
// gone.
bool ShardThread::feed(Socket& socket, BytesView bytes, BytesView following) {
  using Then = broker::Shard::Received::Then;
  const bool stranger = socket.state == Connection::State::kAwaitsConnect;
  const std::uint64_t sent = messages_sent();
  const broker::Shard::Received received = shard_.receive(socket, bytes);
  if (socket.gone) return false;
  charge_messages(socket, messages_sent() - sent);
  if (stranger && socket.session != nullptr)
    socket.door->adapt_to_keep_alive(socket.transport->fd(), socket.keep_alive_s);
  const BytesView rest = bytes.substr(std::min(received.consumed, bytes.size()));
  switch (received.then) {
    case Then::kContinue:
      if (!following.empty()) return feed(socket, following);
      socket.partial.append(rest, received.needed_bytes);
      settle(socket);
      return !socket.gone;
    case Then::kPause:
      socket.partial.append(rest, 0);
      socket.partial.append(following, 0);
      socket.paused = true;
      settle(socket);
      return !socket.gone;
    case Then::kYield:
      socket.partial.append(rest, 0);
      socket.partial.append(following, 0);
      socket.yielded = true;
      if (socket.waits == Socket::Waits::kNot) (socket.busy ? busy_ : unfinished_).push(socket);
      return false;
    case Then::kClosed:
      settle(socket);
      return !socket.gone;
    case Then::kHandOver:
      socket.partial.append(bytes, 0);
      socket.partial.append(following, 0);
      shard_.release(socket);
      peers_[received.owner]->hand_over(give_up(socket));
      return false;
  }
  return true;
}

}  // namespace petrel::server
