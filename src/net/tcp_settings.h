// What the system is told about TCP for a listener's connections, with weak links in mind. A connection inherits nearly
// all of it from the listening socket, which costs no system call; only what depends on the client's keep alive may
// take one or two when its CONNECT has come.
//
// Threads: any; the functions keep nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace petrel::net {

struct TcpSettings {
  std::string congestion_control{};    // empty: the system's
  std::uint32_t max_unsent_bytes = 0;  // that the system takes beyond what is on its way; 0: as many as it likes
  std::uint32_t fast_open_queue = 0;   // connections that may have sent data with their first packet; 0: none may
  bool quick_resend = false;           // a lone lost packet is sent again at a steady pace, not ever more slowly
  // Within these a link counts as dead that takes nothing; of the longest 0: as the system thinks (a quarter of an
  // hour), and clients without a keep alive are not probed.
  std::uint32_t dead_link_min_s = 30, dead_link_max_s = 300;
};

// For the keep alive that most clients have: connections inherit it.
inline constexpr std::uint16_t kUsualKeepAliveS = 60;

// How long what was sent may lie unacknowledged (TCP_USER_TIMEOUT): as long as the client may be silent, one and a half
// keep alives [MQTT-3.1.2-24], within the bounds. Less would cut off clients that come back in time. 0: no timeout.
std::uint32_t user_timeout_ms(const TcpSettings& settings, std::uint16_t keep_alive_s);

// Tells a TCP socket that is going to listen. The error names what the system does not have, and what it has.
Result<void, std::string> prepare_listening(int fd, const TcpSettings& settings);

// Tells an accepted socket what its client's keep alive changes: nothing where it is the usual one.
void adapt_to_keep_alive(int fd, const TcpSettings& settings, std::uint16_t keep_alive_s);

// What `congestion_control` may be. Empty: the system does not tell.
std::vector<std::string> congestion_controls();
// Why the system would not use one; empty: it would.
std::string congestion_control_mistake(const std::string& name);
// Whether the system lets servers take part in TCP Fast Open (net.ipv4.tcp_fastopen).
bool allows_fast_open();

}  // namespace petrel::net
