#include "net/tls_tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstring>
#include <stdexcept>

namespace petrel::net {

namespace {

template <std::size_t kSize>
void fill(std::array<unsigned char, kSize>& bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the system gives no randomness");
}

}  // namespace

TicketKeys::Key TicketKeys::make_key() {
  Key key;
  fill(key.name);
  fill(key.cipher);
  fill(key.mac);
  return key;
}

TicketKeys::TicketKeys(TimeMs period_ms) : period_ms_(period_ms), current_(make_key()) {}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&current_, sizeof current_);
  if (previous_) OPENSSL_cleanse(&*previous_, sizeof *previous_);
}

void TicketKeys::advance(TimeMs now) {
  const std::lock_guard lock(mutex_);
  if (next_rotation_ == 0) {
    next_rotation_ = now + period_ms_;
    return;
  }
  if (now < next_rotation_) return;
  // After a long silence the key before has had its time too.
  if (now >= next_rotation_ + period_ms_) current_ = make_key();
  previous_ = current_;
  current_ = make_key();
  next_rotation_ = now + period_ms_;
}

TimeMs TicketKeys::next_rotation() const {
  const std::lock_guard lock(mutex_);
  return next_rotation_;
}

TicketKeys::Key TicketKeys::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::optional<TicketKeys::Found> TicketKeys::find(const unsigned char* name) const {
  const std::lock_guard lock(mutex_);
  const auto is = [&](const Key& key) { return std::memcmp(key.name.data(), name, key.name.size()) == 0; };
  if (is(current_)) return Found{current_, true};
  if (previous_ && is(*previous_)) return Found{*previous_, false};
  return std::nullopt;
}

}  // namespace petrel::net
