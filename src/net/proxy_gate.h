// Between a listener and whoever takes its connections: where those wait whose PROXY header is under way. The header is
// read to its last byte and no further, so that what takes the descriptor (TLS, WebSocket, MQTT) finds its own first
// byte there, and nothing of this is left on the way of the connection's bytes.
//
// A connection that ends before its first byte ends silently: proxies look in this way whether somebody listens.
//
// Threads: the loop's. The loop and the ranges outlive the gate.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "base/time.h"
#include "net/address_ranges.h"
#include "net/event_loop.h"
#include "net/proxy_header.h"

namespace petrel::net {

class ProxyGate {
 public:
  // At once; a proxy sends its header with its first packet.
  static constexpr std::size_t kMostWaiting = 4096;

  // `since`: when the connection came.
  using Passed = std::function<void(int fd, const ProxyHeader& header, TimeMs since)>;
  // The gate closes the descriptor.
  using Refused = std::function<void(int fd, std::string_view why)>;

  // Only peers in `trusted` are listened to, for `timeout_ms`.
  ProxyGate(EventLoop& loop, const AddressRanges& trusted, TimeMs timeout_ms, Passed passed, Refused refused);
  ~ProxyGate();
  ProxyGate(const ProxyGate&) = delete;
  ProxyGate& operator=(const ProxyGate&) = delete;

  // Takes a descriptor that has just been accepted.
  void take(int fd, TimeMs now);
  // Ends those that take too long.
  void advance(TimeMs now);
  TimeMs next_deadline() const { return waiting_.empty() ? kNever : waiting_.front().since + timeout_ms_; }
  std::size_t waiting() const { return waiting_.size(); }
  void close();

 private:
  struct Waiting final : EventHandler {
    Waiting(ProxyGate& g, int f, TimeMs s) : gate(g), fd(f), since(s) {}
    void on_events(std::uint32_t events) override;
    ProxyGate& gate;
    int fd;
    TimeMs since;
    std::string received;
    bool registered = false;
    std::list<Waiting>::iterator place;
  };
  enum class Read : std::uint8_t { kMore, kDone, kEnded };
  void proceed(Waiting& waiting);
  Read read(Waiting& waiting, ProxyHeader& header, std::string& why);
  void refuse(int fd, std::string_view why);
  void forget(Waiting& waiting);

  EventLoop& loop_;
  const AddressRanges& trusted_;
  const TimeMs timeout_ms_;
  Passed passed_;
  Refused refused_;
  std::list<Waiting> waiting_;  // by time
};

}  // namespace petrel::net
