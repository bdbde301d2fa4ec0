// What the clients of a run did and saw, and the rules that it must obey (MQTT 5.0, 4.1 to 4.8). A broken rule is
// thrown as a Violation.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "wire/packet.h"

namespace petrel::sim {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Counts the clients' actions: the order in which things happened, as a client could know it.
using Step = std::uint64_t;
inline constexpr Step kNotYet = ~Step{0};
// Message Expiry Interval of those that have one.
inline constexpr TimeMs kExpiryMs = 5000;

struct Publication {
  int publisher = 0;
  std::string topic;
  wire::Qos qos = wire::Qos::k0;
  bool retain = false, clears = false, may_expire = false;
  Step sent_at = 0;
  Step acknowledged_at = kNotYet;
  TimeMs sent_at_ms = 0;
  int attempts = 0;  // how often it was sent
  std::size_t padding_bytes = 0;
  bool refused = false;
  bool acknowledged() const { return acknowledged_at != kNotYet; }
};

// A subscription as its client knows it.
struct SubscriptionSpan {
  std::string filter;
  wire::Qos granted = wire::Qos::k0;
  Step active_since = kNotYet;  // its SUBACK came
  Step ended_at = kNotYet;      // its UNSUBSCRIBE was sent, or its session ended
  Step gone_at = kNotYet;       // its UNSUBACK came: nothing published later may come
};

struct WillRecord {
  int client = 0;
  enum class Due : std::uint8_t { kPerhaps, kYes } due = Due::kPerhaps;
  int seen = 0;
  // Given up by a DISCONNECT in this life of the broker, which reads it unless it is killed; -1: not so.
  int given_up_in_life = -1;
};

struct History {
  std::vector<Publication> publications;
  std::vector<WillRecord> wills;

  // Whether a subscription must bring a publication.
  static bool must_bring(const SubscriptionSpan& span, const Publication& publication) {
    return publication.acknowledged() && !publication.may_expire && publication.qos != wire::Qos::k0 &&
           span.granted != wire::Qos::k0 && span.active_since < publication.sent_at &&
           publication.acknowledged_at < span.ended_at;
  }
  // A payload is the publication's index, behind which a large one has spaces.
  std::string payload_of(std::size_t index) const {
    return std::to_string(index) + std::string(publications[index].padding_bytes, ' ');
  }
  std::size_t index_of(std::string_view payload) const {
    std::size_t index = 0;
    for (const char c : payload.substr(0, payload.find(' '))) {
      if (c < '0' || c > '9') throw Violation("a payload that nobody sent: " + std::string(payload));
      index = index * 10 + static_cast<std::size_t>(c - '0');
    }
    if (index >= publications.size() || payload != payload_of(index))
      throw Violation("a payload that nobody sent: " + std::string(payload));
    return index;
  }
};

}  // namespace petrel::sim
