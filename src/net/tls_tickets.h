// The keys that session tickets are sealed with. All shards share them, and they outlive a reload, so that a client who
// reconnects, wherever, is spared a round trip (TLS 1.2) and the signature. The newest key seals; the one before it
// still opens, so a ticket lives for one to two periods.
//
// Threads: any.
#pragma once

#include <array>
#include <mutex>
#include <optional>

#include "base/time.h"

namespace petrel::net {

class TicketKeys {
 public:
  struct Key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher;
    std::array<unsigned char, 32> mac;
  };

  explicit TicketKeys(TimeMs period_ms);
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // To be told the time now and then by one of the shards, or by all. The first time counts as the beginning.
  void advance(TimeMs now);
  // When advance() has something to do; 0 before the first call.
  TimeMs next_rotation() const;

  // The key that seals.
  Key current() const;
  struct Found {
    Key key;
    bool is_current = false;
  };
  std::optional<Found> find(const unsigned char* name) const;

 private:
  static Key make_key();

  const TimeMs period_ms_;
  mutable std::mutex mutex_;
  Key current_;
  std::optional<Key> previous_;
  TimeMs next_rotation_ = 0;
};

}  // namespace petrel::net
