#include "server/shard_thread.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "net/address.h"

namespace petrel::server {

namespace {

// More than can be accepted in a turn.
constexpr std::size_t kGravesPerTurn = std::size_t{3} * net::Listener::kAcceptsPerTurn;
// So many connections may wait for their first packet to be read, or for what their end leads to, before no more are
// accepted.
constexpr std::size_t kMostNewcomers = 512, kMostBroken = 2048;

}  // namespace

std::string Socket::peer_name() const { return transport->peer_name(); }

void Socket::on_events(std::uint32_t events) {
  if (gone) return;
  const bool writes = blocked_since != 0 || (ended && layered);
  if (writes && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) owner->flush_later(*this);
  if (gone || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  if (!closing && (paused || congested || waits_for_output)) {
    if (owner->has_hung_up(*this, events)) return owner->lost(*this, "closed by peer");
    // Only now, for most pauses end before more input comes.
    owner->set_interest(*this, owner->wanted_events(*this));
  } else {
    owner->on_readable(*this, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
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
        loop_, *door.proxies(), door.policy().limits.connect_timeout_ms.value_or(shared_.settings.connect_timeout_ms),
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
  begin_time();
  choose_work();
  limited_.advance(now);
  if (trims_ && now >= trimmer_.next_look()) trimmer_.look(now, packets_of_all());
  shard_.begin_turn(now);
  for (auto& gate : gates_) gate->advance(now);
  if (inbox_full_.load(std::memory_order_acquire)) take_inbox();
  end_lingering();
  resume_after_congestion();
  others_wait_ = is_short_;
  if (does(Work::kShard)) {
    extend_time(2);
    shard_.do_waiting_work();
  }
  if (does(Work::kBroken)) end_broken();
  others_wait_ = false;
  read_queued(unfinished_);
  read_buffered();
}

void ShardThread::end_turn() {
  // What little the others have sent goes on its way before those with much are read.
  if (is_short_) {
    shard_.end_turn();
    flush_dirty();
  }
  others_wait_ = is_short_;
  if (does(Work::kNewcomers)) read_queued(newcomers_);
  if (does(Work::kBusy)) read_queued(busy_);
  set_aside_queued();
  shard_.end_turn();
  resume_reading();
  others_wait_ = false;
  if (work_ != Work::kNone) round_left_ = unhurried_.size();
  flush_all();
  if (shutting_down_ || shutdown_grace_ms_.load(std::memory_order_acquire) >= 0) progress_shutdown();
  clear_graveyard();
  pace_listeners();
}

// New connections wait in the system's queue while many are waiting here to be read for the first time, or for their
// end: there they cost nothing. At the end of a turn, for the next may be long in coming.
void ShardThread::pace_listeners() {
  // To go on, far fewer must wait than to stop: it is not to change all the time.
  const std::size_t share = listeners_held_ ? 4 : 1;
  listeners_held_ = newcomers_.unread() > kMostNewcomers / share || broken_.size() > kMostBroken / share;
  for (auto& listener : listeners_) {
    listener->hold(listeners_held_);
    listener->resume_if_due(now_);
  }
}

// What was waiting for a commit may go on reading; that makes work for the same turn.
void ShardThread::resume_reading() {
  if (resumed_.empty()) return;
  extend_time(2);
  do {
    std::vector<Socket*> resumed;
    resumed.swap(resumed_);
    for (std::size_t i = 0; i < resumed.size(); ++i) {
      Socket* const socket = resumed[i];
      if (socket->gone || !socket->paused) continue;
      if (i > 0 && turn_is_long()) {
        resumed_.push_back(socket);
        continue;
      }
      socket->paused = false;
      const PartialPacket waiting = std::move(socket->partial);
      if (!waiting.empty()) feed(*socket, waiting.bytes());
      if (!socket->gone) set_interest(*socket, wanted_events(*socket));
      settle(*socket);
    }
    shard_.end_turn();
  } while (!resumed_.empty() && !turn_is_long());
}

// To close a descriptor takes the system as long as to send a message.
void ShardThread::clear_graveyard() {
  for (std::size_t count = 0; !graveyard_.empty(); ++count) {
    if (is_short_ && count >= kGravesPerTurn && !shutting_down_) return;
    graveyard_.pop_front();
  }
}

TimeMs ShardThread::next_deadline() {
  TimeMs due = std::min({shard_.next_deadline(), shutdown_deadline_, limited_.next_report()});
  if (trims_) due = std::min(due, trimmer_.next_look());
  if (!lingering_.empty()) due = std::min(due, lingering_.front().deadline);
  for (const auto& listener : listeners_) due = std::min(due, listener->resumes_at());
  for (const auto& gate : gates_) due = std::min(due, gate->next_deadline());
  // Who is waited for says when it is over; but it may just have looked.
  if (held_back_) return now_ + 1;
  return congested_.empty() ? due : std::min(due, now_ + 1);
}

bool ShardThread::has_work() {
  return !dirty_.empty() || !unhurried_.empty() || !unfinished_.empty() || !graveyard_.empty() || !resumed_.empty() ||
         !buffered_.empty() || (!held_back_ && (!newcomers_.empty() || !busy_.empty() || !broken_.empty())) ||
         inbox_full_.load(std::memory_order_seq_cst) || store_ready_.exchange(false, std::memory_order_seq_cst) ||
         (!shutting_down_ && shutdown_grace_ms_.load(std::memory_order_seq_cst) >= 0);
}

// --- between shards

void ShardThread::post(std::uint32_t shard, broker::Mail mail) { peers_[shard]->post_mail(std::move(mail)); }

void ShardThread::post_mail(broker::Mail mail) {
  mail_backlog_.fetch_add(mail.weight(), std::memory_order_relaxed);
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
    mail_backlog_.fetch_sub(mail.weight(), std::memory_order_relaxed);
    shard_.on_mail(std::move(mail));
  }
  for (ShardThread* peer : peers_)
    if (peer->waits_for_peers_.load(std::memory_order_relaxed)) peer->loop_.wake();
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
  if (const int error = loop_.add(added.transport->fd(), added, kReads); error != 0) {
    limited_.error("connection refused", {{"address", added.peer_name()}, {"reason", std::strerror(error)}});
    return false;
  }
  added.owner = this;
  added.traffic = &added.door->traffic(index_);
  added.index = static_cast<std::uint32_t>(sockets_.size());
  sockets_.push_back(std::move(socket));
  added.interest = kReads;
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
  if (socket.flush_requested) forget_output(socket);
  if (!resumed_.empty()) forget(resumed_);
  if (!congested_.empty()) forget(congested_);
  if (socket.waits != Socket::Waits::kNot) queue_of(socket.waits).remove(socket);
  if (socket.buffered) forget(buffered_);
  socket.buffered = false;
  if (socket.closing) forget_lingering(socket);
  if (socket.broken) std::erase_if(broken_, [&](const Broken& broken) { return broken.socket == &socket; });
  socket.flush_requested = false;
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
  const bool unread = socket.paused || socket.congested || socket.closing || socket.waits_for_output ||
                      socket.set_aside || socket.broken;
  const std::uint32_t output = socket.blocked_since != 0 && !socket.broken ? EPOLLOUT : 0U;
  if (!unread) return kReads | output;
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
