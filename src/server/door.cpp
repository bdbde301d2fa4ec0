#include "server/door.h"

#include "net/tls_transport.h"
#include "net/told_transport.h"
#include "net/websocket_transport.h"
#include "server/listener_settings.h"

namespace petrel::server {

namespace {

// A ticket opens for one to two of these.
constexpr TimeMs kTicketPeriodMs = TimeMs{2} * 3600 * 1000;

}  // namespace

Door::Door(const ListenerConfig& listener, const net::Endpoint& endpoint, broker::SysAccess sys_access,
           std::size_t shards)
    : endpoint_(endpoint),
      policy_(listener_policy(listener, endpoint, sys_access)),
      websocket_(websocket_settings(listener, endpoint)),
      identity_from_(server::identity_from(listener)),
      speaks_proxy_(speaks_proxy(listener)),
      believes_names_(!endpoint.is_tls() && listener.client_certificates != "none"),
      files_(endpoint.is_tls() && listener.watch.value_or(true) ? listener_files(listener)
                                                                : std::vector<std::string>()),
      tcp_(tcp_settings(listener)),
      places_(static_cast<std::uint32_t>(listener.max_connections)),
      handshakes_(static_cast<std::uint32_t>(listener.max_handshakes)),
      traffic_(shards) {}

Result<std::unique_ptr<Door>, std::string> Door::create(const ListenerConfig& listener, const net::Endpoint& endpoint,
                                                        broker::SysAccess sys_access, std::size_t shards) {
  std::unique_ptr<Door> door(new Door(listener, endpoint, sys_access, shards));
  if (!endpoint.is_tls()) return door;
  door->tls_settings_ = tls_settings(listener, endpoint);
  if (listener.tickets.value_or(true)) door->ticket_keys_ = std::make_shared<net::TicketKeys>(kTicketPeriodMs);
  door->tls_settings_.ticket_keys = door->ticket_keys_;
  auto context = net::TlsContext::create(door->tls_settings_);
  if (!context.has_value()) return context.error().what;
  door->tls_ = std::make_unique<net::TlsContextHolder>(std::move(*context));
  return door;
}

Door::Entered Door::enter(int fd, TimeMs now, const net::ProxyHeader* header) {
  const auto refused = [this](std::string_view why) {
    count_refused();
    return Entered{nullptr, {}, why};
  };
  Entered entered{nullptr, places_.enter(), {}};
  if (!entered.place) return refused("max_connections of the listener is reached");
  net::PlaceLimit::Place handshake;
  if (tls_ != nullptr) {
    handshake = handshakes_.enter();
    if (!handshake) return refused("max_handshakes of the listener is reached");
    if (ticket_keys_ != nullptr && now >= ticket_keys_->next_rotation()) ticket_keys_->advance(now);
  }
  entered.transport = make_transport(fd, std::move(handshake), header);
  accepted_.fetch_add(1, std::memory_order_relaxed);
  return entered;
}

// What a proxy may tell is only kept of connections that may come from one.
template <class Base, class... Arguments>
std::unique_ptr<net::Transport> Door::make_lowest(const net::ProxyHeader* header, Arguments&&... arguments) const {
  if (header == nullptr && websocket_.trusted.empty())
    return std::make_unique<Base>(std::forward<Arguments>(arguments)...);
  return std::make_unique<net::ToldTransport<Base>>(header, std::forward<Arguments>(arguments)...);
}

std::unique_ptr<net::Transport> Door::make_transport(int fd, net::PlaceLimit::Place handshake,
                                                     const net::ProxyHeader* header) const {
  net::ProxyHeader told;
  if (header != nullptr) {
    told = *header;
    if (!believes_names_) told.common_name.clear();
    header = &told;
  }
  auto transport = tls_ == nullptr ? make_lowest<net::TcpTransport>(header, fd)
                                   : make_lowest<net::TlsTransport>(header, fd, tls_->get(), std::move(handshake));
  if (!endpoint_.is_websocket()) return transport;
  return std::make_unique<net::WebSocketTransport>(std::move(transport), websocket_);
}

Result<void, std::string> Door::reload() {
  if (tls_ == nullptr) return {};
  if (const auto reloaded = tls_->reload(tls_settings_); !reloaded.has_value()) return reloaded.error().what;
  return {};
}

std::vector<std::string> Door::warnings() const {
  std::vector<std::string> warnings;
  if (tls_ != nullptr) warnings = tls_->get()->warnings();
  if (tcp_.fast_open_queue != 0 && !net::allows_fast_open())
    warnings.emplace_back("the system lets no server use TCP Fast Open; sysctl net.ipv4.tcp_fastopen=3 would");
  return warnings;
}

}  // namespace petrel::server
