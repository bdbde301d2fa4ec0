#include "load/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "wire/cursor.h"
#include "wire/encode.h"

namespace petrel::load {

using wire::PacketType;

namespace {

constexpr std::uint8_t kSuccess = 0;

}  // namespace

template <class Packet>
void Link::write(const Packet& packet) {
  const std::size_t at = output_.size();
  output_.resize(at + wire::encoded_size(version(), packet));
  wire::encode(version(), packet, output_.data() + at);
}

void Link::write_ack(PacketType type, wire::PacketId packet_id) {
  wire::Ack ack;
  ack.type = type;
  ack.packet_id = packet_id;
  write(ack);
}

void Link::connect(const sockaddr_storage& address, socklen_t address_bytes) {
  close();
  connect_began_ = Clock::now();
  fd_ = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return lose(std::strerror(errno));
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), address_bytes) != 0 && errno != EINPROGRESS)
    return lose(std::strerror(errno));
  wire::Connect packet;
  packet.version = settings_.version;
  packet.client_id = settings_.client_id;
  packet.clean_start = settings_.clean_start;
  if (version() == wire::ProtocolVersion::kV5 && settings_.session_expiry_interval_s != 0)
    packet.session_expiry_interval_s = settings_.session_expiry_interval_s;
  write(packet);
  writable_wanted_ = true;
  host_.watch(*this, fd_, true, true);
}

void Link::subscribe(std::string_view filter, wire::Qos qos) {
  wire::Subscribe packet;
  packet.packet_id = 1;
  packet.subscriptions.push_back({filter, {.maximum_qos = qos}});
  write(packet);
  flush();
}

void Link::disconnect() {
  if (!is_open()) return;
  write(wire::Disconnect{});
  flush();
  close();
}

void Link::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  output_.clear();
  rest_.clear();
  sent_ = 0;
  writable_wanted_ = goes_on_ = false;
}

void Link::lose(std::string_view why) {
  close();
  host_.on_lost(*this, why);
}

void Link::on_events(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  if (is_open() && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
  if (!is_open()) return;
  on_turn_end();
  flush();
}

void Link::flush() {
  while (is_open() && sent_ < output_.size()) {
    const ssize_t sent = ::send(fd_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
    if (sent < 0) return lose(std::strerror(errno));
    sent_ += static_cast<std::size_t>(sent);
  }
  if (!is_open()) return;
  if (sent_ == output_.size()) {
    output_.clear();
    sent_ = 0;
  }
  const bool goes_on = std::exchange(goes_on_, false);
  const bool wanted = goes_on || !output_.empty();
  if (wanted == writable_wanted_) return;
  writable_wanted_ = wanted;
  host_.watch(*this, fd_, false, wanted);
}

// One read a turn, so that no connection holds up the others. The beginning of a packet whose end has not come is kept.
void Link::receive() {
  std::vector<char>& buffer = host_.read_buffer();
  if (buffer.size() < 2 * rest_.size()) buffer.resize(2 * rest_.size());
  rest_.copy(buffer.data(), rest_.size());
  const ssize_t bytes = ::recv(fd_, buffer.data() + rest_.size(), buffer.size() - rest_.size(), 0);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes < 0) return lose(std::strerror(errno));
  if (bytes == 0) return lose("the broker has closed the connection");
  const std::string_view input(buffer.data(), rest_.size() + static_cast<std::size_t>(bytes));
  const std::size_t taken = take_frames(input);
  if (is_open()) rest_.assign(input.substr(taken));
}

std::size_t Link::take_frames(std::string_view input) {
  std::size_t taken = 0;
  while (is_open() && taken < input.size()) {
    const auto frame = wire::next_frame(version(), input.substr(taken), wire::kMaxPacketBytes);
    if (!frame.has_value()) {
      lose(frame.error().what);
      break;
    }
    if (!frame->complete) break;
    dispatch(frame->frame);
    taken += frame->frame.total_bytes;
  }
  return taken;
}

void Link::dispatch(const wire::Frame& frame) {
  switch (frame.type) {
    case PacketType::kPublish: {
      const auto publish = wire::decode_publish(version(), wire::Sender::kServer, frame.flags, frame.body);
      return publish.has_value() ? on_publish(*publish) : lose(publish.error().what);
    }
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: {
      const auto ack = wire::decode_ack(version(), frame.type, frame.body);
      return ack.has_value() ? on_ack(*ack) : lose(ack.error().what);
    }
    case PacketType::kConnack: {
      const auto connack = wire::decode_connack(version(), frame.body);
      if (!connack.has_value()) return lose(connack.error().what);
      if (wire::is_error(connack->reason) || connack->return_code != kSuccess)
        return lose("the broker refuses the connection");
      on_connack(*connack);
      return host_.on_connected(*this);
    }
    case PacketType::kSuback: {
      wire::Suback suback;
      const auto decoded = wire::decode_suback(version(), frame.type, frame.body, suback);
      if (!decoded.has_value()) return lose(decoded.error().what);
      for (const wire::ReasonCode reason : suback.reasons)
        if (wire::is_error(reason)) return lose("the broker refuses the subscription");
      return host_.on_subscribed(*this);
    }
    case PacketType::kDisconnect:
      return lose("the broker sends DISCONNECT");
    default:
      return;
  }
}

}  // namespace petrel::load
