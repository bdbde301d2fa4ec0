#include "http/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/thread_name.h"
#include "http/assets.h"
#include "http/connection.h"
#include "http/static_folder.h"

namespace petrel::http {

namespace {

constexpr TimeMs kLookMs = 1000;

// What keeps a page from doing more than it is made for.
constexpr std::string_view kPageRules =
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors "
    "'none'\r\n"
    "Cache-Control: no-cache\r\n";

}  // namespace

Server::Server(Host& host, Log& log) : host_(host), limited_(log) {}

Server::~Server() { stop(); }

void Server::listen(int fd, Site site) {
  const std::size_t number = sites_.size();
  sites_.push_back(std::move(site));
  listeners_.push_back(std::make_unique<net::Listener>(
      loop_, fd, [this, number](int accepted_fd) { accepted(number, accepted_fd); },
      [this, number](int error) {
        limited_.error("new connections are refused",
                       {{"listener", sites_[number].name}, {"reason", std::strerror(error)}});
      }));
}

void Server::start() {
  if (!listeners_.empty()) {
    thread_ = std::thread([this] {
      name_thread("http");
      loop_.run(*this);
    });
  }
}

void Server::stop() {
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
  connections_.clear();
  listeners_.clear();
}

void Server::begin_turn(TimeMs now) {
  now_ = now;
  limited_.advance(now);
  for (auto& listener : listeners_) listener->resume_if_due(now);
  for (std::size_t i = connections_.size(); i-- > 0;)
    if (connections_[i]->deadline <= now) remove(*connections_[i]);
}

void Server::end_turn() { graveyard_.clear(); }

TimeMs Server::next_deadline() {
  TimeMs due = limited_.next_report();
  for (const auto& listener : listeners_) due = std::min(due, listener->resumes_at());
  // Idle connections are looked for now and then.
  return connections_.empty() ? due : std::min(due, now_ + kLookMs);
}

bool Server::has_work() { return false; }

void Server::accepted(std::size_t site, int fd) {
  if (connections_.size() >= kMaxConnections) {
    limited_.info("connection refused", {{"address", net::peer_name(fd)},
                                         {"listener", sites_[site].name},
                                         {"reason", "too many HTTP connections at once"}});
    close(fd);
    return;
  }
  Host::Entered entered = host_.enter(site, fd);
  if (entered.transport == nullptr) return;
  auto connection = std::make_unique<Connection>(*this, site, std::move(entered));
  if (loop_.add(fd, *connection, EPOLLIN) != 0) return;
  connection->index = connections_.size();
  connection->deadline = now_ + kIdleMs;
  connections_.push_back(std::move(connection));
}

void Server::remove(Connection& connection) {
  if (connection.gone) return;
  connection.gone = true;
  loop_.remove(connection.fd(), connection);
  std::unique_ptr<Connection>& place = connections_[connection.index];
  graveyard_.push_back(std::move(place));
  if (&place != &connections_.back()) {
    place = std::move(connections_.back());
    place->index = connection.index;
  }
  connections_.pop_back();
}

void Server::upgrade(Connection& connection) {
  remove(connection);
  host_.upgrade(connection.site, connection.take_link(), connection.take_received());
}

Response Server::respond(const Site& site, const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    Response refused = Response::of_text(405, "only GET and HEAD\n");
    refused.headers = "Allow: GET, HEAD\r\n";
    return refused;
  }
  if (request.path == "/healthz") return Response::of_text(200, "ok\n");
  if (request.path == "/readyz")
    return host_.is_ready() ? Response::of_text(200, "ready\n") : Response::of_text(503, "shutting down\n");
  if (request.path == "/metrics" && site.metrics) {
    Response metrics = Response::of_text(200, host_.metrics());
    metrics.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics;
  }
  if (!site.folder.empty())
    if (auto file = serve_file(site.folder, request.path)) return std::move(*file);
  const Asset* const asset = find_asset(request.path);
  if (asset != nullptr && (site.start_page || request.path == "/mqtt.js")) {
    Response response = Response::of_fixed(asset->content_type, asset->bytes);
    response.etag = asset->etag;
    response.headers = kPageRules;
    return response;
  }
  return Response::of_text(404, "there is nothing here\n");
}

}  // namespace petrel::http
