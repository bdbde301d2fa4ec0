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

WireSocket::WireSocket(const Door& door, wire::ProtocolVersion version) : version_(version) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(door.port);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  channel_ = std::make_unique<Channel>(fd, door);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw Failure(fmt::format("a well-behaved client cannot connect: {}", std::strerror(errno)));
  channel_->begin();
  while (!channel_->established()) {
    flush();
    await();
    receive();
  }
}

WireSocket::~WireSocket() = default;

void WireSocket::send(BytesView bytes) {
  out_ += bytes;
  flush();
}

void WireSocket::flush() {
  bool intact = channel_->flush();
  while (intact && channel_->established() && !out_.empty()) {
    const ssize_t sent = channel_->send(out_);
    if (sent < 0 && errno == EAGAIN) return;
    intact = sent >= 0;
    if (intact) out_.erase(0, static_cast<std::size_t>(sent));
  }
  if (!intact) throw Failure(fmt::format("a well-behaved client's connection broke: {}", std::strerror(errno)));
}

void WireSocket::receive() {
  in_.erase(0, taken_);
  taken_ = 0;
  std::array<char, 65'536> buffer;
  do {
    const ssize_t count = channel_->receive(buffer);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0)
      throw Failure(fmt::format("a well-behaved client was hung up on: {}", count == 0 ? "end" : std::strerror(errno)));
    in_.append(buffer.data(), static_cast<std::size_t>(count));
  } while (channel_->has_buffered());
}

// Until there is something to read or room to write.
void WireSocket::await() {
  pollfd waiting{fd(), static_cast<short>(has_output() ? POLLIN | POLLOUT : POLLIN), 0};
  if (poll(&waiting, 1, kWaitMs) <= 0) throw Failure(fmt::format("no answer from the broker within {} ms", kWaitMs));
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
    await();
    flush();
    receive();
  }
}

}  // namespace petrel::hostile
