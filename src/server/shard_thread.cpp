#include "server/shard_thread.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "net/address.h"

namespace petrel::server {

using broker::Connection;
using net::IoStatus;

namespace {

constexpr std::size_t kReadBufferBytes = 262'144;
// A peer this many messages behind (large ones count more often: broker::weight) makes its senders wait: their busy
// publishers are not read meanwhile, from the second mark on no publisher is. What the others send between the two
// comes behind not too many.
constexpr std::size_t kMailBacklogForBusy = 5000;
constexpr std::size_t kMailBacklogForAll = 50'000;
constexpr std::size_t kPiecesPerWrite = 64;
// Who sends more at a time, or has more messages sent, is read after the others, and in each turn only until the time
// is over. The same holds for the rest of what somebody has sent when it makes much work.
constexpr std::size_t kShortReadBytes = 4096;
constexpr std::uint64_t kFewMessages = 1000;
constexpr std::chrono::microseconds kTurnTime{1000};
// What one of them may bring at a time: less when its packets take long.
constexpr std::size_t kLeastBusyReadBytes = 16'384;
// Of a large packet at a time.
constexpr std::size_t kGatherReadBytes = std::size_t{1} << 20;
// Who is to be sent more than this waits for the next turn when the time for such writes is over.
constexpr std::size_t kLargeOutputBytes = 65'536;
constexpr std::chrono::microseconds kLargeWritesTime{1000};
constexpr TimeMs kLingerMs = 1000;
// How often one turn goes on writing to those who read as fast as it writes.
constexpr int kFlushRounds = 4;

Socket& socket_of(Connection& connection) { return static_cast<Socket&>(connection); }

}  // namespace

std::string Socket::peer_name() const { return transport->peer_name(); }

void Socket::on_events(std::uint32_t events) {
  if (gone) return;
  const bool writes = blocked_since != 0 || (ended && layered);
  if (writes && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) owner->flush_later(*this);
  if (gone || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  if (paused || congested || waits_for_output) {
    if (owner->has_hung_up(*this, events)) return owner->lost(*this, "closed by peer");
    // Only now, for most pauses end before more input comes.
    owner->set_interest(*this, owner->wanted_events(*this));
  } else {
    owner->on_readable(*this);
  }
}

ShardThread::ShardThread(std::uint32_t index, broker::SharedState& shared, storage::Store& store, Log& log)
    : limited_(log),
      shared_(shared),
      index_(index),
      trims_(index == 0),
      lane_(store.open_lane(index,
                            [this] {
                              store_ready_.store(true, std::memory_order_seq_cst);
                              loop_.wake();
                            })),
      shard_(index, shared, *lane_, *this, log, random_),
      busy_read_bytes_(kReadBufferBytes),
      read_buffer_(std::make_unique<char[]>(kReadBufferBytes)) {}

ShardThread::~ShardThread() {
  // Timers of connections lie in the shard's wheel: connections go first.
  for (auto& socket : sockets_) shard_.release(*socket);
}

Result<void, storage::StoreError> ShardThread::recover(storage::Store& store) {
  now_ = loop_.now();
  return shard_.recover(store, now_);
}

void ShardThread::listen(int fd, Door& door) {
  std::function<void(int)> take = [this, &door](int accepted_fd) { accepted(accepted_fd, door); };
  if (door.proxies() != nullptr) {
    net::ProxyGate* const gate = &*gates_.emplace_back(std::make_unique<net::ProxyGate>(
        loop_, *door.proxies(), shared_.settings.connect_timeout_ms,
        [this, &door](int passed_fd, const net::ProxyHeader& header, TimeMs since) {
          accepted(passed_fd, door, &header, now_ - since);
        },
        [this, &door](int refused_fd, std::string_view why) {
          door.count_refused();
          refuse(refused_fd, door, why);
        }));
    take = [this, gate](int accepted_fd) { gate->take(accepted_fd, now_); };
  }
  listeners_.push_back(std::make_unique<net::Listener>(loop_, fd, std::move(take), [this, &door](int error) {
    const bool files = error == EMFILE || error == ENFILE;
    limited_.error("new connections are refused",
                   {{"listener", door.name()},
                    {"reason", files ? "out of file descriptors; raise the limit of open files (ulimit -n)"
                                     : "the system has no memory for another socket"}});
  }));
}

void ShardThread::run() { loop_.run(*this); }

void ShardThread::shut_down(TimeMs grace_ms) {
  shutdown_grace_ms_.store(grace_ms, std::memory_order_seq_cst);
  loop_.wake();
}

std::uint64_t ShardThread::packets_of_all() const {
  std::uint64_t sum = 0;
  for (const broker::Counters& of_shard : shared_.counters)
    sum += of_shard.packets_received.total() + of_shard.packets_sent.total();
  return sum;
}

// --- turns

void ShardThread::begin_turn(TimeMs now) {
  now_ = now;
  turn_end_ = {};
  limited_.advance(now);
  if (trims_ && now >= trimmer_.next_look()) trimmer_.look(now, packets_of_all());
  shard_.begin_turn(now);
  for (auto& listener : listeners_) listener->resume_if_due(now);
  for (auto& gate : gates_) gate->advance(now);
  if (inbox_full_.load(std::memory_order_acquire)) take_inbox();
  end_lingering();
  resume_after_congestion();
  read_buffered();
}

void ShardThread::end_turn() {
  read_busy_sockets();
  shard_.end_turn();
  // What was waiting for a commit may go on reading; that makes work for the same turn.
  while (!resumed_.empty()) {
    std::vector<Socket*> resumed;
    resumed.swap(resumed_);
    for (Socket* socket : resumed) {
      if (socket->gone || !socket->paused) continue;
      socket->paused = false;
      const PartialPacket waiting = std::move(socket->partial);
      if (!waiting.empty()) feed(*socket, waiting.bytes());
      if (!socket->gone) set_interest(*socket, wanted_events(*socket));
      settle(*socket);
    }
    shard_.end_turn();
  }
  flush_all();
  if (shutting_down_ || shutdown_grace_ms_.load(std::memory_order_acquire) >= 0) progress_shutdown();
  graveyard_.clear();
}

bool ShardThread::turn_is_long() {
  const auto now = std::chrono::steady_clock::now();
  if (turn_end_ == std::chrono::steady_clock::time_point{}) turn_end_ = now + kTurnTime;
  return now >= turn_end_;
}

TimeMs ShardThread::next_deadline() {
  TimeMs due = std::min({shard_.next_deadline(), shutdown_deadline_, limited_.next_report()});
  if (trims_) due = std::min(due, trimmer_.next_look());
  if (!lingering_.empty()) due = std::min(due, lingering_.front().deadline);
  for (const auto& listener : listeners_) due = std::min(due, listener->resumes_at());
  for (const auto& gate : gates_) due = std::min(due, gate->next_deadline());
  return congested_.empty() ? due : std::min(due, now_ + 1);
}

bool ShardThread::has_work() {
  return !dirty_.empty() || !resumed_.empty() || !busy_.empty() || !buffered_.empty() ||
         inbox_full_.load(std::memory_order_seq_cst) || store_ready_.exchange(false, std::memory_order_seq_cst) ||
         (!shutting_down_ && shutdown_grace_ms_.load(std::memory_order_seq_cst) >= 0);
}

// --- between shards

void ShardThread::post(std::uint32_t shard, broker::Mail mail) { peers_[shard]->post_mail(std::move(mail)); }

void ShardThread::post_mail(broker::Mail mail) {
  mail_backlog_.fetch_add(broker::weight(mail), std::memory_order_relaxed);
  {
    const std::lock_guard lock(inbox_.mutex);
    inbox_.mails.push_back(std::move(mail));
  }
  inbox_full_.store(true, std::memory_order_seq_cst);
  loop_.wake();
}

void ShardThread::hand_over(std::unique_ptr<Socket> socket) {
  {
    const std::lock_guard lock(inbox_.mutex);
    inbox_.sockets.push_back(std::move(socket));
  }
  inbox_full_.store(true, std::memory_order_seq_cst);
  loop_.wake();
}

void ShardThread::take_inbox() {
  std::vector<broker::Mail> mails;
  std::vector<std::unique_ptr<Socket>> sockets;
  {
    const std::lock_guard lock(inbox_.mutex);
    mails.swap(inbox_.mails);
    sockets.swap(inbox_.sockets);
    inbox_full_.store(false, std::memory_order_relaxed);
  }
  for (broker::Mail& mail : mails) {
    mail_backlog_.fetch_sub(broker::weight(mail), std::memory_order_relaxed);
    shard_.on_mail(std::move(mail));
  }
  for (auto& socket : sockets) {
    Socket& moved = *socket;
    if (!adopt(std::move(socket))) continue;
    if (moved.partial.empty()) {
      // An upgrade from HTTP: the transport holds what has come.
      if (shutting_down_) end_stranger(moved);
      settle(moved);
      continue;
    }
    const PartialPacket bytes = std::move(moved.partial);
    feed(moved, bytes.bytes());
  }
}

bool ShardThread::congested(std::size_t mark) const {
  return std::any_of(peers_.begin(), peers_.end(), [this, mark](const ShardThread* peer) {
    return peer != this && peer->mail_backlog_.load(std::memory_order_relaxed) > mark;
  });
}

void ShardThread::pause_for_congestion(Socket& socket) {
  congested_.push_back(&socket);
  socket.congested = true;
  set_interest(socket, wanted_events(socket));
}

void ShardThread::resume_after_congestion() {
  if (congested_.empty() || congested(kMailBacklogForBusy)) return;
  std::vector<Socket*> sockets;
  sockets.swap(congested_);
  for (Socket* socket : sockets) {
    socket->congested = false;
    set_interest(*socket, wanted_events(*socket));
    settle(*socket);
  }
}

// --- sockets

void ShardThread::refuse(int fd, const Door& door, std::string_view why) {
  limited_.info("connection refused", {{"address", net::peer_name(fd)}, {"listener", door.name()}, {"reason", why}});
}

void ShardThread::accepted(int fd, Door& door, const net::ProxyHeader* header, TimeMs waited_ms) {
  Door::Entered entered = door.enter(fd, now_, header);
  if (entered.transport == nullptr) {
    refuse(fd, door, entered.refusal);
    ::close(fd);
    return;
  }
  auto socket = std::make_unique<Socket>(std::move(entered.transport), door, std::move(entered.place));
  if (shutting_down_) return;
  adopt(std::move(socket), waited_ms);
}

bool ShardThread::adopt(std::unique_ptr<Socket> socket, TimeMs waited_ms) {
  Socket& added = *socket;
  if (const int error = loop_.add(added.transport->fd(), added, EPOLLIN); error != 0) {
    limited_.error("connection refused", {{"address", added.peer_name()}, {"reason", std::strerror(error)}});
    return false;
  }
  added.owner = this;
  added.traffic = &added.door->traffic(index_);
  added.index = static_cast<std::uint32_t>(sockets_.size());
  sockets_.push_back(std::move(socket));
  added.interest = EPOLLIN;
  shard_.connected(added, waited_ms);
  return true;
}

// Takes a socket out of this shard: to destroy it, or to give it to another.
std::unique_ptr<Socket> ShardThread::give_up(Socket& socket) {
  set_interest(socket, 0);
  std::unique_ptr<Socket> taken = std::move(sockets_[socket.index]);
  if (socket.index + 1 != sockets_.size()) {
    sockets_[socket.index] = std::move(sockets_.back());
    sockets_[socket.index]->index = socket.index;
  }
  sockets_.pop_back();
  const auto forget = [&](auto& list) { std::erase(list, &socket); };
  if (socket.flush_requested) forget(dirty_);
  if (!resumed_.empty()) forget(resumed_);
  if (!congested_.empty()) forget(congested_);
  if (socket.queued) forget(busy_);
  if (socket.buffered) forget(buffered_);
  socket.buffered = false;
  if (socket.closing) forget_lingering(socket);
  socket.flush_requested = socket.queued = false;
  return taken;
}

void ShardThread::bury(Socket& socket) {
  socket.gone = true;
  socket.output.clear();
  graveyard_.push_back(give_up(socket));
}

void ShardThread::lost(Socket& socket, std::string_view why) {
  if (socket.gone) return;
  shard_.disconnected(socket, why);
  bury(socket);
}

bool ShardThread::is_full(const Socket& socket) const {
  return socket.blocked_since != 0 && socket.output.size() >= shard_.full_mark();
}

// Of a socket that is not read. Who has only ended its sending may have said something before, which is read in its
// turn.
bool ShardThread::has_hung_up(const Socket& socket, std::uint32_t events) const {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return true;
  int unread = 0;
  return (events & EPOLLRDHUP) != 0 && socket.partial.empty() && !socket.transport->has_buffered() &&
         ioctl(socket.transport->fd(), FIONREAD, &unread) == 0 && unread == 0;
}

std::uint32_t ShardThread::wanted_events(const Socket& socket) const {
  if (socket.ended)
    return socket.layered && socket.transport->wants_write() ? EPOLLIN | EPOLLOUT : static_cast<std::uint32_t>(EPOLLIN);
  const bool unread = socket.paused || socket.congested || socket.closing || socket.waits_for_output;
  const std::uint32_t output = socket.blocked_since != 0 ? EPOLLOUT : 0U;
  if (!unread) return EPOLLIN | output;
  // A hang-up shows in writing. Where nothing is to be written it is reported, and only once.
  return output != 0 ? output : static_cast<std::uint32_t>(EPOLLRDHUP) | EPOLLET;
}

void ShardThread::set_interest(Socket& socket, std::uint32_t interest) {
  if (socket.interest == interest) return;
  socket.interest = interest;
  const int fd = socket.transport->fd();
  if (interest == 0) {
    loop_.remove(fd, socket);
  } else {
    loop_.modify(fd, socket, interest);
  }
}

void ShardThread::on_readable(Socket& socket) {
  if (socket.closing) return wait_for_end(socket);
  if (socket.yielded) return;
  const bool brings_much = socket.busy || socket.partial.is_large();
  if (congested(brings_much ? kMailBacklogForBusy : kMailBacklogForAll)) return pause_for_congestion(socket);
  if (is_full(socket)) return wait_for_output(socket);
  if (!brings_much) return read(socket, kShortReadBytes);
  if (!std::exchange(socket.queued, true)) busy_.push_back(&socket);
}

void ShardThread::wait_for_output(Socket& socket) {
  socket.waits_for_output = true;
  set_interest(socket, wanted_events(socket));
}

void ShardThread::read(Socket& socket, std::size_t most_bytes) {
  char* const buffer = read_buffer_.get();
  const std::size_t have = socket.partial.bytes().size();
  if (have != 0) std::memcpy(buffer, socket.partial.bytes().data(), have);
  const iovec room{buffer + have, std::min(most_bytes, kReadBufferBytes - have)};
  const net::IoResult result = socket.transport->read_some({&room, 1});
  if (result.status != IoStatus::kOk) return read_failed(socket, result);
  socket.traffic->bytes_received.add(result.bytes);
  socket.partial = {};
  const std::uint64_t sent = messages_sent();
  if (!feed(socket, {buffer, have + result.bytes})) return;
  socket.busy = result.bytes >= kShortReadBytes || messages_sent() - sent > kFewMessages;
}

std::uint64_t ShardThread::messages_sent() const {
  return counters().packets_sent.of(wire::PacketType::kPublish) + counters().dropped_slow_consumer.value();
}

// One after the other, until the time is over; who is left comes first in the next turn.
void ShardThread::read_busy_sockets() {
  using Clock = std::chrono::steady_clock;
  if (busy_.empty()) return;
  // At least one: the turn may have been long before.
  (void)turn_is_long();
  auto begin = Clock::now();
  do {
    Socket& socket = *busy_.front();
    busy_.pop_front();
    socket.queued = false;
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
    const auto end = Clock::now();
    if (end - begin > kTurnTime / 2) {
      busy_read_bytes_ = std::max(busy_read_bytes_ / 2, kLeastBusyReadBytes);
    } else if (end - begin < kTurnTime / 8) {
      busy_read_bytes_ = std::min(busy_read_bytes_ * 2, kReadBufferBytes);
    }
    begin = end;
  } while (!busy_.empty() && begin < turn_end_);
}

// A large packet is under way: what is missing is read to its place, and what follows it into the read buffer.
void ShardThread::read_rest_of_packet(Socket& socket) {
  const std::size_t missing = socket.partial.missing_bytes();
  std::array<iovec, 2> room = {socket.partial.room(), iovec{read_buffer_.get(), kReadBufferBytes}};
  room[0].iov_len = std::min(room[0].iov_len, kGatherReadBytes);
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
  if (socket.gone || socket.buffered || socket.queued || socket.paused || socket.congested || socket.waits_for_output)
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

void ShardThread::mark_blocked(Socket& socket) {
  if (socket.blocked_since != 0) return;
  socket.blocked_since = now_;
  shard_.output_blocked(socket);
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
  const broker::Shard::Received received = shard_.receive(socket, bytes);
  if (socket.gone) return false;
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
      socket.busy = socket.yielded = true;
      if (!std::exchange(socket.queued, true)) busy_.push_back(&socket);
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
      if (until == Clock::time_point{}) until = now + kLargeWritesTime;
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
  if (socket.gone || (socket.layered && !write_held(socket)) || socket.ended) return;
  const bool had_output = !socket.output.empty();
  while (!socket.output.empty()) {
    std::array<OutputBuffer::Piece, kPiecesPerWrite> pieces;
    std::array<iovec, kPiecesPerWrite> vectors;
    const std::size_t count = socket.output.gather(pieces);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<char*>(pieces[i].data), pieces[i].size};
      wanted += pieces[i].size;
    }
    const net::IoResult result = socket.transport->write_some({vectors.data(), count});
    if (result.status == IoStatus::kError) return write_failed(socket, result);
    socket.output.consume(result.bytes);
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

void ShardThread::write_failed(Socket& socket, const net::IoResult& result) {
  if (socket.closing) return bury(socket);
  lost(socket, socket.transport->failure(result));
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

// No CONNECT has come, and none is waited for.
void ShardThread::end_stranger(Socket& socket) {
  shard_.disconnected(socket, "ended by the shutdown");
  close(socket);
}

void ShardThread::progress_shutdown() {
  if (shutdown_deadline_ == kNever) {
    shutdown_deadline_ = now_ + shutdown_grace_ms_.load(std::memory_order_acquire);
    for (auto& listener : listeners_) listener->close();
    for (auto& gate : gates_) gate->close();
    shard_.publish_last_wills();
    shard_.end_turn();
    wills_published_.store(true, std::memory_order_seq_cst);
  }
  // Wills for this shard's clients may still be on their way from another.
  const auto done = [](const ShardThread* peer) { return peer->wills_published_.load(std::memory_order_seq_cst); };
  if (!shutting_down_ && (std::all_of(peers_.begin(), peers_.end(), done) || now_ >= shutdown_deadline_))
    close_everything();
  if (shutting_down_ && (sockets_.empty() || now_ >= shutdown_deadline_)) loop_.stop();
}

void ShardThread::close_everything() {
  shutting_down_ = true;
  take_inbox();
  shard_.shut_down();
  for (const auto& socket : sockets_)
    if (!socket->closing) end_stranger(*socket);
  shard_.end_turn();
  flush_all();
}

}  // namespace petrel::server
