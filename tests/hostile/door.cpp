#include "door.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "crowd.h"

namespace petrel::hostile {

namespace {

constexpr std::size_t kPieceBytes = 16'384;
constexpr std::size_t kInputBytes = 65'536;
constexpr std::string_view kUpgrade =
    "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

std::shared_ptr<SSL_CTX> client_context() {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

std::uint64_t big_endian(BytesView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value = value << 8 | byte_at(bytes, i);
  return value;
}

}  // namespace

Door::Door(std::uint16_t listening, std::string_view kind)
    : port(listening),
      websocket(kind.starts_with("ws")),
      tls(kind == "tls" || kind == "wss" ? client_context() : nullptr) {}

Channel::Channel(int fd, const Door& door, Manners manners, std::uint64_t seed)
    : fd_(fd), websocket_(door.websocket), proper_(manners == Manners::kProper || !door.layered()) {
  if (manners == Manners::kBare) websocket_ = false;
  if (manners == Manners::kBent && door.layered()) bend_ = seed | 1;
  if (manners == Manners::kBare || door.tls == nullptr) return;
  tls_ = SSL_new(door.tls.get());
  SSL_set_bio(tls_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(tls_);
}

Channel::~Channel() {
  SSL_free(tls_);
  ::close(fd_);
}

void Channel::begin() { advance_handshakes(); }

void Channel::advance_handshakes() {
  if (established_) return;
  if (tls_ != nullptr && !SSL_is_init_finished(tls_)) {
    const int result = SSL_do_handshake(tls_);
    seal();
    if (result != 1) {
      if (SSL_get_error(tls_, result) != SSL_ERROR_WANT_READ) broken_ = true, error_ = EPROTO;
      return;
    }
  }
  if (!websocket_) {
    established_ = true;
  } else if (!upgraded_) {
    upgraded_ = true;
    hold(kUpgrade);
  }
}

// Takes bytes for the socket, sealed where there is TLS.
void Channel::hold(BytesView bytes) {
  if (tls_ == nullptr) {
    held_ += bytes;
    return;
  }
  if (SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size())) <= 0) broken_ = true, error_ = EPROTO;
  seal();
}

void Channel::seal() {
  std::array<char, kPieceBytes> sealed;
  for (int count = 0; (count = BIO_read(SSL_get_wbio(tls_), sealed.data(), static_cast<int>(sealed.size()))) > 0;)
    held_.append(sealed.data(), static_cast<std::size_t>(count));
}

void Channel::hold_frame(BytesView payload) {
  std::string frame = "\x82";
  const std::size_t size = payload.size();
  if (size < 126) {
    frame += static_cast<char>(0x80 | size);
  } else {
    frame += "\xfe";
    frame += static_cast<char>(size >> 8);
    frame += static_cast<char>(size);
  }
  constexpr std::string_view kMask = "\x5a\xa5\x3c\xc3";
  frame += kMask;
  for (std::size_t i = 0; i < size; ++i) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  hold(frame);
}

bool Channel::flush() {
  while (!held_.empty() && !broken_) {
    const ssize_t sent = ::send(fd_, held_.data(), held_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      broken_ = true;
      error_ = errno;
    } else {
      held_.erase(0, static_cast<std::size_t>(sent));
    }
  }
  return !broken_;
}

ssize_t Channel::send(BytesView bytes) {
  if (tls_ == nullptr && !websocket_ && bend_ == 0)
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (!flush()) {
    errno = error_;
    return -1;
  }
  if (!established_ || !held_.empty()) {
    errno = EAGAIN;
    return -1;
  }
  const BytesView piece = bytes.substr(0, kPieceBytes);
  websocket_ ? hold_frame(piece) : hold(piece);
  if (bend_ != 0) {
    RandomSource random(bend_);
    bend_ = random.next() | 1;
    if (random.one_in(8) && !held_.empty()) {
      char& bent = held_[random.below(held_.size())];
      bent = static_cast<char>(bent ^ (1 << random.below(8)));
    }
  }
  if (!flush()) {
    errno = error_;
    return -1;
  }
  return static_cast<ssize_t>(piece.size());
}

ssize_t Channel::receive(std::span<char> into) {
  if (tls_ == nullptr && !websocket_) return recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
  if (const ssize_t count = take_plain(into); count > 0) return count;
  const bool more = !ended_ && take_input();
  if (const ssize_t count = take_plain(into); count > 0) return count;
  if (broken_ || (ended_ && more)) {
    errno = error_;
    return broken_ ? -1 : 0;
  }
  if (ended_) return 0;
  errno = EAGAIN;
  return -1;
}

ssize_t Channel::take_plain(std::span<char> into) {
  const std::size_t count = std::min(into.size(), plain_.size());
  std::copy_n(plain_.begin(), count, into.begin());
  plain_.erase(0, count);
  return static_cast<ssize_t>(count);
}

// Reads the socket once, and takes apart what came. False: nothing came.
bool Channel::take_input() {
  std::array<char, kInputBytes> buffer;
  const ssize_t count = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0) {
    if (errno != EAGAIN) broken_ = true, error_ = errno;
    return false;
  }
  if (count == 0) {
    ended_ = true;
    return true;
  }
  std::string& below = websocket_ ? frames_ : plain_;
  if (tls_ == nullptr) {
    below.append(buffer.data(), static_cast<std::size_t>(count));
  } else {
    BIO_write(SSL_get_rbio(tls_), buffer.data(), static_cast<int>(count));
    advance_handshakes();
    int got = 0;
    while (!broken_ && (got = SSL_read(tls_, buffer.data(), static_cast<int>(buffer.size()))) > 0)
      below.append(buffer.data(), static_cast<std::size_t>(got));
    if (!broken_ && SSL_get_error(tls_, got) == SSL_ERROR_ZERO_RETURN) ended_ = true;
    if (!broken_ && SSL_get_error(tls_, got) == SSL_ERROR_SSL) broken_ = true, error_ = EPROTO;
    seal();
  }
  if (websocket_ && !take_frames()) broken_ = true, error_ = EPROTO;
  flush();
  return true;
}

// False when the broker does not speak WebSocket.
bool Channel::take_frames() {
  if (!established_) {
    const std::size_t end = frames_.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    if (!frames_.starts_with("HTTP/1.1 101")) return false;
    frames_.erase(0, end + 4);
    established_ = true;
  }
  for (;;) {
    if (frames_.size() < 2) return true;
    const std::uint8_t first = byte_at(frames_, 0), length = byte_at(frames_, 1);
    if ((length & 0x80) != 0) return false;
    const std::size_t head = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (frames_.size() < head) return true;
    const std::uint64_t size = head == 2 ? length : big_endian(BytesView(frames_).substr(2, head - 2));
    if (frames_.size() < head + size) return true;
    switch (first & 0x0f) {
      case 0:
      case 2:
        plain_.append(frames_, head, size);
        break;
      case 8:
        ended_ = true;
        return true;
      case 9:
      case 10:
        break;
      default:
        return false;
    }
    frames_.erase(0, head + size);
  }
}

}  // namespace petrel::hostile
