#include "server/http_doors.h"

#include <unistd.h>

#include "http/metrics.h"
#include "net/websocket_transport.h"

namespace petrel::server {

HttpDoors::HttpDoors(const std::vector<std::unique_ptr<Door>>& all_doors,
                     const std::vector<std::unique_ptr<ShardThread>>& shards, const broker::SharedState& shared,
                     Log& log)
    : all_doors_(all_doors),
      shards_(shards),
      shared_(shared),
      started_at_(clock_.now()),
      limited_(log),
      server_(*this, log) {}

void HttpDoors::listen(int fd, Door& door, http::Site site) {
  doors_.push_back(&door);
  site.proxies = door.proxies();
  site.trusted = door.websocket().trusted;
  site.forwarded_header = door.websocket().forwarded_header;
  server_.listen(fd, std::move(site));
}

http::Host::Entered HttpDoors::enter(std::size_t site, int fd, const net::ProxyHeader* header) {
  const TimeMs now = clock_.now();
  limited_.advance(now);
  Door::Entered entered = doors_[site]->enter(fd, now, header);
  if (entered.transport == nullptr) {
    limited_.info("connection refused",
                  {{"address", net::peer_name(fd)}, {"listener", doors_[site]->name()}, {"reason", entered.refusal}});
    close(fd);
  }
  return {std::move(entered.transport), std::move(entered.place)};
}

// Whichever shard it is: with its CONNECT the connection goes to the one that has its session.
void HttpDoors::upgrade(std::size_t site, Entered connection, std::string received) {
  Door& door = *doors_[site];
  auto transport =
      std::make_unique<net::WebSocketTransport>(std::move(connection.transport), door.websocket(), std::move(received));
  ShardThread& shard = *shards_[next_shard_++ % shards_.size()];
  shard.hand_over(std::make_unique<Socket>(std::move(transport), door, std::move(connection.place)));
}

std::string HttpDoors::metrics() {
  std::vector<http::ListenerCounts> listeners;
  listeners.reserve(all_doors_.size());
  for (const auto& door : all_doors_)
    listeners.push_back({door->name(), door->accepted(), door->refused(), door->connections(), door->handshakes()});
  return http::metrics_text(broker::sys_totals(shared_), http::drops(shared_), listeners, shared_.settings.sys.version,
                            clock_.now() - started_at_);
}

}  // namespace petrel::server
