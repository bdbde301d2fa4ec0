#include "wire_socket.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "crowd.h"

namespace petrel::hostile {

namespace {

constexpr int kWaitMs = 20'000;
constexpr std::uint32_t kAnyPacketBytes = 0xffffffff;

}  // namespace

WireSocket::WireSocket(std::uint16_t port, wire::ProtocolVersion version) : version_(version) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw Failure(fmt::format("a well-behaved client cannot connect: {}", std::strerror(errno)));
}

WireSocket::~WireSocket() { ::close(fd_); }

void WireSocket::send(BytesView bytes) {
  out_ += bytes;
  flush();
}

void WireSocket::flush() {
  if (out_.empty()) return;
  const ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN)
    throw Failure(fmt::format("a well-behaved client's connection broke: {}", std::strerror(errno)));
  if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
}

void WireSocket::receive() {
  in_.erase(0, taken_);
  taken_ = 0;
  std::array<char, 65'536> buffer;
  const ssize_t count = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0)
    throw Failure(fmt::format("a well-behaved client was hung up on: {}", count == 0 ? "end" : std::strerror(errno)));
  in_.append(buffer.data(), static_cast<std::size_t>(count));
}

std::optional<wire::Frame> WireSocket::next() {
  const BytesView rest = BytesView(in_).substr(taken_);
  if (rest.empty()) return std::nullopt;
  const auto frame = wire::next_frame(version_, rest, kAnyPacketBytes);
  if (!frame.has_value())
    throw Failure(fmt::format("a well-behaved client was sent a bad packet: {}", frame.error().what));
  if (!frame->complete) return std::nullopt;
  taken_ += frame->frame.total_bytes;
  return frame->frame;
}

wire::Frame WireSocket::wait() {
  for (;;) {
    if (const auto frame = next()) return *frame;
    pollfd waiting{fd_, static_cast<short>(has_output() ? POLLIN | POLLOUT : POLLIN), 0};
    if (poll(&waiting, 1, kWaitMs) <= 0) throw Failure(fmt::format("no answer from the broker within {} ms", kWaitMs));
    if ((waiting.revents & POLLOUT) != 0) flush();
    if ((waiting.revents & ~POLLOUT) != 0) receive();
  }
}

}  // namespace petrel::hostile
