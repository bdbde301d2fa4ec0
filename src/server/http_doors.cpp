#include "server/http_doors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "http/json.h"
#include "http/metrics.h"
#include "net/websocket_transport.h"

namespace petrel::server {

namespace {

http::ListenerCounts counts_of(const Door& door) {
  http::ListenerCounts counts{.name = door.name(),
                              .accepted = door.accepted(),
                              .refused = door.refused(),
                              .connections = door.connections(),
                              .handshakes = door.handshakes()};
  for (const broker::ListenerTraffic& traffic : door.traffic()) {
    counts.bytes_received += traffic.bytes_received.value();
    counts.bytes_sent += traffic.bytes_sent.value();
    counts.messages_received += traffic.messages_received.value();
    counts.messages_sent += traffic.messages_sent.value();
  }
  if (const auto& pool = door.websocket().compression; pool != nullptr) {
    counts.compressing = pool->counts.connections;
    counts.compression_bytes = pool->held_bytes();
    counts.inflated_from = pool->counts.in_wire;
    counts.inflated_to = pool->counts.in_plain;
    counts.deflated_from = pool->counts.out_plain;
    counts.deflated_to = pool->counts.out_wire;
  }
  return counts;
}

}  // namespace

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

std::string HttpDoors::listeners() {
  std::vector<std::string> rows;
  for (const auto& door : all_doors_) {
    const bool has_path = door->endpoint().is_websocket() || door->endpoint().is_http();
    rows.push_back(fmt::format(R"({{"address":{},"path":{}}})", http::json_string(door->name()),
                               has_path ? http::json_string(door->websocket().path) : "null"));
  }
  return fmt::format("[{}]", fmt::join(rows, ","));
}

std::string HttpDoors::not_ready_because(bool in_detail) {
  if (ending_.load(std::memory_order_relaxed)) return "shutting down";
  const auto trouble = shared_.store_health.trouble();
  if (!trouble) return {};
  const std::string_view in_short = trouble->full ? "the disk is full" : "writing fails, the log says why";
  return fmt::format("the store takes no changes: {}", in_detail ? std::string_view(trouble->what) : in_short);
}

std::string HttpDoors::metrics() {
  std::vector<http::ListenerCounts> listeners;
  listeners.reserve(all_doors_.size());
  for (const auto& door : all_doors_) listeners.push_back(counts_of(*door));
  http::Timings timings;
  for (const auto& shard : shards_) timings.turns.push_back(shard->turns().values());
  if (shared_.store_commit_times) timings.commits = shared_.store_commit_times();
  return http::metrics_text(broker::sys_totals(shared_), http::drops(shared_), listeners, timings,
                            shared_.settings.sys.version, clock_.now() - started_at_);
}

}  // namespace petrel::server
