#include "net/tls_transport.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "base/bytes.h"
#include "base/release_memory.h"
#include "net/tls_callbacks.h"
#include "net/tls_identity.h"

namespace petrel::net {

namespace {

constexpr std::size_t kRecordBytes = 16'384;
// What one system call takes at most: further records are sealed when these are sent.
constexpr std::size_t kBatchBytes = 4 * kRecordBytes;
// What its records' headers and tags take, or more.
constexpr std::size_t kBatchSealBytes = 512;

// Small pieces are gathered into one record; long ones are sealed from where they lie.
class Records {
 public:
  explicit Records(std::span<const iovec> pieces) : pieces_(pieces) {}
  std::size_t bytes() const {
    return std::accumulate(pieces_.begin(), pieces_.end(), std::size_t{0},
                           [](std::size_t sum, const iovec& piece) { return sum + piece.iov_len; });
  }
  // The next record's plaintext; empty at the end. Stays until consume().
  BytesView next() {
    skip_empty();
    if (index_ == pieces_.size()) return {};
    const BytesView first = rest_of(index_, at_);
    if (first.size() >= kRecordBytes || index_ + 1 == pieces_.size()) return first.substr(0, kRecordBytes);
    std::size_t size = 0;
    std::size_t at = at_;
    for (std::size_t i = index_; i < pieces_.size() && size < kRecordBytes; ++i, at = 0)
      size += rest_of(i, at).copy(gathered_.data() + size, kRecordBytes - size);
    return {gathered_.data(), size};
  }
  void consume(std::size_t bytes) {
    while (bytes != 0) {
      const std::size_t step = std::min(bytes, pieces_[index_].iov_len - at_);
      at_ += step;
      bytes -= step;
      if (bytes != 0) skip_empty();
    }
  }

 private:
  BytesView rest_of(std::size_t index, std::size_t at) const {
    return BytesView(static_cast<const char*>(pieces_[index].iov_base), pieces_[index].iov_len).substr(at);
  }
  void skip_empty() {
    for (; index_ < pieces_.size() && at_ == pieces_[index_].iov_len; ++index_) at_ = 0;
  }

  std::span<const iovec> pieces_;
  std::size_t index_ = 0, at_ = 0;
  std::array<char, kRecordBytes> gathered_;
};

}  // namespace

// --- what OpenSSL reads from and writes to

struct TlsTransport::Bio {
  static TlsTransport& transport_of(BIO* bio) { return *static_cast<TlsTransport*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* data, std::size_t size, std::size_t* taken) {
    TlsTransport& transport = transport_of(bio);
    BIO_clear_retry_flags(bio);
    *taken = 0;
    ssize_t n = -1;
    if (!transport.drained_) {
      do n = recv(transport.fd_, data, size, 0);
      while (n < 0 && errno == EINTR);
      if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        transport.error_ = errno;
        return 0;
      }
      transport.at_end_ = n == 0;
      if (n == 0) return 0;
      if (n > 0) transport.taken_bytes_ += static_cast<std::uint32_t>(n);
      transport.drained_ = n < 0 || static_cast<std::size_t>(n) < size || transport.taken_bytes_ >= kMaxTakenBytes;
    }
    if (n < 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    *taken = static_cast<std::size_t>(n);
    return 1;
  }
  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* taken) {
    BIO_clear_retry_flags(bio);
    transport_of(bio).outgoing_.append(data, size);
    *taken = size;
    return 1;
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    return command == BIO_CTRL_EOF && transport_of(bio).at_end_ ? 1 : 0;
  }
  static const BIO_METHOD* method() {
    // Made once and never changed; OpenSSL wants it to stay for the life of the process.
    static const BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "petrel socket");
      BIO_meth_set_read_ex(made, read);
      BIO_meth_set_write_ex(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return kMethod;
  }
};

TlsTransport::TlsTransport(int fd, std::shared_ptr<const TlsContext> context, PlaceLimit::Place place)
    : fd_(fd), context_(std::move(context)), ssl_(context_->new_connection()), place_(std::move(place)) {
  BIO* const bio = ssl_ == nullptr ? nullptr : BIO_new(Bio::method());
  if (bio == nullptr) {
    fail(ENOMEM, 0);
    return;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
}

TlsTransport::~TlsTransport() {
  SSL_free(ssl_);
  close(fd_);
}

// --- reading

IoResult TlsTransport::read_some(std::span<const iovec> into) {
  has_buffered_ = false;
  if (state_ != State::kOpen) return state_result();
  drained_ = false;
  taken_bytes_ = 0;
  const std::size_t bytes = read_records(into);
  // Handshakes, alerts and new keys are answered at once.
  if (!outgoing_.empty()) {
    const IoResult sent = send_outgoing();
    if (sent.status == IoStatus::kError && state_ == State::kOpen) fail(sent.error, 0);
    if (outgoing_.size() > kMaxUnsentBytes && state_ == State::kOpen) fail(ENOBUFS, 0);
  }
  if (state_ != State::kOpen) has_buffered_ = bytes != 0;
  if (bytes != 0) return {bytes, IoStatus::kOk, 0};
  return state_result();
}

std::size_t TlsTransport::read_records(std::span<const iovec> into) {
  std::size_t total = 0;
  ERR_clear_error();
  for (const iovec& piece : into) {
    for (std::size_t at = 0; at < piece.iov_len;) {
      std::size_t taken = 0;
      const int done = SSL_read_ex(ssl_, static_cast<char*>(piece.iov_base) + at, piece.iov_len - at, &taken);
      if (!established_ && SSL_is_init_finished(ssl_) == 1) handshake_over();
      if (done != 1) {
        take_failure(SSL_get_error(ssl_, done));
        return total;
      }
      if (state_ != State::kOpen) return total;
      at += taken;
      total += taken;
    }
  }
  // The room is full: the socket may have given more than what fitted.
  has_buffered_ = SSL_has_pending(ssl_) == 1;
  return total;
}

void TlsTransport::handshake_over() {
  established_ = true;
  place_.release();
  TlsCallbacks::forget_claim(ssl_);
  // A ticket spares the client showing its certificate again, not the certificate's end.
  const X509* const certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr || SSL_session_reused(ssl_) == 0) return;
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    SSL_set_verify_result(ssl_, X509_V_ERR_CERT_HAS_EXPIRED);
    fail(EPROTO, ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED));
  }
}

void TlsTransport::take_failure(int ssl_error) {
  if (state_ != State::kOpen) return;
  if (ssl_error == SSL_ERROR_WANT_READ) return;
  if (ssl_error == SSL_ERROR_ZERO_RETURN || (ssl_error == SSL_ERROR_SYSCALL && at_end_)) {
    state_ = State::kEnded;
    return;
  }
  if (ssl_error == SSL_ERROR_SYSCALL) return fail(error_ == 0 ? EPROTO : error_, 0);
  fail(EPROTO, ERR_peek_error());
}

void TlsTransport::fail(int error, unsigned long reason) {
  state_ = State::kFailed;
  error_ = error;
  reason_ = reason;
  place_.release();
}

IoResult TlsTransport::state_result() const {
  if (state_ == State::kEnded) return {0, IoStatus::kEnd, 0};
  if (state_ == State::kFailed) return {0, IoStatus::kError, error_};
  return {0, IoStatus::kWouldBlock, 0};
}

// --- writing

IoResult TlsTransport::write_some(std::span<const iovec> from) {
  if (state_ == State::kFailed) return state_result();
  if (end_after_) return {0, IoStatus::kError, EPIPE};
  if (!established_) return {0, IoStatus::kWouldBlock, 0};
  if (!outgoing_.empty())
    if (const IoResult sent = send_outgoing(); sent.status != IoStatus::kOk) return sent;
  Records records(from);
  outgoing_.reserve(std::min(records.bytes(), kBatchBytes) + kBatchSealBytes);
  std::size_t total = 0;
  ERR_clear_error();
  for (BytesView record = records.next(); !record.empty(); record = records.next()) {
    std::size_t taken = 0;
    const int done = SSL_write_ex(ssl_, record.data(), record.size(), &taken);
    if (done != 1) {
      take_failure(SSL_get_error(ssl_, done));
      return {total, state_ == State::kFailed ? IoStatus::kError : IoStatus::kWouldBlock, error_};
    }
    records.consume(taken);
    total += taken;
    if (outgoing_.size() < kBatchBytes) continue;
    const IoResult sent = send_outgoing();
    if (sent.status == IoStatus::kError) return sent;
    if (sent.status == IoStatus::kWouldBlock) return {total, IoStatus::kOk, 0};
  }
  const IoResult sent = send_outgoing();
  if (sent.status == IoStatus::kError) return sent;
  return {total, IoStatus::kOk, 0};
}

// One system call.
IoResult TlsTransport::send_outgoing() {
  ssize_t n = 0;
  do n = send(fd_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, IoStatus::kWouldBlock, 0};
    return {0, IoStatus::kError, errno};
  }
  if (static_cast<std::size_t>(n) < outgoing_.size()) {
    outgoing_.erase(0, static_cast<std::size_t>(n));
    return {0, IoStatus::kWouldBlock, 0};
  }
  release_memory(outgoing_);
  if (end_after_) shutdown(fd_, SHUT_WR);
  return {};
}

IoResult TlsTransport::write_pending() { return outgoing_.empty() ? IoResult{} : send_outgoing(); }

void TlsTransport::end_writing() {
  if (end_after_) return;
  end_after_ = true;
  if (established_ && state_ != State::kFailed) {
    ERR_clear_error();
    SSL_shutdown(ssl_);  // close_notify
  }
  if (outgoing_.empty()) {
    shutdown(fd_, SHUT_WR);
  } else {
    (void)send_outgoing();
  }
}

// --- about the peer

PeerIdentity TlsTransport::identity() const {
  return established_ && state_ != State::kFailed ? identity_of(ssl_) : PeerIdentity{};
}

std::string TlsTransport::failure(const IoResult& result) const {
  if (reason_ == 0) return Transport::failure(result);
  const std::string why = tls_failure(ssl_, reason_, established_);
  const std::string key = TlsCallbacks::claimed_key(ssl_);
  return key.empty() ? why : fmt::format("{} ({})", why, key);
}

}  // namespace petrel::net
