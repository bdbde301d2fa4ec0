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
constexpr std::size_t kLargeOutputBytes = 65'536;
// Nobody is sent more than about this at a time.
constexpr std::size_t kMostAtATime = 262'144;
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

void ShardThread::request_flush(Connection& connection) { dirty_.push_back(&socket_of(connection)); }

void ShardThread::close(Connection& connection) {
  Socket& socket = socket_of(connection);
  begin_lingering(socket);
  if (!socket.flush_requested) {
    socket.flush_requested = true;
    dirty_.push_back(&socket);
  }
}

void ShardThread::resume(Connection& connection) { resumed_.push_back(&socket_of(connection)); }

// The socket takes bytes again.
void ShardThread::flush_later(Socket& socket) {
  if (socket.output.size() <= kLargeOutputBytes) return flush(socket);
  socket.writable = true;
  if (!std::exchange(socket.flush_requested, true)) dirty_.push_back(&socket);
}

void ShardThread::flush_all() {
  for (int round = 0; round < kFlushRounds; ++round) {
    drained_ = false;
    const bool all = flush_dirty();
    if (!drained_ && dirty_.empty()) return;
    // Room in an output lets waiting messages go.
    if (drained_ || all) shard_.end_turn();
    if (!all) return;
  }
}

// False when some with much to send are left for the next turn.
bool ShardThread::flush_dirty() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point until{};
  bool all = true;
  std::vector<Socket*>& dirty = flushing_;
  dirty.swap(dirty_);
  // A flush may end this socket, but no other.
  for (Socket* socket : dirty) {
    if (socket->output.size() > kLargeOutputBytes && !shutting_down_) {
      const auto now = Clock::now();
      if (until == Clock::time_point{}) until = now + turn_time_ / 4;
      if (now >= until) {
        dirty_.push_back(socket);
        all = false;
        continue;
      }
    }
    socket->flush_requested = false;
    if (std::exchange(socket->writable, false) || socket->blocked_since == 0 || socket->closing) flush(*socket);
  }
  dirty.clear();
  return all;
}

void ShardThread::flush(Socket& socket) {
  if (socket.gone || socket.broken || (socket.layered && !write_held(socket)) || socket.ended) return;
  const bool had_output = !socket.output.empty();
  for (std::size_t written = 0; !socket.output.empty();) {
    if (written >= kMostAtATime && !shutting_down_) {
      socket.writable = true;
      if (!std::exchange(socket.flush_requested, true)) dirty_.push_back(&socket);
      break;
    }
    std::array<OutputBuffer::Piece, kPiecesPerWrite> pieces;
    std::array<iovec, kPiecesPerWrite> vectors;
    const std::size_t count = socket.output.gather(pieces);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<char*>(pieces[i].data), pieces[i].size};
      wanted += pieces[i].size;
    }
    const net::IoResult result = socket.transport->write_some({vectors.data(), count});
    if (result.status == IoStatus::kError) {
      socket.output.clear();
      return write_failed(socket, result);
    }
    socket.output.consume(result.bytes);
    written += result.bytes;
    socket.traffic->bytes_sent.add(result.bytes);
    if (socket.waits_for_output && socket.output.size() < shard_.full_mark() / 2) {
      socket.waits_for_output = false;
      set_interest(socket, wanted_events(socket));
      settle(socket);
      if (socket.gone) return;
    }
    if (result.bytes > 0 && socket.blocked_since != 0) socket.blocked_since = now_;
    if (result.bytes < wanted) {
      mark_blocked(socket);
      set_interest(socket, wanted_events(socket));
      break;
    }
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
  extend_time();
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
