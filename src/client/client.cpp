#include "client/client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "client/packet_text.h"
#include "wire/encode.h"

namespace petrel::client {

using wire::PacketType;
using wire::Qos;
using wire::ReasonCode;

namespace {

TimeMs monotonic_ms() {
  using std::chrono::duration_cast;
  return duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Waits until a non-blocking connect has ended; 0 or an errno.
int finish_connect(int fd, int timeout_ms) {
  pollfd waiting{fd, POLLOUT, 0};
  if (poll(&waiting, 1, timeout_ms) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

Result<int, ClientError> open_connection(const std::string& host, std::uint16_t port, int timeout_ms) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); status != 0)
    return ClientError{fmt::format("cannot find host \"{}\": {}", host, gai_strerror(status))};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(found, freeaddrinfo);
  int error = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    error = ::connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finish_connect(fd, timeout_ms);
    if (error == 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return fd;
    }
    ::close(fd);
  }
  return ClientError{fmt::format("cannot connect to {}:{}: {}", host, port, std::strerror(error))};
}

}  // namespace

Client::~Client() { close(); }

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ClientError Client::lost(std::string what, ReasonCode reason) {
  close();
  return {std::move(what), reason};
}

template <class Packet>
void Client::tell_received(const Packet& packet) const {
  if (on_packet) on_packet("received " + describe(packet));
}

template <class Packet>
void Client::write(const Packet& packet) {
  if (on_packet) on_packet("sending " + describe(packet));
  const std::size_t at = output_.size();
  output_.resize(at + wire::encoded_size(version_, packet));
  wire::encode(version_, packet, output_.data() + at);
}

Result<void, ClientError> Client::connect(const std::string& host, std::uint16_t port, const wire::Connect& connect,
                                          int timeout_ms) {
  const auto opened = open_connection(host, port, timeout_ms);
  if (!opened.has_value()) return opened.error();
  fd_ = *opened;
  version_ = connect.version;
  keep_alive_ms_ = TimeMs{connect.keep_alive_s} * 1000;
  last_sent_ = last_received_ = monotonic_ms();
  incoming_.begin_connection(65535);
  write(connect);
  const TimeMs deadline = monotonic_ms() + timeout_ms;
  while (!have_connack_) {
    const TimeMs left = deadline - monotonic_ms();
    if (left <= 0) return lost("no CONNACK from the server in time");
    if (const auto done = step(static_cast<int>(left)); !done.has_value()) return done.error();
  }
  if (connack_.reason != ReasonCode::kSuccess)
    return lost(fmt::format("connection refused: {}", wire::name(connack_.reason)), connack_.reason);
  outgoing_.begin_connection(std::min<std::uint16_t>(connack_.receive_maximum.value_or(65535), 1024));
  if (connack_.server_keep_alive_s) keep_alive_ms_ = TimeMs{*connack_.server_keep_alive_s} * 1000;
  return {};
}

void Client::publish(const wire::Publish& publish) {
  wire::Publish packet = publish;
  if (packet.qos != Qos::k0) {
    session::Delivery delivery;
    delivery.qos = packet.qos;
    packet.packet_id = outgoing_.send(std::move(delivery));
  }
  write(packet);
}

// Packet identifiers of SUBSCRIBE and UNSUBSCRIBE come from the top, those of PUBLISH from the bottom.
void Client::subscribe(wire::Subscribe subscribe) {
  subscribe.packet_id = next_control_id_--;
  control_.push_back(subscribe.packet_id);
  write(subscribe);
}

void Client::unsubscribe(wire::Unsubscribe unsubscribe) {
  unsubscribe.packet_id = next_control_id_--;
  control_.push_back(unsubscribe.packet_id);
  write(unsubscribe);
}

void Client::disconnect(const wire::Disconnect& disconnect) {
  if (fd_ < 0) return;
  write(disconnect);
  const TimeMs deadline = monotonic_ms() + 2000;
  while (!output_.empty() && monotonic_ms() < deadline) {
    if (!flush().has_value()) return;
    pollfd waiting{fd_, POLLOUT, 0};
    if (!output_.empty()) poll(&waiting, 1, 100);
  }
  // Closed with input unread, the system would reset the connection, and the server might never see what was sent last.
  shutdown(fd_, SHUT_WR);
  char unread[4096];
  for (TimeMs left = deadline - monotonic_ms(); left > 0; left = deadline - monotonic_ms()) {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>(left)) > 0 && recv(fd_, unread, sizeof unread, 0) <= 0) break;
  }
  close();
}

Result<void, ClientError> Client::flush() {
  while (sent_bytes_ < output_.size()) {
    const ssize_t n = send(fd_, output_.data() + sent_bytes_, output_.size() - sent_bytes_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {};
      return lost(fmt::format("connection lost: {}", std::strerror(errno)));
    }
    sent_bytes_ += static_cast<std::size_t>(n);
    // The unsent end moves only when it is no longer than what has left: each byte moves at most once.
    if (sent_bytes_ * 2 >= output_.size()) {
      output_.erase(0, sent_bytes_);
      sent_bytes_ = 0;
    }
    last_sent_ = monotonic_ms();
  }
  return {};
}

// When a PINGREQ is due, or the answer to one. A server that is only published to with QoS 0 says nothing by itself: it
// is asked.
TimeMs Client::keep_alive_due() const {
  if (keep_alive_ms_ == 0 || !have_connack_) return kNever;
  return keep_alive_ms_ + (pinged_at_ != 0 ? pinged_at_ : std::min(last_sent_, last_received_));
}

void Client::keep_alive() {
  if (pinged_at_ != 0 || monotonic_ms() < keep_alive_due()) return;
  if (on_packet) on_packet("sending PINGREQ");
  output_ += wire::kPingreq;
  last_sent_ = pinged_at_ = monotonic_ms();
}

bool Client::server_is_silent() const { return pinged_at_ != 0 && monotonic_ms() >= keep_alive_due(); }

Result<void, ClientError> Client::step(int timeout_ms, int other_fd) {
  if (fd_ < 0) return ClientError{"not connected"};
  keep_alive();
  if (auto sent = flush(); !sent.has_value()) return sent;
  const TimeMs until_due = std::max<TimeMs>(1, keep_alive_due() - monotonic_ms());
  timeout_ms = static_cast<int>(std::min<TimeMs>(timeout_ms, until_due));
  const auto wanted = static_cast<short>(output_.empty() ? POLLIN : POLLIN | POLLOUT);
  std::array<pollfd, 2> waiting{pollfd{fd_, wanted, 0}, pollfd{other_fd, POLLIN, 0}};
  if (poll(waiting.data(), waiting.size(), timeout_ms) < 0) return {};
  if ((waiting[0].revents & POLLOUT) != 0) {
    if (auto sent = flush(); !sent.has_value()) return sent;
  }
  if ((waiting[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) return receive();
  // Only now, for the answer may have come while nobody looked.
  if (server_is_silent()) return lost("connection lost: the server does not answer", ReasonCode::kKeepAliveTimeout);
  return {};
}

Result<void, ClientError> Client::receive() {
  char buffer[65536];
  const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
  if (n == 0) return lost("connection closed by the server");
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return lost(fmt::format("connection lost: {}", std::strerror(errno)));
  }
  last_received_ = monotonic_ms();
  pinged_at_ = 0;
  input_.append(buffer, static_cast<std::size_t>(n));
  std::size_t used = 0;
  while (fd_ >= 0 && !stopped_) {
    const auto frame = wire::next_frame(version_, BytesView(input_).substr(used), kMaxPacketBytes);
    if (!frame.has_value()) return lost(std::string(frame.error().what), frame.error().reason);
    if (!frame->complete) break;
    if (auto done = dispatch(frame->frame); !done.has_value()) return done;
    used += frame->frame.total_bytes;
  }
  input_.erase(0, used);
  if (fd_ < 0) return {};
  return flush();
}

Result<void, ClientError> Client::dispatch(const wire::Frame& frame) {
  switch (frame.type) {
    case PacketType::kConnack: {
      const auto connack = wire::decode_connack(version_, frame.body);
      if (!connack.has_value()) return lost(std::string(connack.error().what), connack.error().reason);
      tell_received(*connack);
      connack_ = *connack;
      // Views into the input do not outlive this call.
      connack_.assigned_client_identifier.reset();
      connack_.reason_string.reset();
      connack_.user_properties = {};
      connack_.response_information.reset();
      connack_.server_reference.reset();
      connack_.authentication_method.reset();
      connack_.authentication_data.reset();
      have_connack_ = true;
      return {};
    }
    case PacketType::kPublish:
      return on_publish(frame);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return on_ack(frame);
    case PacketType::kSuback:
    case PacketType::kUnsuback: {
      wire::Suback suback;
      if (const auto ok = wire::decode_suback(version_, frame.type, frame.body, suback); !ok.has_value())
        return lost(std::string(ok.error().what), ok.error().reason);
      tell_received(suback);
      std::erase(control_, suback.packet_id);
      if (on_subscribed)
        for (const ReasonCode reason : suback.reasons) on_subscribed(reason);
      return {};
    }
    case PacketType::kPingresp:
      if (on_packet) on_packet("received PINGRESP");
      return {};
    case PacketType::kDisconnect: {
      const auto disconnect = wire::decode_disconnect(version_, wire::Sender::kServer, frame.body);
      if (disconnect.has_value()) tell_received(*disconnect);
      const ReasonCode reason = disconnect.has_value() ? disconnect->reason : ReasonCode::kUnspecifiedError;
      return lost(fmt::format("disconnected by the server: {}", wire::name(reason)), reason);
    }
    default:
      return lost(fmt::format("unexpected {} from the server", wire::name(frame.type)), ReasonCode::kProtocolError);
  }
}

Result<void, ClientError> Client::on_publish(const wire::Frame& frame) {
  auto decoded = wire::decode_publish(version_, wire::Sender::kServer, frame.flags, frame.body);
  if (!decoded.has_value()) return lost(std::string(decoded.error().what), decoded.error().reason);
  wire::Publish publish = *decoded;
  if (publish.topic_alias) {
    std::string& known = aliases_[*publish.topic_alias];
    if (publish.topic.empty()) {
      publish.topic = known;
    } else {
      known = publish.topic;
    }
  }
  tell_received(publish);
  wire::Ack ack;
  ack.packet_id = publish.packet_id;
  if (publish.qos == Qos::k2) {
    ack.type = PacketType::kPubrec;
    if (incoming_.take_qos2(publish.packet_id) == session::Incoming::Taken::kDuplicate) {
      write(ack);
      return {};
    }
  }
  if (on_message) on_message(publish);
  if (publish.qos != Qos::k0 && fd_ >= 0) write(ack);
  return {};
}

Result<void, ClientError> Client::on_ack(const wire::Frame& frame) {
  const auto ack = wire::decode_ack(version_, frame.type, frame.body);
  if (!ack.has_value()) return lost(std::string(ack.error().what), ack.error().reason);
  tell_received(*ack);
  wire::Ack answer;
  answer.packet_id = ack->packet_id;
  const auto published = [&](ReasonCode reason) {
    if (on_published) on_published(reason);
  };
  switch (frame.type) {
    case PacketType::kPuback:
      if (outgoing_.on_puback(ack->packet_id).has_value()) published(ack->reason);
      break;
    case PacketType::kPubrec: {
      const auto done = outgoing_.on_pubrec(ack->packet_id, ack->reason);
      if (done.has_value() && !done->send_pubrel) published(ack->reason);
      if (wire::is_error(ack->reason)) break;
      answer.type = PacketType::kPubrel;
      if (!done.has_value()) answer.reason = ReasonCode::kPacketIdentifierNotFound;
      write(answer);
      break;
    }
    case PacketType::kPubrel:
      answer.type = PacketType::kPubcomp;
      if (!incoming_.release(ack->packet_id)) answer.reason = ReasonCode::kPacketIdentifierNotFound;
      write(answer);
      break;
    default:
      if (outgoing_.on_pubcomp(ack->packet_id).has_value()) published(ack->reason);
      break;
  }
  return {};
}

}  // namespace petrel::client
