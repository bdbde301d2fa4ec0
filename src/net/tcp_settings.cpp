#include "net/tcp_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace petrel::net {

namespace {

// Once a client without a keep alive has been silent for half of the time, this many probes fill the other half.
constexpr std::uint32_t kProbes = 6;
// Of net.ipv4.tcp_fastopen: servers may.
constexpr int kFastOpenServers = 2;

bool set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }
bool set_tcp(int fd, int option, std::uint32_t value) { return set(fd, IPPROTO_TCP, option, static_cast<int>(value)); }

bool set_congestion_control(int fd, const std::string& name) {
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0;
}

std::string cannot_control(const std::string& name, int error) {
  if (error == EPERM)
    return fmt::format(
        "the system keeps congestion control \"{}\" to privileged programs "
        "(net.ipv4.tcp_allowed_congestion_control)",
        name);
  return fmt::format("the system has no congestion control \"{}\"; it has {}", name,
                     fmt::join(congestion_controls(), ", "));
}

}  // namespace

std::uint32_t user_timeout_ms(const TcpSettings& settings, std::uint16_t keep_alive_s) {
  if (settings.dead_link_max_s == 0) return 0;
  const std::uint32_t most_ms = settings.dead_link_max_s * 1000;
  if (keep_alive_s == 0) return most_ms;
  const std::uint32_t least_ms = std::min(settings.dead_link_min_s * 1000, most_ms);
  return std::clamp(std::uint32_t{keep_alive_s} * 1500, least_ms, most_ms);
}

Result<void, std::string> prepare_listening(int fd, const TcpSettings& settings) {
  set_tcp(fd, TCP_NODELAY, 1);
  if (!settings.congestion_control.empty() && !set_congestion_control(fd, settings.congestion_control))
    return cannot_control(settings.congestion_control, errno);
  if (settings.max_unsent_bytes != 0) set_tcp(fd, TCP_NOTSENT_LOWAT, settings.max_unsent_bytes);
  if (settings.fast_open_queue != 0 && !set_tcp(fd, TCP_FASTOPEN, settings.fast_open_queue))
    return fmt::format("the system has no TCP Fast Open: {}", std::strerror(errno));
  if (settings.quick_resend) set_tcp(fd, TCP_THIN_LINEAR_TIMEOUTS, 1);
  if (settings.dead_link_max_s == 0) return {};
  set_tcp(fd, TCP_USER_TIMEOUT, user_timeout_ms(settings, kUsualKeepAliveS));
  // They wait until adapt_to_keep_alive() switches probing on.
  const std::uint32_t idle_s = std::max(settings.dead_link_max_s / 2, 1U);
  set_tcp(fd, TCP_KEEPIDLE, std::min(idle_s, 32'767U));
  set_tcp(fd, TCP_KEEPINTVL, std::clamp(idle_s / kProbes, 1U, 32'767U));
  set_tcp(fd, TCP_KEEPCNT, kProbes);
  return {};
}

void adapt_to_keep_alive(int fd, const TcpSettings& settings, std::uint16_t keep_alive_s) {
  if (settings.dead_link_max_s == 0) return;
  const std::uint32_t timeout_ms = user_timeout_ms(settings, keep_alive_s);
  if (timeout_ms != user_timeout_ms(settings, kUsualKeepAliveS)) set_tcp(fd, TCP_USER_TIMEOUT, timeout_ms);
  // Nobody else notices that a silent client has gone.
  if (keep_alive_s == 0) set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

std::vector<std::string> congestion_controls() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_available_congestion_control");
  std::vector<std::string> names;
  for (std::string name; file >> name;) names.push_back(name);
  return names;
}

std::string congestion_control_mistake(const std::string& name) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  std::string mistake = set_congestion_control(fd, name) ? std::string() : cannot_control(name, errno);
  ::close(fd);
  return mistake;
}

bool allows_fast_open() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_fastopen");
  int bits = 0;
  return file >> bits && (bits & kFastOpenServers) != 0;
}

}  // namespace petrel::net
