// Between the HTTP listeners and the shards: lets connections in by their door, hands WebSockets to shards in turn, and
// makes the page of metrics.
//
// Threads: one owner; announce_end() any. The server asks its host on its own thread. Doors, shards and the shared
// state outlive it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "broker/shared_state.h"
#include "http/server.h"
#include "server/door.h"
#include "server/shard_thread.h"

namespace petrel::server {

class HttpDoors final : private http::Host {
 public:
  HttpDoors(const std::vector<std::unique_ptr<Door>>& all_doors,
            const std::vector<std::unique_ptr<ShardThread>>& shards, const broker::SharedState& shared, Log& log);

  // Before start(). Takes the listening descriptor.
  void listen(int fd, Door& door, http::Site site);
  void start() { server_.start(); }
  // From now on the broker is not ready. Any thread.
  void announce_end() { ending_.store(true, std::memory_order_relaxed); }
  void stop() { server_.stop(); }

 private:
  Entered enter(std::size_t site, int fd, const net::ProxyHeader* header) override;
  void count_refused(std::size_t site) override { doors_[site]->count_refused(); }
  void upgrade(std::size_t site, Entered connection, std::string received) override;
  std::string metrics() override;
  std::string listeners() override;
  std::string not_ready_because(bool in_detail) override;

  const std::vector<std::unique_ptr<Door>>& all_doors_;
  const std::vector<std::unique_ptr<ShardThread>>& shards_;
  const broker::SharedState& shared_;
  SteadyClock clock_;
  const TimeMs started_at_;
  LogLimiter limited_;
  std::vector<Door*> doors_;  // by site
  std::size_t next_shard_ = 0;
  std::atomic<bool> ending_{false};
  http::Server server_;
};

}  // namespace petrel::server
