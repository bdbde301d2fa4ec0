// Drives one broker::Shard: its event loop, sockets, listeners and mailbox. In a turn it reads what is readable, once
// per socket, and of those who send much only some, so that a turn stays short and others do not wait for them; lets
// the shard work; submits the turn's batch; writes each socket that has output, once, and of those with much output
// only some; posts one mail to each other shard.
//
// Threads: run() on a thread of its own; post_mail(), hand_over(), wake() and the stop functions from any.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/spinning.h"
#include "broker/shard.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/proxy_gate.h"
#include "server/heap_trimmer.h"
#include "server/read_queue.h"
#include "server/socket.h"
#include "storage/store.h"

namespace petrel::server {

class ShardThread final : private broker::ShardHost, private net::TurnHooks {
 public:
  ShardThread(std::uint32_t index, broker::SharedState& shared, storage::Store& store, Log& log);
  ~ShardThread();
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;

  // Before run().
  void set_peers(std::vector<ShardThread*> peers) { peers_ = std::move(peers); }
  Result<void, storage::StoreError> recover(storage::Store& store);
  // Takes the listening descriptor. The door outlives the thread.
  void listen(int fd, Door& door);

  void run();
  // Stops accepting, ends every connection (DISCONNECT 0x8B), lets them take their last bytes until `grace_ms` is over,
  // then run() returns.
  void shut_down(TimeMs grace_ms);

  // Takes a connection, with what has been read of it, from wherever it was.
  void hand_over(std::unique_ptr<Socket> socket);

  // How long turns took. Any thread.
  const Histogram& turns() const { return loop_.turns(); }
  const broker::Counters& counters() const { return shard_.counters(); }

 private:
  friend class Socket;

  // Work that can wait: the shard's own, connections that broke in writing, new connections, sockets with much to read.
  // A short turn does one kind, in rotation.
  enum class Work : std::uint8_t { kShard, kBroken, kNewcomers, kBusy, kAll, kNone };

  static constexpr std::size_t kReadBufferBytes = 262'144;
  static constexpr std::uint32_t kReads = EPOLLIN | EPOLLRDHUP;

  // broker::ShardHost
  void request_flush(broker::Connection& connection) override;
  void send_now(broker::Connection& connection, std::size_t left) override;
  void close(broker::Connection& connection) override;
  void resume(broker::Connection& connection) override;
  void post(std::uint32_t shard, broker::Mail mail) override;
  bool turn_is_long() override;
  bool turn_is_short() override { return is_short_; }
  void begin_time();
  void extend_time(int quarters);
  void choose_work();
  bool is_due(Work work) const;
  bool owes_much() const;
  bool does(Work work) const { return work_ == work || work_ == Work::kAll; }
  void hold_back(bool how);
  void pace_listeners();

  // net::TurnHooks
  void begin_turn(TimeMs now) override;
  void end_turn() override;
  TimeMs next_deadline() override;
  bool has_work() override;

  void accepted(int fd, Door& door, const net::ProxyHeader* header = nullptr, TimeMs waited_ms = 0);
  void refuse(int fd, const Door& door, std::string_view why);
  bool adopt(std::unique_ptr<Socket> socket, TimeMs waited_ms = 0);
  std::unique_ptr<Socket> give_up(Socket& socket);
  void on_readable(Socket& socket, bool ends = false);
  void read(Socket& socket, std::size_t most_bytes);
  ReadQueue& queue_of(Socket::Waits waits);
  void read_queued(ReadQueue& queue);
  void read_next(ReadQueue& queue);
  void set_aside_queued();
  void charge_messages(Socket& socket, std::uint64_t messages);
  std::uint64_t messages_sent() const;
  std::size_t calm_bytes(const Socket& socket) const;
  bool feed(Socket& socket, BytesView bytes, BytesView following = {});
  void read_rest_of_packet(Socket& socket);
  void read_failed(Socket& socket, const net::IoResult& result);
  void settle(Socket& socket);
  void read_buffered();
  void mark_blocked(Socket& socket);
  void wait_for_end(Socket& socket);
  void wait_for_output(Socket& socket);
  enum class Written : std::uint8_t { kEnough, kMost, kBlocked, kFailed };
  Written write_output(Socket& socket, std::size_t most, std::size_t left);
  void flush(Socket& socket);
  bool write_held(Socket& socket);
  void write_failed(Socket& socket, const net::IoResult& result);
  void end_broken();
  bool has_much_to_send(const Socket& socket) const;
  void flush_later(Socket& socket);
  void flush_all();
  void flush_dirty();
  bool flush_unhurried(std::chrono::steady_clock::time_point until);
  void flush_now(Socket& socket);
  void wait_for_flush(Socket& socket);
  void forget_output(Socket& socket);
  void resume_reading();
  void clear_graveyard();
  void finish_close(Socket& socket, bool had_output);
  void begin_lingering(Socket& socket);
  void forget_lingering(Socket& socket);
  void end_lingering();
  void set_interest(Socket& socket, std::uint32_t interest);
  bool has_hung_up(const Socket& socket, std::uint32_t events) const;
  std::uint32_t wanted_events(const Socket& socket) const;
  void lost(Socket& socket, std::string_view why);
  void bury(Socket& socket);
  void take_inbox();
  void post_mail(broker::Mail mail);
  bool congested(std::size_t mark) const;
  std::size_t busy_mark() const;
  void pause_for_congestion(Socket& socket);
  void resume_after_congestion();
  void end_stranger(Socket& socket);
  void progress_shutdown();
  void close_everything();
  bool is_full(const Socket& socket) const;

  std::uint64_t packets_of_all() const;

  LogLimiter limited_;
  const broker::SharedState& shared_;
  const std::uint32_t index_;
  const bool trims_;  // the first thread does it for all
  HeapTrimmer trimmer_;
  SystemRandom random_;
  net::EventLoop loop_;
  std::unique_ptr<storage::Lane> lane_;
  broker::Shard shard_;
  std::vector<ShardThread*> peers_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  bool listeners_held_ = false;  // too many connections are new, or at their end
  std::vector<std::unique_ptr<net::ProxyGate>> gates_;

  std::vector<std::unique_ptr<Socket>> sockets_;
  std::vector<Socket*> dirty_;
  std::vector<Socket*> flushing_;
  // With output, too, but with much of it or of work that can wait: written when there is time, in this order.
  std::deque<Socket*> unhurried_;
  std::size_t round_left_ = 0;  // so many of them, the first, are written before there is more such work
  std::vector<Socket*> resumed_;
  std::vector<Socket*> buffered_;  // their transports hold bytes of which the system does not tell
  struct Lingering {
    Socket* socket;  // null: gone already
    TimeMs deadline;
  };
  std::deque<Lingering> lingering_;                   // closing, by deadline
  std::uint64_t first_lingering_ = 0;                 // number of lingering_.front()
  bool held_back_ = false;                            // work that can wait does, for another thread is behind
  std::vector<Socket*> congested_;                    // not read because another shard is behind
  ReadQueue unfinished_{Socket::Waits::kUnfinished};  // they send little, but had to give way
  ReadQueue newcomers_{Socket::Waits::kNewcomer};     // their CONNECT is awaited
  ReadQueue busy_{Socket::Waits::kBusy};              // they have sent much
  std::size_t busy_read_bytes_;                       // what one of them may bring at a time
  struct Broken {
    Socket* socket;
    net::IoResult result;
  };
  std::deque<Broken> broken_;  // writing has failed; they end in a later turn
  std::deque<std::unique_ptr<Socket>> graveyard_;
  std::unique_ptr<char[]> read_buffer_;
  TimeMs now_ = 0;
  std::chrono::steady_clock::time_point turn_end_{};  // what can wait does from then on
  std::chrono::microseconds turn_time_{};
  std::chrono::nanoseconds sending_left_{};  // time of this turn for send_now()
  bool is_short_ = false;
  Work work_ = Work::kAll;
  unsigned rotation_ = 0;
  TimeMs worked_at_ = 0;
  bool others_wait_ = false;  // what is done now can wait, and so can what it sends
  bool drained_ = false;      // a flush has let the shard send more

  // What other threads leave here.
  struct Inbox {
    Spinning<std::mutex> mutex;
    std::vector<broker::Mail> mails;
    std::vector<std::unique_ptr<Socket>> sockets;
  };
  Inbox inbox_;
  std::atomic<bool> inbox_full_{false};       // something is in the inbox
  std::atomic<std::size_t> mail_backlog_{0};  // weight of what is posted and not yet taken
  std::atomic<bool> waits_for_peers_{false};  // until they are no longer behind
  std::atomic<TimeMs> calm_at_{0};            // when a publisher that sends little was last heard
  std::atomic<bool> store_ready_{false};
  std::atomic<TimeMs> shutdown_grace_ms_{-1};
  std::atomic<bool> wills_published_{false};  // the last ones, and posted to the other shards
  bool shutting_down_ = false;
  TimeMs shutdown_deadline_ = kNever;
};

}  // namespace petrel::server
