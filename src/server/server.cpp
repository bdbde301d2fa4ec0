#include "server/server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/random.h"
#include "base/thread_name.h"
#include "net/address.h"
#include "server/listener_settings.h"
#include "server/machine_memory.h"

namespace petrel::server {

namespace {

constexpr unsigned kMostShards = 1U << storage::kLaneBits;

unsigned shard_count(unsigned configured) {
  const unsigned wanted = configured != 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
  return std::min(wanted, kMostShards);
}

}  // namespace

Server::Server(Config config, Log& log, OpenStore open)
    : config_(std::move(config)), log_(log), open_store_(std::move(open)) {
  by_default_ = config_.listeners.empty();
  if (by_default_) config_.listeners = {{"tcp://127.0.0.1:1883"}, {"http://127.0.0.1:8080"}};
  broker::Settings& settings = config_.settings;
  settings.sys.id = config_.sys_id;
  if (settings.max_memory_bytes == 0) settings.max_memory_bytes = machine_memory_bytes() / 4 * 3;
}

Server::~Server() {
  shut_down();
  wait();
}

Result<void, std::string> Server::start() {
  const unsigned shards = shard_count(config_.threads);
  auto store = open_store_(config_, log_);
  if (!store.has_value()) return store.error().what;
  store_ = std::move(*store);
  shared_ = std::make_unique<broker::SharedState>(config_.settings, shards, SystemRandom().next());
  shared_->store_metrics = [store = store_.get()] { return store->metrics(); };
  shared_->store_commit_times = [store = store_.get()] { return store->commit_times(); };
  shared_->last_message_id = store_->last_message_id();
  shared_->last_session_id = store_->last_session_id();
  std::vector<ShardThread*> peers;
  for (unsigned i = 0; i < shards; ++i) {
    shards_.push_back(std::make_unique<ShardThread>(i, *shared_, *store_, log_));
    peers.push_back(shards_.back().get());
  }
  for (auto& shard : shards_) {
    shard->set_peers(peers);
    if (const auto recovered = shard->recover(*store_); !recovered.has_value())
      return "cannot read the store: " + recovered.error().what;
  }
  http_ = std::make_unique<HttpDoors>(doors_, shards_, *shared_, log_);
  if (auto opened = open_listeners(); !opened.has_value()) {
    remove_socket_files();
    http_.reset();
    shards_.clear();
    doors_.clear();
    return opened.error();
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    threads_.emplace_back([this, i] {
      name_thread(fmt::format("shard-{}", i));
      shards_[i]->run();
    });
  }
  http_->start();
  watch_files();
  return {};
}

Result<void, std::string> Server::open_listeners() {
  for (const ListenerConfig& listener : config_.listeners) {
    auto opened = open_listener(listener);
    if (opened.has_value()) continue;
    if (!by_default_ || &listener == &config_.listeners.front()) return opened;
    log_.warning("done without", {{"reason", opened.error()}});
  }
  return {};
}

Result<void, std::string> Server::open_listener(const ListenerConfig& listener) {
  const auto parsed = net::parse_endpoint(listener.address);
  if (!parsed.has_value()) return parsed.error().what;
  net::Endpoint endpoint = *parsed;
  const net::TcpSettings tcp = tcp_settings(listener);
  std::vector<int> descriptors;
  const auto give_back = [&] {
    for (const int fd : descriptors) close(fd);
  };
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    // A Unix socket cannot be shared, its connections go to the shards with their CONNECT; HTTP has a thread of its
    // own.
    if (i > 0 && (endpoint.address.is_unix() || endpoint.is_http())) break;
    const auto fd = net::listen_on(endpoint, i == 0 ? net::Claim::kFirst : net::Claim::kJoin, tcp);
    if (!fd.has_value()) {
      give_back();
      return fd.error().what;
    }
    if (!endpoint.address.is_unix()) endpoint.address = net::local_address(*fd);
    descriptors.push_back(*fd);
  }
  auto door = Door::create(listener, endpoint, config_.settings.sys.access, shards_.size());
  if (!door.has_value()) {
    give_back();
    return fmt::format("listener {}: {}", listener.address, door.error());
  }
  doors_.push_back(std::move(*door));
  Door& opened = *doors_.back();
  if (endpoint.is_http()) {
    http_->listen(descriptors.front(), opened, http_site(listener, endpoint));
  } else {
    for (std::size_t i = 0; i < descriptors.size(); ++i) shards_[i]->listen(descriptors[i], opened);
  }
  addresses_.push_back(opened.name());
  log_.info("listening",
            {{"address", opened.name()}, {"anonymous", opened.policy().allow_anonymous ? "allowed" : "refused"}});
  tell_warnings(opened);
  return {};
}

void Server::tell_warnings(const Door& door) {
  for (const std::string& warning : door.warnings())
    log_.warning("listener wants attention", {{"listener", door.name()}, {"reason", warning}});
}

void Server::remove_socket_files() {
  for (const auto& door : doors_)
    if (door->endpoint().address.is_unix()) unlink(door->endpoint().address.path().c_str());
}

void Server::reload() {
  for (const auto& door : doors_)
    if (door->endpoint().is_tls()) reload(*door, "asked for");
}

void Server::reload(Door& door, std::string_view cause) {
  const std::lock_guard lock(reload_mutex_);
  if (const auto reloaded = door.reload(); !reloaded.has_value()) {
    log_.error("listener not reloaded", {{"listener", door.name()}, {"cause", cause}, {"reason", reloaded.error()}});
    return;
  }
  log_.info("listener reloaded", {{"listener", door.name()}, {"cause", cause}});
  tell_warnings(door);
}

void Server::watch_files() {
  for (const auto& door : doors_)
    if (!door->files().empty()) watcher_.watch(door->files(), [this, &door] { reload(*door, "files have changed"); });
  if (watcher_.empty()) return;
  if (const auto started = watcher_.start(); !started.has_value())
    log_.warning("files are not watched", {{"reason", started.error()}, {"instead", "SIGHUP reads them again"}});
}

void Server::shut_down() {
  if (http_ != nullptr) http_->announce_end();
  for (auto& shard : shards_) shard->shut_down(config_.shutdown_grace_ms);
}

void Server::wait() {
  watcher_.stop();
  // The last to be told: until then /readyz says what is going on.
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
  if (!threads_.empty()) remove_socket_files();
  if (http_ != nullptr) http_->stop();
  threads_.clear();
}

}  // namespace petrel::server
