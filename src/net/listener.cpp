#include "net/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace petrel::net {

namespace {

constexpr int kBacklog = 4096;

AddressError cannot_listen(const Endpoint& endpoint, int error) {
  const char* hint = "";
  if (error == EADDRINUSE) hint = "; is another broker running there?";
  if (error == EACCES) hint = endpoint.address.is_unix() ? "" : "; ports below 1024 need a privilege";
  if (error == EADDRNOTAVAIL) hint = "; this machine does not have that address";
  return {fmt::format("cannot listen on {}: {}{}", endpoint.to_string(), std::strerror(error), hint)};
}

const sockaddr* bytes_of(const Address& address) { return reinterpret_cast<const sockaddr*>(&address.storage); }

// Removes what a process that is gone has left behind; a socket somebody listens on, and any other file, stays.
void remove_stale_socket(const Address& address) {
  struct stat status {};
  if (lstat(address.path().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return;
  if (connect(probe, bytes_of(address), address.size) < 0 && errno == ECONNREFUSED) unlink(address.path().c_str());
  ::close(probe);
}

}  // namespace

Result<int, AddressError> listen_on(const Endpoint& endpoint, Claim claim, const TcpSettings& tcp) {
  const Address& address = endpoint.address;
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot_listen(endpoint, errno);
  const int on = 1;
  const auto share = [&] { setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); };
  if (address.is_unix()) {
    remove_stale_socket(address);
  } else {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    // The first is bound without sharing, so that another program on the address is an error and not a partner.
    if (claim == Claim::kJoin) share();
    if (const auto prepared = prepare_listening(fd, tcp); !prepared.has_value()) {
      ::close(fd);
      return AddressError{fmt::format("cannot listen on {}: {}", endpoint.to_string(), prepared.error())};
    }
  }
  const bool bound = bind(fd, bytes_of(address), address.size) == 0;
  if (bound && claim == Claim::kFirst && !address.is_unix()) share();
  if (!bound || listen(fd, kBacklog) < 0) {
    const AddressError error = cannot_listen(endpoint, errno);
    ::close(fd);
    return error;
  }
  return fd;
}

Address local_address(int fd) {
  Address address;
  address.size = sizeof address.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) < 0) address.size = 0;
  return address;
}

std::string peer_name(int fd) {
  Address address;
  address.size = sizeof address.storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) < 0) return "?";
  if (!address.is_unix()) return address.to_string();
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return "unix";
  return fmt::format("unix user {} process {}", peer.uid, peer.pid);
}

Listener::Listener(EventLoop& loop, int fd, std::function<void(int)> accepted, std::function<void(int)> exhausted)
    : loop_(loop),
      fd_(fd),
      reserve_fd_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      accepted_(std::move(accepted)),
      exhausted_(std::move(exhausted)) {
  if (const int error = loop_.add(fd_, *this, EPOLLIN); error != 0)
    throw std::system_error(error, std::generic_category(), "epoll_ctl");
}

Listener::~Listener() { close(); }

void Listener::close() {
  if (fd_ < 0) return;
  loop_.remove(fd_, *this);
  ::close(fd_);
  if (reserve_fd_ >= 0) ::close(reserve_fd_);
  fd_ = reserve_fd_ = -1;
}

void Listener::on_events(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn && fd_ >= 0; ++i) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accepted_(fd);
      continue;
    }
    const int error = errno;
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) return pause(error);
    if (error == EAGAIN || error == EWOULDBLOCK) return;
    // Anything else is the trouble of one connection that has left again (accept(2)): nobody's loss.
  }
}

void Listener::pause(int error) {
  if (reserve_fd_ >= 0) {
    ::close(reserve_fd_);
    if (const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); fd >= 0) ::close(fd);
  }
  reserve_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  exhausted_(error);
  resumes_at_ = loop_.now() + kPauseMs;
  watch();
}

void Listener::resume_if_due(TimeMs now) {
  if (now < resumes_at_ || fd_ < 0) return;
  resumes_at_ = kNever;
  // Another thread may have been quicker when the reserve was to be opened again.
  if (reserve_fd_ < 0) reserve_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  watch();
}

void Listener::hold(bool how) {
  if (std::exchange(held_, how) != how && fd_ >= 0) watch();
}

void Listener::watch() {
  const bool accepts = !held_ && resumes_at_ == kNever;
  loop_.modify(fd_, *this, accepts ? static_cast<std::uint32_t>(EPOLLIN) : 0U);
}

}  // namespace petrel::net
