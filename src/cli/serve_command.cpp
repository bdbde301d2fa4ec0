#include "cli/serve_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cli/version.h"
#include "net/address.h"
#include "server/config.h"
#include "server/server.h"
#include "server/store_choice.h"

namespace petrel::cli {

namespace {

constexpr int kMistake = 1, kCannotStart = 2;

std::optional<LogLevel> log_level(std::string_view name) {
  if (name == "error") return LogLevel::kError;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "info") return LogLevel::kInfo;
  if (name == "debug") return LogLevel::kDebug;
  return std::nullopt;
}

// To all listeners that speak TLS.
void apply_certificate(const ServeOptions& options, server::Config& config) {
  for (server::ListenerConfig& listener : config.listeners) {
    const auto endpoint = net::parse_endpoint(listener.address);
    if (!endpoint.has_value() || !endpoint->is_tls()) continue;
    if (options.certificate) {
      listener.certificates = {*options.certificate};
      listener.places["certificate"] = {"--certificate"};
    }
    if (options.key) {
      listener.keys = {*options.key};
      listener.places["key"] = {"--key"};
    }
  }
}

// Flags over file over defaults.
server::ConfigMistakes apply(const ServeOptions& options, server::Config& config) {
  server::ConfigMistakes mistakes;
  if (options.config_file) mistakes = server::read_config_file(*options.config_file, config);
  if (!options.listen.empty()) {
    config.listeners.clear();
    for (const std::string& address : options.listen) {
      server::ListenerConfig listener{address};
      listener.places["address"] = {"--listen"};
      if (options.allow_anonymous) listener.allow_anonymous = true;
      config.listeners.push_back(std::move(listener));
    }
  } else if (options.allow_anonymous) {
    for (server::ListenerConfig& listener : config.listeners) listener.allow_anonymous = true;
  }
  apply_certificate(options, config);
  if (options.store) {
    config.store = *options.store;
    config.places["store"] = {"--store"};
  }
  if (options.threads) config.threads = *options.threads;
  if (options.log_level) {
    if (const auto level = log_level(*options.log_level)) {
      config.log_level = *level;
    } else {
      mistakes.push_back({"--log-level", 0, 0, "write error, warning, info or debug"});
    }
  }
  if (options.log_format) {
    if (*options.log_format != "human" && *options.log_format != "json")
      mistakes.push_back({"--log-format", 0, 0, "write human or json"});
    config.log_format = *options.log_format == "json" ? LogFormat::kJson : LogFormat::kHuman;
  }
  const server::ConfigMistakes between = server::check_config(config);
  mistakes.insert(mistakes.end(), between.begin(), between.end());
  return mistakes;
}

int report(const server::ConfigMistakes& mistakes) {
  for (const server::ConfigMistake& mistake : mistakes) fmt::print(stderr, "petrel: {}\n", mistake.to_string());
  return kMistake;
}

// As many descriptors as the system lets this process have.
rlim_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

// Lets the kernel make its table of descriptors as large as it may get while this process has one thread: growing the
// table of a process with several makes each accept() at a power of two wait some 5 to 20 ms for all cores (measured:
// CONNACK p99 of a connection storm 18 to 50 ms, then 4 ms). Costs 8 bytes of kernel memory a descriptor.
void reserve_descriptor_table(rlim_t descriptors) {
  constexpr rlim_t kMost = 262'144;
  const int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(std::min(descriptors, kMost)) - 1);
  if (fd >= 0) close(fd);
}

// Lets the allocator join each block that is freed with its neighbours at once. Otherwise it leaves small ones as they
// are until a large one is freed and joins all then: hundreds of thousands under attack, 3 to 20 ms in which no thread
// gets memory (measured: p99 of others beside two floods of SUBSCRIBE 3 to 5 ms, then 0.5 to 0.9).
void free_evenly() {
#ifdef __GLIBC__
  mallopt(M_MXFAST, 0);
#endif
}

sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  return signals;
}

// Returns at the first SIGINT or SIGTERM.
void wait_for_signal(const sigset_t& signals, server::Server& server, Log& log) {
  for (;;) {
    int received = 0;
    if (sigwait(&signals, &received) != 0) continue;
    if (received == SIGHUP) {
      log.info("reading certificates and keys again", {{"signal", "SIGHUP"}});
      server.reload();
      continue;
    }
    log.info("shutting down", {{"signal", received == SIGINT ? "SIGINT" : "SIGTERM"}});
    return;
  }
}

// From now on a second signal ends the process at once.
void unblock_signals(const sigset_t& signals) {
  std::signal(SIGHUP, SIG_IGN);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace

int serve(const ServeOptions& options) {
  server::Config config;
  if (const auto mistakes = apply(options, config); !mistakes.empty()) return report(mistakes);
  if (options.print_config) {
    fmt::print("{}", server::to_toml(config));
    return 0;
  }
  Log log(stderr, config.log_level, config.log_format);
  const sigset_t signals = block_signals();
  const rlim_t descriptors = raise_descriptor_limit();
  reserve_descriptor_table(descriptors);
  free_evenly();
  config.settings.sys.version = version();
  server::Server server(config, log);
  if (const auto started = server.start(); !started.has_value()) {
    log.error("cannot start", {{"reason", started.error()}});
    return kCannotStart;
  }
  const broker::Settings& limits = server.settings();
  log.info("started", {{"version", version()},
                       {"pid", getpid()},
                       {"threads", server.thread_count()},
                       {"store", server::store_text(config)},
                       {"max_descriptors", descriptors},
                       {"max_memory_bytes", limits.max_memory_bytes},
                       {"max_packet_bytes", limits.max_packet_bytes},
                       {"max_inflight_messages", limits.max_inflight_messages},
                       {"max_queued_messages", limits.max_queued_messages},
                       {"max_output_bytes", limits.max_output_bytes}});
  if (config.store == "memory")
    log.warning("nothing outlives this process",
                {{"store", "memory"}, {"reason", "sessions, queues and retained messages are kept in memory only"}});
  wait_for_signal(signals, server, log);
  unblock_signals(signals);
  server.shut_down();
  server.wait();
  log.info("stopped");
  return 0;
}

int check_config_file(const std::string& path) {
  server::Config config;
  server::ConfigMistakes mistakes = server::read_config_file(path, config);
  const server::ConfigMistakes between = server::check_config(config);
  mistakes.insert(mistakes.end(), between.begin(), between.end());
  if (!mistakes.empty()) return report(mistakes);
  fmt::print("{}: all right\n", path);
  return 0;
}

}  // namespace petrel::cli
