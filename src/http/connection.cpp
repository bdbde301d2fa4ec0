#include "http/connection.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/release_memory.h"

namespace petrel::http {

using net::IoStatus;

namespace {

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kBlockBytes = 65'536;
constexpr int kRounds = 1000;
// Of one answer at a time: others have their turn while a fast reader fetches a large file.
constexpr std::size_t kTurnBytes = 1 << 20;

}  // namespace

void Server::Connection::on_events(std::uint32_t) {
  if (!gone) proceed();
}

void Server::Connection::proceed() {
  for (int round = 0;; ++round) {
    // Whoever sends this much at once is after something else.
    if (round == kRounds) {
      end("too many requests at once");
      return;
    }
    if (const Progress written = write(); written == Progress::kGone) return;
    const bool busy = response_.has_value() || link_.transport->wants_write();
    Progress progress = Progress::kWait;
    if (!busy) progress = received_.empty() || ended_ ? Progress::kWait : take_request();
    if (progress == Progress::kGone) return;
    if (progress == Progress::kMore) continue;
    if (busy) break;
    progress = read();
    if (progress == Progress::kGone) return;
    if (progress == Progress::kWait) break;
  }
  update_interest();
}

Server::Connection::Progress Server::Connection::read() {
  std::array<char, kReadBytes> room;
  const iovec piece{room.data(), room.size()};
  const net::IoResult result = link_.transport->read_some({&piece, 1});
  if (result.status == IoStatus::kEnd) return end({});
  if (result.status == IoStatus::kError) return end(ended_ ? std::string() : link_.transport->failure(result));
  if (result.status == IoStatus::kOk && !ended_) {
    received_.append(room.data(), result.bytes);
    return Progress::kMore;
  }
  return link_.transport->has_buffered() || result.status == IoStatus::kOk ? Progress::kMore : Progress::kWait;
}

Server::Connection::Progress Server::Connection::take_request() {
  ParsedRequest parsed = parse_request(received_);
  switch (parsed.status) {
    case ParsedRequest::Status::kNeedMore:
      return Progress::kWait;
    case ParsedRequest::Status::kRefused:
      server_.limited_.info(
          "HTTP request refused",
          {{"address", net::peer_name(fd())}, {"listener", server_.sites_[site].name}, {"reason", parsed.why}});
      release_memory(received_);
      answer(Response::of_text(parsed.refusal, parsed.why + "\n"), parsed.request, false);
      return Progress::kMore;
    case ParsedRequest::Status::kDone:
      break;
  }
  const Request& request = parsed.request;
  note_client(request);
  const std::string& path = server_.sites_[site].websocket_path;
  // Whatever is wrong with an upgrade, its path included, the WebSocket's own handshake answers and logs.
  if (request.is_upgrade || (!path.empty() && request.path == path)) {
    server_.upgrade(*this);
    return Progress::kGone;
  }
  received_.erase(0, parsed.consumed);
  Response response = server_.respond(server_.sites_[site], request);
  if (response.status == 403) log_foreign(request);
  answer(std::move(response), request, request.keep_alive);
  return Progress::kMore;
}

void Server::Connection::log_foreign(const Request& request) {
  const auto value = [&](std::string_view name) {
    const std::string* const header = request.header(name);
    return header == nullptr ? std::string_view() : std::string_view(*header);
  };
  server_.limited_.info("HTTP request refused", {{"address", client_.empty() ? link_.transport->peer_name() : client_},
                                                 {"listener", server_.sites_[site].name},
                                                 {"reason", "not a page of this machine (origins)"},
                                                 {"host", value("host")},
                                                 {"origin", value("origin")}});
}

// A proxy may bring requests of several clients on one connection.
void Server::Connection::note_client(const Request& request) {
  const Site& its = server_.sites_[site];
  if (its.trusted.empty()) return;
  std::vector<std::string_view> values;
  for (const auto& [name, value] : request.headers)
    if (name == net::name_of(its.forwarded_header)) values.emplace_back(value);
  const net::Address peer = link_.transport->peer_address();
  const net::Address client = net::forwarded_client(peer, its.forwarded_header, values, its.trusted);
  client_ = values.empty() ? std::string() : client.peer_text();
}

void Server::Connection::answer(Response response, const Request& request, bool keep_alive) {
  response.apply_conditions(request);
  if (keep_alive && request.is_1_0) response.headers += "Connection: keep-alive\r\n";
  close_after_ = !keep_alive;
  output_ = response.head(keep_alive);
  sent_ = body_sent_ = 0;
  body_bytes_ = request.method == "HEAD" || response.status == 304 ? 0 : response.body_bytes();
  response_ = std::move(response);
  deadline = server_.now_ + kIdleMs;
}

// Puts the next part of the body into the output. False: the file has become shorter.
bool Server::Connection::fill() {
  if (body_sent_ == body_bytes_) return true;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, body_bytes_ - body_sent_));
  if (response_->file) {
    const std::size_t before = output_.size();
    output_.resize(before + size);
    const ssize_t n =
        pread(response_->file.fd(), output_.data() + before, size, static_cast<off_t>(response_->offset + body_sent_));
    if (n <= 0) return false;
    output_.resize(before + static_cast<std::size_t>(n));
    body_sent_ += static_cast<std::uint64_t>(n);
    return true;
  }
  const std::string_view body = response_->fixed.empty() ? std::string_view(response_->text) : response_->fixed;
  output_ += body.substr(static_cast<std::size_t>(body_sent_), size);
  body_sent_ += size;
  return true;
}

Server::Connection::Progress Server::Connection::write() {
  net::Transport& transport = *link_.transport;
  if (transport.wants_write()) {
    const net::IoResult result = transport.write_pending();
    if (result.status == IoStatus::kError) return end({});
    if (result.status == IoStatus::kWouldBlock) return Progress::kWait;
  }
  for (std::size_t turn = 0; response_;) {
    if (turn >= kTurnBytes) return Progress::kWait;
    if (output_.size() - sent_ < kReadBytes) {
      output_.erase(0, sent_);
      sent_ = 0;
      if (!fill()) return end("a file has become shorter while it was sent");
    }
    if (output_.size() == sent_) break;
    const iovec piece{output_.data() + sent_, output_.size() - sent_};
    const net::IoResult result = transport.write_some({&piece, 1});
    if (result.status == IoStatus::kError) return end({});
    sent_ += result.bytes;
    turn += result.bytes;
    if (result.bytes != 0) deadline = server_.now_ + kIdleMs;
    if (result.bytes < piece.iov_len) return Progress::kWait;
  }
  if (!response_) return Progress::kMore;
  response_.reset();
  release_memory(output_);
  sent_ = 0;
  if (close_after_ && !ended_) {
    ended_ = true;
    transport.end_writing();
  }
  return Progress::kMore;
}

Server::Connection::Progress Server::Connection::end(std::string_view why) {
  if (!why.empty())
    server_.limited_.info("HTTP connection ended",
                          {{"address", client_.empty() ? link_.transport->peer_name() : client_},
                           {"listener", server_.sites_[site].name},
                           {"reason", why}});
  server_.remove(*this);
  return Progress::kGone;
}

void Server::Connection::update_interest() {
  const bool writes = response_.has_value() || link_.transport->wants_write();
  const std::uint32_t wanted = writes ? EPOLLOUT : EPOLLIN;
  if (wanted != interest_) server_.loop_.modify(fd(), *this, wanted);
  interest_ = wanted;
}

}  // namespace petrel::http
