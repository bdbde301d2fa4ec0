// What a [[listener]] of the configuration means in the terms of net/ and broker/, and what is wrong with it.
// Threads: pure, any (files are looked at: only at start and on reload).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/connection.h"
#include "broker/settings.h"
#include "http/server.h"
#include "net/address.h"
#include "net/address_ranges.h"
#include "net/peer_identity.h"
#include "net/tcp_settings.h"
#include "net/tls_context.h"
#include "net/websocket_handshake.h"
#include "server/config.h"

namespace petrel::server {

net::TlsSettings tls_settings(const ListenerConfig& listener, const net::Endpoint& endpoint);
net::WebSocketSettings websocket_settings(const ListenerConfig& listener, const net::Endpoint& endpoint);
net::TcpSettings tcp_settings(const ListenerConfig& listener);
net::IdentityFrom identity_from(const ListenerConfig& listener);
bool speaks_proxy(const ListenerConfig& listener);
// Precondition: listener_mistakes() has found nothing wrong.
net::AddressRanges trusted_ranges(const ListenerConfig& listener);
// The files that a TLS listener is made of, and folders of such.
std::vector<std::string> listener_files(const ListenerConfig& listener);
// `endpoint` as it is bound: its name is for logs.
broker::ListenerPolicy listener_policy(const ListenerConfig& listener, const net::Endpoint& endpoint,
                                       broker::SysAccess sys_access);
http::Site http_site(const ListenerConfig& listener, const net::Endpoint& endpoint);

struct ListenerMistake {
  std::string_view key;  // of those concerned the one to look at; the listener's own may lack it
  std::string what;
};
// What is wrong between a listener's keys and with the files they name, each with what to write instead.
std::vector<ListenerMistake> listener_mistakes(const ListenerConfig& listener, const net::Endpoint& endpoint);

}  // namespace petrel::server
