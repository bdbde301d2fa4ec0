#include "http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/thread_name.h"
#include "http/assets.h"
#include "http/connection.h"
#include "http/json.h"
#include "http/static_folder.h"

namespace petrel::http {

namespace {

constexpr TimeMs kLookMs = 1000;

// What keeps a page from doing more than it is made for.
constexpr std::string_view kPageRules =
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors "
    "'none'\r\n"
    "Cache-Control: no-cache\r\n";

// Why what only some pages may see is not answered; empty: it is.
std::string_view why_foreign(const Site& site, const Request& request) {
  const std::string* const host = request.header("host");
  if (host != nullptr && !site.pages.admits_host(*host))
    return "this listener is for this machine, and not for that Host; ask for localhost, or name the page in origins";
  const std::string* const origin = request.header("origin");
  if (origin != nullptr && !site.pages.admits_origin(*origin))
    return "this listener is for pages of this machine; name that Origin in origins to let it in";
  return {};
}

}  // namespace

Server::Server(Host& host, Log& log) : host_(host), limited_(log) {}

Server::~Server() { stop(); }

void Server::listen(int fd, Site site) {
  const std::size_t number = sites_.size();
  sites_.push_back(std::move(site));
  std::function<void(int)> take = [this, number](int accepted_fd) { accepted(number, accepted_fd, nullptr, now_); };
  if (const net::AddressRanges* proxies = sites_[number].proxies; proxies != nullptr) {
    net::ProxyGate* const gate = &*gates_.emplace_back(std::make_unique<net::ProxyGate>(
        loop_, *proxies, kIdleMs,
        [this, number](int passed_fd, const net::ProxyHeader& header, TimeMs since) {
          accepted(number, passed_fd, &header, since);
        },
        [this, number](int refused_fd, std::string_view why) { refuse(number, refused_fd, why); }));
    take = [this, gate](int accepted_fd) { gate->take(accepted_fd, now_); };
  }
  listeners_.push_back(std::make_unique<net::Listener>(loop_, fd, std::move(take), [this, number](int error) {
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
  gates_.clear();
  listeners_.clear();
}

void Server::begin_turn(TimeMs now) {
  now_ = now;
  limited_.advance(now);
  for (auto& listener : listeners_) listener->resume_if_due(now);
  for (auto& gate : gates_) gate->advance(now);
  for (std::size_t i = connections_.size(); i-- > 0;)
    if (connections_[i]->deadline <= now) remove(*connections_[i]);
}

void Server::end_turn() { graveyard_.clear(); }

TimeMs Server::next_deadline() {
  TimeMs due = limited_.next_report();
  for (const auto& listener : listeners_) due = std::min(due, listener->resumes_at());
  for (const auto& gate : gates_) due = std::min(due, gate->next_deadline());
  // Idle connections are looked for now and then.
  return connections_.empty() ? due : std::min(due, now_ + kLookMs);
}

bool Server::has_work() { return false; }

void Server::refuse(std::size_t site, int fd, std::string_view why) {
  host_.count_refused(site);
  limited_.info("connection refused",
                {{"address", net::peer_name(fd)}, {"listener", sites_[site].name}, {"reason", why}});
}

// Whoever has waited longest without a whole request goes, so that those who only hold their places keep nobody out.
bool Server::make_room() {
  Connection* oldest = nullptr;
  for (const auto& connection : connections_)
    if (!connection->is_answering() && (oldest == nullptr || connection->deadline < oldest->deadline))
      oldest = connection.get();
  if (oldest == nullptr) return false;
  oldest->end("another has taken its place: too many HTTP connections at once");
  return true;
}

void Server::accepted(std::size_t site, int fd, const net::ProxyHeader* header, TimeMs since) {
  if (connections_.size() >= kMaxConnections && !make_room()) {
    refuse(site, fd, "too many HTTP connections at once");
    close(fd);
    return;
  }
  Host::Entered entered = host_.enter(site, fd, header);
  if (entered.transport == nullptr) return;
  auto connection = std::make_unique<Connection>(*this, site, std::move(entered));
  if (loop_.add(fd, *connection, EPOLLIN) != 0) return;
  connection->index = connections_.size();
  connection->deadline = since + kIdleMs;
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

// What the start page cannot know by itself: where WebSocket is, and which listeners there are.
Response Server::start_values(const Site& site) {
  // Where every path is one, there is the usual one.
  const std::string_view path = site.websocket_path.empty() ? std::string_view("/mqtt") : site.websocket_path;
  Response values = Response::of_text(
      200, fmt::format(R"({{"path":{},"listeners":{}}})", json_string(path), host_.listeners()) + "\n");
  values.content_type = "application/json";
  values.headers = "Cache-Control: no-store\r\n";
  return values;
}

Response Server::respond(const Site& site, const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    // Some load balancers ask for health in this way; all it says is that there is somebody.
    const bool asks_what_is_allowed = request.method == "OPTIONS";
    Response answer = asks_what_is_allowed ? Response::of_text(200, "") : Response::of_text(405, "only GET and HEAD\n");
    answer.headers = "Allow: GET, HEAD, OPTIONS\r\n";
    return answer;
  }
  if (request.path == "/healthz") return Response::of_text(200, "ok\n");
  const std::string_view foreign = why_foreign(site, request);
  if (request.path == "/readyz") {
    const std::string why = host_.not_ready_because(site.metrics && foreign.empty());
    return why.empty() ? Response::of_text(200, "ready\n") : Response::of_text(503, why + "\n");
  }
  if (!foreign.empty()) return Response::of_text(403, std::string(foreign) + "\n");
  if (request.path == "/metrics" && site.metrics) {
    Response metrics = Response::of_text(200, host_.metrics());
    metrics.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics;
  }
  const AcceptedEncodings encodings(request);
  if (request.path == "/start.json" && site.start_page) return start_values(site);
  if (!site.folder.empty())
    if (auto file = serve_file(site.folder, request.path, encodings)) return std::move(*file);
  const Asset* const asset = find_asset(request.path);
  if (asset != nullptr && (site.start_page || request.path == "/mqtt.js")) {
    const auto encoding = encodings.choose(true, false);
    if (!encoding) return not_acceptable();
    const bool gzip = *encoding == Encoding::kGzip;
    Response response = Response::of_fixed(asset->content_type, gzip ? asset->gzip : asset->bytes);
    response.etag = gzip ? asset->gzip_etag : asset->etag;
    response.headers = kPageRules;
    response.set_encoding(*encoding, true);
    return response;
  }
  return Response::of_text(404, "there is nothing here\n");
}

}  // namespace petrel::http
