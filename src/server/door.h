// A listener at work: what is made of a descriptor that comes through it, by whose files, how many at a time, and what
// the broker is to know of it.
//
// Threads: any; each member guards itself or does not change. Outlives the connections that came through it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "broker/connection.h"
#include "net/address.h"
#include "net/place_limit.h"
#include "net/proxy_header.h"
#include "net/tcp_settings.h"
#include "net/tls_context.h"
#include "net/transport.h"
#include "net/websocket_handshake.h"
#include "server/config.h"

namespace petrel::server {

class Door {
 public:
  // `endpoint` is the address as it is bound. For TLS the files are read.
  static Result<std::unique_ptr<Door>, std::string> create(const ListenerConfig& listener,
                                                           const net::Endpoint& endpoint, broker::SysAccess sys_access,
                                                           std::size_t shards = 1);

  const net::Endpoint& endpoint() const { return endpoint_; }
  const std::string& name() const { return policy_.name; }
  const broker::ListenerPolicy& policy() const { return policy_; }
  const net::WebSocketSettings& websocket() const { return websocket_; }
  net::IdentityFrom identity_from() const { return identity_from_; }
  // A client's CONNECT has come through a connection of this door.
  void adapt_to_keep_alive(int fd, std::uint16_t keep_alive_s) const {
    if (!endpoint_.address.is_unix()) net::adapt_to_keep_alive(fd, tcp_, keep_alive_s);
  }
  // Whose connections begin with a PROXY header; null: nobody's.
  const net::AddressRanges* proxies() const { return speaks_proxy_ ? &websocket_.trusted : nullptr; }
  // Whether transports have bytes of their own to read and write.
  bool is_layered() const { return endpoint_.scheme != net::Scheme::kTcp && !endpoint_.address.is_unix(); }

  struct Entered {
    std::unique_ptr<net::Transport> transport;
    net::PlaceLimit::Place place;  // among this listener's connections
    std::string_view refusal;      // without a transport: why
  };
  // Takes the descriptor, unless it is refused. `header`: what a PROXY header has told; null: there was none.
  Entered enter(int fd, TimeMs now, const net::ProxyHeader* header = nullptr);
  // A connection ended before it could enter.
  void count_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }

  // Reads the files of TLS again; after an error nothing has changed.
  Result<void, std::string> reload();

  // What to watch for changes; nothing where that is not wanted.
  const std::vector<std::string>& files() const { return files_; }

  std::uint64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // The shard's own counters of this listener.
  broker::ListenerTraffic& traffic(std::uint32_t shard) const { return traffic_[shard]; }
  std::span<const broker::ListenerTraffic> traffic() const { return traffic_; }
  std::uint32_t connections() const { return places_.taken(); }
  std::uint32_t handshakes() const { return handshakes_.taken(); }
  // What works and yet wants attention.
  std::vector<std::string> warnings() const;

 private:
  Door(const ListenerConfig& listener, const net::Endpoint& endpoint, broker::SysAccess sys_access, std::size_t shards);
  std::unique_ptr<net::Transport> make_transport(int fd, net::PlaceLimit::Place handshake,
                                                 const net::ProxyHeader* header) const;
  template <class Base, class... Arguments>
  std::unique_ptr<net::Transport> make_lowest(const net::ProxyHeader* header, Arguments&&... arguments) const;

  const net::Endpoint endpoint_;
  const broker::ListenerPolicy policy_;
  const net::WebSocketSettings websocket_;
  const net::IdentityFrom identity_from_;
  const bool speaks_proxy_;
  const bool believes_names_;  // that a proxy tells
  const std::vector<std::string> files_;
  const net::TcpSettings tcp_;
  std::shared_ptr<net::TicketKeys> ticket_keys_;
  net::TlsSettings tls_settings_;
  std::unique_ptr<net::TlsContextHolder> tls_;
  net::PlaceLimit places_, handshakes_;
  mutable std::vector<broker::ListenerTraffic> traffic_;  // by shard
  std::atomic<std::uint64_t> accepted_{0}, refused_{0};
};

}  // namespace petrel::server
