// The HTTP listeners: one thread with an event loop of its own, so that pages and files never delay a message. A
// request for WebSocket leaves it: its transport goes to a shard with what has been read.
//
// Threads: one owner; start() begins the thread, stop() ends it. The host is called on that thread and outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/log.h"
#include "http/response.h"
#include "net/event_loop.h"
#include "net/forwarded.h"
#include "net/listener.h"
#include "net/local_pages.h"
#include "net/place_limit.h"
#include "net/proxy_gate.h"
#include "net/transport.h"

namespace petrel::http {

struct Site {
  std::string name;            // for logs
  std::string websocket_path;  // empty: every upgrade
  std::string folder;          // static files; empty: none
  bool metrics = false;
  bool start_page = false;
  net::LocalPages pages;  // whose browsers are answered
  // Whose connections begin with a PROXY header; null: nobody's. Outlives the server.
  const net::AddressRanges* proxies = nullptr;
  // Proxies whose header tells the client's address.
  net::AddressRanges trusted;
  net::ForwardedHeader forwarded_header = net::ForwardedHeader::kXForwardedFor;
};

class Host {
 public:
  struct Entered {
    std::unique_ptr<net::Transport> transport;  // null: refused, and the descriptor closed
    net::PlaceLimit::Place place;
  };
  // `header`: what a PROXY header has told; null: there was none.
  virtual Entered enter(std::size_t site, int fd, const net::ProxyHeader* header) = 0;
  // A connection that did not get so far.
  virtual void count_refused(std::size_t site) = 0;
  virtual void upgrade(std::size_t site, Entered connection, std::string received) = 0;
  virtual std::string metrics() = 0;
  // What the start page is told of the broker's listeners: a JSON array.
  virtual std::string listeners() = 0;
  // Why clients are not welcome; empty: they are. `in_detail`: with what is for whoever may read the metrics, too.
  virtual std::string not_ready_because(bool in_detail) = 0;

 protected:
  ~Host() = default;
};

class Server final : private net::TurnHooks {
 public:
  static constexpr std::size_t kMaxConnections = 512;  // those that became WebSockets not counted
  static constexpr TimeMs kIdleMs = 10'000;

  Server(Host& host, Log& log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before start(). Takes the listening descriptor.
  void listen(int fd, Site site);
  void start();
  // Closes all that is open. Idempotent.
  void stop();

 private:
  class Connection;

  void begin_turn(TimeMs now) override;
  void end_turn() override;
  TimeMs next_deadline() override;
  bool has_work() override;

  void accepted(std::size_t site, int fd, const net::ProxyHeader* header, TimeMs since);
  void refuse(std::size_t site, int fd, std::string_view why);
  bool make_room();
  Response respond(const Site& site, const Request& request);
  Response start_values(const Site& site);
  void remove(Connection& connection);
  void upgrade(Connection& connection);

  Host& host_;
  LogLimiter limited_;
  net::EventLoop loop_;
  std::vector<Site> sites_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<net::ProxyGate>> gates_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::thread thread_;
  TimeMs now_ = 0;
};

}  // namespace petrel::http
