#include "crowd.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace petrel::hostile {

namespace {

constexpr std::size_t kEventsPerTurn = 512;
// One peer in so many.
constexpr std::size_t kRudeness = 16;
constexpr std::chrono::milliseconds kSweepInterval{10};
// Attackers have what processor time others leave: whoever got none for so long has not looked meanwhile.
constexpr std::chrono::seconds kStarved{1};

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

// Any address of 127.0.0.0/8 is this host's own: with many of them the ports do not run out.
sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f000000U | host);
  address.sin_port = htons(port);
  return address;
}

template <class Address>
const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

bool FrameCheck::take(BytesView bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (missing_ > 0 && !in_length_) {
      // The second byte of a CONNACK is its code.
      if (type_ == 2 && body_at_ <= 1 && body_at_ + (bytes.size() - at) > 1 && missing_ > 1 - body_at_)
        refused_ = refused_ || bytes[at + 1 - body_at_] != 0;
      const auto step = static_cast<std::uint32_t>(std::min<std::size_t>(missing_, bytes.size() - at));
      missing_ -= step;
      body_at_ += step;
      at += step;
    } else if (!header_byte(byte_at(bytes, at++))) {
      return false;
    }
  }
  return true;
}

bool FrameCheck::header_byte(std::uint8_t byte) {
  if (!in_length_) {
    type_ = byte >> 4;
    in_length_ = true;
    length_ = shift_ = 0;
    const std::uint8_t flags = byte & 15;
    if (type_ == 3) return (flags & 6) != 6;
    const bool from_server = type_ == 2 || (type_ >= 4 && type_ <= 7) || type_ == 9 || type_ == 11 || type_ >= 13;
    return from_server && flags == (type_ == 6 ? 2 : 0);
  }
  length_ |= static_cast<std::uint32_t>(byte & 0x7f) << shift_;
  shift_ += 7;
  if ((byte & 0x80) != 0) return shift_ < 28;
  in_length_ = false;
  missing_ = length_;
  body_at_ = 0;
  return true;
}

Crowd::Crowd(const Door& door, std::uint64_t seed, std::chrono::seconds patience)
    : door_(door), patience_(patience), random_(seed), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Crowd::~Crowd() { ::close(epoll_); }

// Before a door with layers some peers do not know what it expects, or get it wrong.
Channel::Manners Crowd::manners() {
  if (!door_.layered()) return Channel::Manners::kProper;
  switch (random_.below(kRudeness)) {
    case 0:
      return Channel::Manners::kBare;
    case 1:
      return Channel::Manners::kBent;
    default:
      return Channel::Manners::kProper;
  }
}

void Crowd::open(Plan plan) {
  auto made = std::make_unique<Peer>();
  Peer& peer = *made;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw Failure(fmt::format("the harness has no socket left: {}", std::strerror(errno)));
  peer.channel = std::make_unique<Channel>(fd, door_, manners(), random_.next());
  set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (plan.receive_buffer != 0) set_option(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(plan.receive_buffer));
  const sockaddr_in from = loopback(static_cast<std::uint32_t>(random_.between(0x020000, 0x02ffff)), 0);
  const sockaddr_in to = loopback(1, door_.port);
  if (bind(fd, generic(from), sizeof from) != 0 || (::connect(fd, generic(to), sizeof to) != 0 && errno != EINPROGRESS))
    throw Failure(fmt::format("cannot connect (stream seed {}): {}", plan.seed, std::strerror(errno)));
  peer.out = std::move(plan.bytes);
  peer.plan = std::move(plan);
  peer.due = Clock::now() + patience_;
  peer.index = peers_.size();
  epoll_event event{EPOLLOUT, {.ptr = &peer}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  ++counts_.streams;
  peers_.push_back(std::move(made));
}

// What is waited for depends on how far the peer is: its handshakes, its bytes, the answers.
void Crowd::watch(Peer& peer) {
  const bool established = peer.channel->established();
  const bool reads = peer.plan.reads || peer.half_closed || !established;
  const bool writes = peer.channel->wants_write() || (established && !peer.done);
  const std::uint32_t events =
      (reads ? static_cast<std::uint32_t>(EPOLLIN) : 0U) | (writes ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  if (events == peer.watched) return;
  peer.watched = events;
  epoll_event event{events, {.ptr = &peer}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.channel->fd(), &event);
}

void Crowd::turn(std::chrono::milliseconds wait) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(wait.count()));
  for (int i = 0; i < count; ++i) {
    Peer& peer = *static_cast<Peer*>(events[static_cast<std::size_t>(i)].data.ptr);
    const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
    if (!peer.connected && (what & (EPOLLERR | EPOLLHUP)) != 0) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(peer.channel->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == ECONNREFUSED)
        throw Failure(fmt::format("the broker does not listen any more (stream seed {})", peer.plan.seed));
    }
    if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(peer);
    if (!peer.ended && (what & EPOLLOUT) != 0) on_writable(peer);
    if (!peer.ended) watch(peer);
  }
  ended_.clear();
  if (const auto now = Clock::now(); now >= next_sweep_) {
    if (now - next_sweep_ > kStarved) excuse(now - next_sweep_);
    end_overdue(now);
    next_sweep_ = now + kSweepInterval;
  }
}

void Crowd::on_writable(Peer& peer) {
  if (!peer.connected) {
    peer.connected = true;
    ++counts_.connections;
    peer.channel->begin();
  }
  if (!peer.channel->flush()) return refused(peer);
  if (peer.done || !peer.channel->established() || peer.channel->wants_write()) return;
  if (send_piece(peer) && peer.sent == peer.out.size() && !peer.channel->wants_write()) all_sent(peer);
}

void Crowd::refused(Peer& peer) {
  ++counts_.refused;
  end(peer, true);
}

// False when the connection is gone.
bool Crowd::send_piece(Peer& peer) {
  const std::size_t left = peer.out.size() - peer.sent;
  const std::size_t piece = peer.plan.piece_bytes == 0 ? left : std::min(left, peer.plan.piece_bytes);
  if (piece == 0) return true;
  const ssize_t sent = peer.channel->send({peer.out.data() + peer.sent, piece});
  if (sent > 0) {
    peer.sent += static_cast<std::size_t>(sent);
    counts_.sent_bytes += static_cast<std::uint64_t>(sent);
    if (peer.plan.end != Plan::End::kStay) peer.due = Clock::now() + patience_;
  } else if (errno != EAGAIN) {
    refused(peer);
    return false;
  }
  return true;
}

void Crowd::all_sent(Peer& peer) {
  if (peer.plan.more) {
    peer.out.clear();
    peer.sent = 0;
    if (peer.plan.more(peer)) return;
    peer.plan.more = nullptr;
  }
  peer.done = true;
  switch (peer.plan.end) {
    case Plan::End::kHalfClose:
      peer.half_closed = true;
      peer.due = Clock::now() + patience_;
      shutdown(peer.channel->fd(), SHUT_WR);
      break;
    case Plan::End::kReset:
      return end(peer, true);
    case Plan::End::kStay:
      peer.due = Clock::now() + peer.plan.stay;
      break;
  }
}

void Crowd::on_readable(Peer& peer) {
  std::array<char, 65'536> buffer;
  do {
    const ssize_t count = peer.channel->receive(buffer);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      // A broker that closes before it has read everything resets the connection: it has said what it had to say.
      if (peer.frames.refused() || peer.sent < peer.out.size()) ++counts_.refused;
      return end(peer, false);
    }
    const auto size = static_cast<std::size_t>(count);
    counts_.received_bytes += size;
    // Who is not understood may be answered in another language.
    if (peer.channel->is_proper() && !peer.frames.take({buffer.data(), size}))
      throw Failure(fmt::format("the broker's answer to stream seed {} is not a sequence of packets", peer.plan.seed));
  } while (peer.channel->has_buffered());
}

void Crowd::end(Peer& peer, bool reset) {
  if (reset) {
    const linger none{1, 0};
    setsockopt(peer.channel->fd(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  peer.channel.reset();
  peer.ended = true;
  std::unique_ptr<Peer> taken = std::move(peers_[peer.index]);
  if (peer.index + 1 != peers_.size()) {
    peers_[peer.index] = std::move(peers_.back());
    peers_[peer.index]->index = peer.index;
  }
  peers_.pop_back();
  ended_.push_back(std::move(taken));
}

void Crowd::excuse(Clock::duration time) {
  for (const auto& peer : peers_) peer->due += time;
}

void Crowd::end_overdue(Clock::time_point now) {
  for (std::size_t i = peers_.size(); i-- > 0;) {
    Peer& peer = *peers_[i];
    if (peer.due > now) continue;
    if (peer.half_closed)
      throw Failure(fmt::format("stuck: the broker has not hung up within {} s after the end of stream seed {}",
                                patience_.count(), peer.plan.seed));
    end(peer, true);
  }
  ended_.clear();
}

void Crowd::finish() {
  for (std::size_t i = peers_.size(); i-- > 0;)
    if (!peers_[i]->half_closed) end(*peers_[i], true);
  ended_.clear();
  while (!peers_.empty()) turn(std::chrono::milliseconds(10));
}

}  // namespace petrel::hostile
