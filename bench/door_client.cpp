#include "door_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace petrel::bench {

namespace {

constexpr std::string_view kUpgrade =
    "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
constexpr std::array<char, 4> kMask{0x37, 0x5a, 0x21, 0x3d};
constexpr std::size_t kReadBytes = 65'536;

std::string with_length(std::string_view text) {
  std::string out{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xff)};
  return out += text;
}

std::string packet(int first, std::string_view body) {
  std::string out(1, static_cast<char>(first));
  std::size_t left = body.size();
  do {
    out += static_cast<char>((left & 127) | (left > 127 ? 128 : 0));
    left >>= 7;
  } while (left != 0);
  out += body;
  return out;
}

int byte_of(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

}  // namespace

void fail(std::string_view why) {
  std::fprintf(stderr, "door_load: %.*s\n", static_cast<int>(why.size()), why.data());
  std::_Exit(2);
}

DoorClient::DoorClient(int epoll, const Door& door, SSL_SESSION* resume,
                       std::function<void(DoorClient&, unsigned char, std::string_view)> on_packet)
    : epoll_(epoll), websocket_(door.websocket), on_packet_(std::move(on_packet)) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail("too few descriptors: ulimit -n");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(door.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
    fail(std::strerror(errno));
  if (door.tls != nullptr) {
    ssl_ = SSL_new(door.tls);
    SSL_set_fd(ssl_, fd_);
    SSL_set_connect_state(ssl_);
    if (resume != nullptr) {
      // A copy: OpenSSL uses a session of TLS 1.3 once.
      SSL_SESSION* const copy = SSL_SESSION_dup(resume);
      SSL_set_session(ssl_, copy);
      SSL_SESSION_free(copy);
    }
  }
  epoll_event event{EPOLLIN | EPOLLOUT, {.ptr = this}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event) != 0) fail(std::strerror(errno));
}

DoorClient::~DoorClient() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (fd_ >= 0) close(fd_);
}

void DoorClient::abort() {
  const linger none{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  // Or OpenSSL takes the session for broken and does not resume it.
  if (ssl_ != nullptr) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  close(std::exchange(fd_, -1));
}

void DoorClient::watch(bool writable) {
  if (std::exchange(watching_output_, writable) == writable) return;
  epoll_event event{EPOLLIN | (writable ? static_cast<std::uint32_t>(EPOLLOUT) : 0U), {.ptr = this}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_, &event);
}

void DoorClient::on_events() {
  if (stage_ != Stage::kOpen) advance();
  if (stage_ >= Stage::kUpgrade) read();
  if (fd_ >= 0 && !out_.empty()) write();
}

// Up to the point from where MQTT can be spoken, or the other side has to say something.
void DoorClient::advance() {
  if (stage_ == Stage::kConnect) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) fail(std::strerror(error));
    stage_ = Stage::kTls;
  }
  if (stage_ == Stage::kTls) {
    if (ssl_ != nullptr) {
      const int done = SSL_do_handshake(ssl_);
      if (done != 1) {
        const int why = SSL_get_error(ssl_, done);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
          fail(std::string("handshake: ") + ERR_error_string(ERR_peek_error(), nullptr));
        return watch(why == SSL_ERROR_WANT_WRITE);
      }
    }
    stage_ = Stage::kUpgrade;
    if (websocket_) {
      out_ = kUpgrade;
      return write();
    }
  }
  if (stage_ == Stage::kUpgrade && !websocket_) {
    stage_ = Stage::kOpen;
    watch(false);
    if (on_ready) on_ready(*this);
  }
}

long DoorClient::read_some(char* to, std::size_t size) {
  if (ssl_ == nullptr) {
    const ssize_t n = recv(fd_, to, size, 0);
    if (n == 0) fail("the broker has closed a connection");
    if (n < 0 && errno != EAGAIN) fail(std::strerror(errno));
    return n;
  }
  const int n = SSL_read(ssl_, to, static_cast<int>(size));
  if (n > 0) return n;
  const int why = SSL_get_error(ssl_, n);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) fail("the broker has closed a TLS connection");
  return -1;
}

void DoorClient::read() {
  static std::array<char, kReadBytes> room;
  for (;;) {
    const long n = read_some(room.data(), room.size());
    if (n <= 0) return;
    (websocket_ ? received_ : packets_).append(room.data(), static_cast<std::size_t>(n));
    if (websocket_) unframe();
    cut_packets();
    if (fd_ < 0 || (ssl_ == nullptr && static_cast<std::size_t>(n) < room.size())) return;
  }
}

void DoorClient::unframe() {
  if (stage_ == Stage::kUpgrade) {
    const std::size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    if (!received_.starts_with("HTTP/1.1 101")) fail("no WebSocket: " + received_);
    received_.erase(0, end + 4);
    stage_ = Stage::kOpen;
    if (on_ready) on_ready(*this);
  }
  std::size_t at = 0;
  for (;;) {
    const std::string_view left = std::string_view(received_).substr(at);
    if (left.size() < 2) break;
    std::size_t head = 2, size = static_cast<std::size_t>(byte_of(left, 1));
    if (size >= 126) {
      const std::size_t digits = size == 126 ? 2 : 8;
      head += digits;
      if (left.size() < head) break;
      size = 0;
      for (std::size_t i = 2; i < head; ++i) size = size << 8 | static_cast<std::size_t>(byte_of(left, i));
    }
    if (left.size() < head + size) break;
    if ((byte_of(left, 0) & 0x0f) == 8) fail("the broker has closed a WebSocket");
    packets_ += left.substr(head, size);
    at += head + size;
  }
  received_.erase(0, at);
}

void DoorClient::cut_packets() {
  std::size_t at = 0;
  while (fd_ >= 0) {
    const std::string_view left = std::string_view(packets_).substr(at);
    std::size_t size = 0, head = 1;
    int shift = 0;
    bool whole = false;
    while (head < left.size() && !whole) {
      const int byte = byte_of(left, head++);
      size |= static_cast<std::size_t>(byte & 127) << shift;
      shift += 7;
      whole = byte < 128;
    }
    if (!whole || left.size() < head + size) break;
    on_packet_(*this, static_cast<unsigned char>(left[0]), left.substr(head, size));
    at += head + size;
  }
  packets_.erase(0, at);
}

void DoorClient::put(std::string_view packet) {
  if (!websocket_) {
    out_ += packet;
    return;
  }
  out_ += '\x82';
  if (packet.size() < 126) {
    out_ += static_cast<char>(0x80 | packet.size());
  } else {
    out_ += '\xfe';
    out_ += static_cast<char>(packet.size() >> 8);
    out_ += static_cast<char>(packet.size() & 0xff);
  }
  out_.append(kMask.data(), kMask.size());
  for (std::size_t i = 0; i < packet.size(); ++i) out_ += static_cast<char>(packet[i] ^ kMask[i % 4]);
}

void DoorClient::write() {
  std::size_t at = 0;
  while (at < out_.size()) {
    const std::size_t size = std::min<std::size_t>(out_.size() - at, ssl_ == nullptr ? out_.size() : 16'384);
    const long n = ssl_ == nullptr ? send(fd_, out_.data() + at, size, MSG_NOSIGNAL)
                                   : SSL_write(ssl_, out_.data() + at, static_cast<int>(size));
    if (n <= 0) {
      const bool full =
          ssl_ == nullptr ? errno == EAGAIN : SSL_get_error(ssl_, static_cast<int>(n)) == SSL_ERROR_WANT_WRITE;
      if (!full) fail("a connection takes no more");
      break;
    }
    at += static_cast<std::size_t>(n);
  }
  out_.erase(0, at);
  watch(!out_.empty());
}

std::string connect_packet(std::string_view client_id) {
  return packet(0x10, with_length("MQTT") + std::string("\x04\x02\x00\x00", 4) + with_length(client_id));
}

std::string subscribe_packet(std::string_view filter, int qos) {
  return packet(0x82, std::string("\x00\x01", 2) + with_length(filter) + static_cast<char>(qos));
}

std::string publish_packet(std::string_view topic, int qos, std::uint16_t id, std::string_view payload) {
  std::string body = with_length(topic);
  if (qos > 0) {
    body += static_cast<char>(id >> 8);
    body += static_cast<char>(id & 0xff);
  }
  body += payload;
  return packet(0x30 | qos << 1, body);
}

std::string puback_packet(std::string_view id) { return packet(0x40, id); }

}  // namespace petrel::bench
