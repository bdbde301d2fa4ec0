#include "net/proxy_gate.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

namespace petrel::net {

ProxyGate::ProxyGate(EventLoop& loop, const AddressRanges& trusted, TimeMs timeout_ms, Passed passed, Refused refused)
    : loop_(loop),
      trusted_(trusted),
      timeout_ms_(timeout_ms),
      passed_(std::move(passed)),
      refused_(std::move(refused)) {}

ProxyGate::~ProxyGate() { close(); }

void ProxyGate::close() {
  while (!waiting_.empty()) {
    const int fd = waiting_.front().fd;
    forget(waiting_.front());
    ::close(fd);
  }
}

void ProxyGate::take(int fd, TimeMs now) {
  if (!trusted_.contains(Address::of_peer(fd)))
    return refuse(fd, "PROXY header: the peer is not among those of trusted");
  if (waiting_.size() >= kMostWaiting) return refuse(fd, "PROXY header: too many are waited for");
  Waiting& waiting = waiting_.emplace_back(*this, fd, now);
  waiting.place = std::prev(waiting_.end());
  proceed(waiting);
}

void ProxyGate::advance(TimeMs now) {
  while (!waiting_.empty() && waiting_.front().since + timeout_ms_ <= now) {
    const int fd = waiting_.front().fd;
    forget(waiting_.front());
    refuse(fd, "PROXY header: none within the time for a CONNECT (connect_timeout_s)");
  }
}

void ProxyGate::Waiting::on_events(std::uint32_t) { gate.proceed(*this); }

void ProxyGate::proceed(Waiting& waiting) {
  ProxyHeader header;
  std::string why;
  const Read result = read(waiting, header, why);
  const int fd = waiting.fd;
  const TimeMs since = waiting.since;
  if (result == Read::kMore) {
    if (std::exchange(waiting.registered, true)) return;
    if (const int error = loop_.add(fd, waiting, EPOLLIN); error == 0) return;
    waiting.registered = false;
    why = "PROXY header: the system has no memory for another socket";
  }
  forget(waiting);
  if (result == Read::kDone) return passed_(fd, header, since);
  if (why.empty()) {
    ::close(fd);
  } else {
    refuse(fd, why);
  }
}

// Takes off the socket what belongs to the header, and no more.
ProxyGate::Read ProxyGate::read(Waiting& waiting, ProxyHeader& header, std::string& why) {
  std::array<char, kMaxProxyHeaderBytes> room;
  ssize_t n = 0;
  do n = recv(waiting.fd, room.data(), room.size(), MSG_PEEK);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Read::kMore;
  if (n <= 0) {
    if (!waiting.received.empty()) why = "PROXY header: closed by peer before it was complete";
    return Read::kEnded;
  }
  const std::size_t before = waiting.received.size();
  waiting.received.append(room.data(), static_cast<std::size_t>(n));
  ParsedProxyHeader parsed = parse_proxy_header(waiting.received);
  if (parsed.status == ParsedProxyHeader::Status::kRefused) {
    why = std::string("PROXY header: ").append(parsed.why);
    return Read::kEnded;
  }
  // These bytes are there: they were seen.
  const std::size_t mine = parsed.consumed - before;
  if (recv(waiting.fd, room.data(), mine, 0) != static_cast<ssize_t>(mine)) {
    why = "PROXY header: cannot be read";
    return Read::kEnded;
  }
  if (parsed.status == ParsedProxyHeader::Status::kNeedMore) return Read::kMore;
  header = std::move(parsed.header);
  return Read::kDone;
}

void ProxyGate::refuse(int fd, std::string_view why) {
  refused_(fd, why);
  ::close(fd);
}

void ProxyGate::forget(Waiting& waiting) {
  if (waiting.registered) loop_.remove(waiting.fd, waiting);
  waiting_.erase(waiting.place);
}

}  // namespace petrel::net
