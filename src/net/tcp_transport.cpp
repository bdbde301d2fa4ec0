#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/listener.h"
#include "net/transport.h"

namespace petrel::net {

namespace {

IoResult failed() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, IoStatus::kWouldBlock, 0};
  return {0, IoStatus::kError, errno};
}

}  // namespace

std::string Transport::failure(const IoResult& result) const { return std::strerror(result.error); }

std::string Transport::peer_name() const { return net::peer_name(fd()); }

TcpTransport::~TcpTransport() { close(fd_); }

IoResult TcpTransport::read_some(std::span<const iovec> into) {
  for (;;) {
    const ssize_t n = into.size() == 1 ? recv(fd_, into[0].iov_base, into[0].iov_len, 0)
                                       : readv(fd_, into.data(), static_cast<int>(into.size()));
    if (n > 0) return {static_cast<std::size_t>(n), IoStatus::kOk, 0};
    if (n == 0) return {0, IoStatus::kEnd, 0};
    if (errno != EINTR) return failed();
  }
}

IoResult TcpTransport::write_some(std::span<const iovec> from) {
  for (;;) {
    ssize_t n = 0;
    if (from.size() == 1) {
      n = send(fd_, from[0].iov_base, from[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(from.data());
      message.msg_iovlen = from.size();
      n = sendmsg(fd_, &message, MSG_NOSIGNAL);
    }
    if (n >= 0) return {static_cast<std::size_t>(n), IoStatus::kOk, 0};
    if (errno != EINTR) return failed();
  }
}

void TcpTransport::end_writing() { shutdown(fd_, SHUT_WR); }

}  // namespace petrel::net
