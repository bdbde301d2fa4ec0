// Writing: what goes out in a turn, and how connections end.
#include <algorithm>
#include <array>
#include <chrono>

#include "server/shard_thread.h"

namespace petrel::server {

using broker::Connection;
using net::IoStatus;

namespace {

constexpr std::size_t kPiecesPerWrite = 64;
// Who is to be sent more than this waits for the next turn when the time for such writes is over.
constexpr std::size_t kLargeOutputBytes = 65'536, kShortLargeOutputBytes = 4096;
// Nobody is sent more than about this at a time.
constexpr std::size_t kMostAtATime = 262'144, kShortMostAtATime = 65'536;
constexpr TimeMs kLingerMs = 1000;
// How often one turn goes on writing to those who read as fast as it writes.
constexpr int kFlushRounds = 4;

Socket& socket_of(Connection& connection) { return static_cast<Socket&>(connection); }

}  // namespace

void ShardThread::mark_blocked(Socket& socket) {
  if (socket.blocked_since != 0) return;
  socket.blocked_since = now_;
  shard_.output_blocked(socket);
}

void ShardThread::request_flush(Connection& connection) {
  Socket& socket = socket_of(connection);
  if (others_wait_ || (is_short_ && socket.busy)) {
    unhurried_.push_back(&socket);
  } else {
    dirty_.push_back(&socket);
  }
}

void ShardThread::close(Connection& connection) {
  Socket& socket = socket_of(connection);
  begin_lingering(socket);
  if (!std::exchange(socket.flush_requested, true)) request_flush(socket);
}

void ShardThread::resume(Connection& connection) { resumed_.push_back(&socket_of(connection)); }

bool ShardThread::has_much_to_send(const Socket& socket) const {
  return socket.output.size() > (is_short_ ? kShortLargeOutputBytes : kLargeOutputBytes);
}

// The socket takes bytes again.
void ShardThread::flush_later(Socket& socket) {
  if (!has_much_to_send(socket)) return flush(socket);
  wait_for_flush(socket);
}

void ShardThread::wait_for_flush(Socket& socket) {
  socket.writable = true;
  if (!std::exchange(socket.flush_requested, true)) unhurried_.push_back(&socket);
}

void ShardThread::flush_all() {
  const auto until = std::chrono::steady_clock::now() + turn_time_ / (work_ == Work::kNone ? 2 : 4);
  for (int round = 0; round < kFlushRounds; ++round) {
    drained_ = false;
    flush_dirty();
    const bool all = flush_unhurried(until);
    if (!drained_ && dirty_.empty()) return;
    // Room in an output lets waiting messages go.
    if (drained_ || all) shard_.end_turn();
    if (!all) return;
  }
}

void ShardThread::flush_dirty() {
  std::vector<Socket*>& dirty = flushing_;
  dirty.swap(dirty_);
  // A flush may end this socket, but no other.
  for (Socket* socket : dirty) {
    if (has_much_to_send(*socket)) {
      unhurried_.push_back(socket);
    } else {
      flush_now(*socket);
    }
  }
  dirty.clear();
}

// Those for whom there is time. False when some are left.
bool ShardThread::flush_unhurried(std::chrono::steady_clock::time_point until) {
  for (std::size_t count = unhurried_.size(); count > 0; --count) {
    Socket& socket = *unhurried_.front();
    unhurried_.pop_front();
    if (round_left_ > 0) --round_left_;
    flush_now(socket);
    if (count > 1 && !shutting_down_ && std::chrono::steady_clock::now() >= until) return false;
  }
  return true;
}

void ShardThread::flush_now(Socket& socket) {
  socket.flush_requested = false;
  if (std::exchange(socket.writable, false) || socket.blocked_since == 0 || socket.closing) flush(socket);
}

void ShardThread::forget_output(Socket& socket) {
  std::erase(dirty_, &socket);
  const auto found = std::find(unhurried_.begin(), unhurried_.end(), &socket);
  if (found == unhurried_.end()) return;
  if (static_cast<std::size_t>(found - unhurried_.begin()) < round_left_) --round_left_;
  unhurried_.erase(found);
}

void ShardThread::flush(Socket& socket) {
  if (socket.gone || socket.broken || (socket.layered && !write_held(socket)) || socket.ended) return;
  const bool had_output = !socket.output.empty();
  const std::size_t most = is_short_ ? kShortMostAtATime : kMostAtATime;
  const Written written = write_output(socket, shutting_down_ ? SIZE_MAX : most, 0);
  if (written == Written::kFailed) return;
  if (written == Written::kMost) wait_for_flush(socket);
  if (socket.waits_for_output && socket.output.size() < shard_.full_mark() / 2) {
    socket.waits_for_output = false;
    set_interest(socket, wanted_events(socket));
    settle(socket);
    if (socket.gone) return;
  }
  if (socket.output.empty()) {
    socket.blocked_since = 0;
    if (socket.closing) return finish_close(socket, had_output);
    if (socket.layered && socket.transport->wants_write()) mark_blocked(socket);
    set_interest(socket, wanted_events(socket));
  }
  if (socket.wants_drain_notice && socket.output.size() < shard_.drain_mark()) {
    drained_ = true;
    shard_.output_drained(socket);
  }
}

// Until no more than `left` bytes are left, or about `most` are written.
ShardThread::Written ShardThread::write_output(Socket& socket, std::size_t most, std::size_t left) {
  for (std::size_t written = 0; socket.output.size() > left;) {
    if (written >= most) return Written::kMost;
    std::array<OutputBuffer::Piece, kPiecesPerWrite> pieces;
    std::array<iovec, kPiecesPerWrite> vectors;
    const std::size_t count = socket.output.gather(pieces);
    std::size_t wanted = 0;
    std::size_t used = 0;
    for (; used < count && wanted < most; ++used) {
      const std::size_t size = std::min(pieces[used].size, most - wanted);
      vectors[used] = {const_cast<char*>(pieces[used].data), size};
      wanted += size;
    }
    const net::IoResult result = socket.transport->write_some({vectors.data(), used});
    if (result.status == IoStatus::kError) {
      socket.output.clear();
      write_failed(socket, result);
      return Written::kFailed;
    }
    socket.output.consume(result.bytes);
    written += result.bytes;
    socket.traffic->bytes_sent.add(result.bytes);
    if (result.bytes > 0 && socket.blocked_since != 0) socket.blocked_since = now_;
    if (result.bytes < wanted) {
      // A layer may make no more at a time.
      if (result.bytes > 0 && socket.layered && !socket.transport->wants_write()) return Written::kMost;
      mark_blocked(socket);
      set_interest(socket, wanted_events(socket));
      return Written::kBlocked;
    }
  }
  return Written::kEnough;
}

// Much has come for it in one turn. What flush() does beside writing comes with the flush that is requested anyway. A
// turn has so much time for this and no more: who floods many readers has what is beyond dropped.
void ShardThread::send_now(Connection& connection, std::size_t left) {
  Socket& socket = socket_of(connection);
  if (socket.blocked_since != 0 || socket.gone || socket.broken || socket.closing || socket.transport->wants_write())
    return;
  if (sending_left_.count() <= 0) return;
  const auto begin = std::chrono::steady_clock::now();
  write_output(socket, is_short_ ? kShortMostAtATime : kMostAtATime, left);
  sending_left_ -= std::chrono::steady_clock::now() - begin;
}

// What the transport holds back comes first. False: the socket takes no more, or is gone.
bool ShardThread::write_held(Socket& socket) {
  if (!socket.transport->wants_write()) return true;
  const net::IoResult result = socket.transport->write_pending();
  if (result.status == IoStatus::kError) {
    write_failed(socket, result);
    return false;
  }
  if (result.status == IoStatus::kOk && socket.blocked_since != 0) socket.blocked_since = now_;
  if (result.status == IoStatus::kWouldBlock && !socket.ended) mark_blocked(socket);
  set_interest(socket, wanted_events(socket));
  return result.status == IoStatus::kOk && !socket.gone;
}

// The end of a session may bring much work (its will): it comes when the time is there (end_broken).
void ShardThread::write_failed(Socket& socket, const net::IoResult& result) {
  if (socket.closing) return bury(socket);
  if (std::exchange(socket.broken, true)) return;
  broken_.push_back({&socket, result});
  set_interest(socket, wanted_events(socket));
}

void ShardThread::end_broken() {
  if (broken_.empty()) return;
  extend_time(2);
  do {
    const auto [socket, result] = broken_.front();
    broken_.pop_front();
    socket->broken = false;
    lost(*socket, socket->transport->failure(result));
  } while (!broken_.empty() && !turn_is_long());
}

// All is sent. Closing at once while input lies unread would make the system reset the connection, and the peer might
// never see its last packet: so first the end is announced, and the peer has a moment to close.
void ShardThread::finish_close(Socket& socket, bool had_output) {
  const bool says_so = socket.layered && socket.transport->established();
  if (!had_output && !says_so) return bury(socket);
  if (shutting_down_) socket.transport->announce_shutdown();
  socket.transport->end_writing();
  socket.ended = true;
  set_interest(socket, wanted_events(socket));
}

void ShardThread::begin_lingering(Socket& socket) {
  socket.closing = true;
  socket.linger_number = first_lingering_ + lingering_.size();
  lingering_.push_back({&socket, now_ + kLingerMs});
}

void ShardThread::forget_lingering(Socket& socket) {
  lingering_[socket.linger_number - first_lingering_].socket = nullptr;
  for (; !lingering_.empty() && lingering_.front().socket == nullptr; ++first_lingering_) lingering_.pop_front();
}

void ShardThread::end_lingering() {
  while (!lingering_.empty() && lingering_.front().deadline <= now_) bury(*lingering_.front().socket);
}

}  // namespace petrel::server
