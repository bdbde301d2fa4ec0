#include "server/server.h"

#include <algorithm>

#include "base/random.h"
#include "net/address.h"
#include "server/machine_memory.h"
#include "storage/memory/memory_store.h"

namespace petrel::server {

namespace {

constexpr unsigned kMostShards = 1U << storage::kLaneBits;

unsigned shard_count(unsigned configured) {
  const unsigned wanted = configured != 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
  return std::min(wanted, kMostShards);
}

}  // namespace

Server::Server(Config config, Log& log) : config_(std::move(config)), log_(log) {
  if (config_.listeners.empty()) config_.listeners.push_back({"tcp://127.0.0.1:1883", {}});
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
  store_ = std::make_unique<storage::MemoryStore>(storage::MemoryStoreOptions{});
  shared_ = std::make_unique<broker::SharedState>(config_.settings, shards, SystemRandom().next());
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
  if (auto opened = open_listeners(); !opened.has_value()) {
    shards_.clear();
    return opened.error();
  }
  for (auto& shard : shards_) threads_.emplace_back([&shard] { shard->run(); });
  return {};
}

Result<void, std::string> Server::open_listeners() {
  for (const ListenerConfig& listener : config_.listeners) {
    const auto parsed = net::parse_address(listener.address);
    if (!parsed.has_value()) return parsed.error().what;
    net::Address address = *parsed;
    auto policy = std::make_unique<broker::ListenerPolicy>();
    policy->allow_anonymous = listener.allow_anonymous.value_or(address.is_loopback());
    const broker::SysAccess access = config_.settings.sys.access;
    policy->may_read_sys =
        access == broker::SysAccess::kAll || (access == broker::SysAccess::kLoopback && address.is_loopback());
    for (auto& shard : shards_) {
      const bool first = shard == shards_.front();
      const auto fd = net::listen_on(address, first ? net::Claim::kFirst : net::Claim::kJoin);
      if (!fd.has_value()) return fd.error().what;
      if (first) address = net::local_address(*fd);
      shard->listen(*fd, *policy);
    }
    addresses_.push_back("tcp://" + address.to_string());
    log_.info("listening",
              {{"address", addresses_.back()}, {"anonymous", policy->allow_anonymous ? "allowed" : "refused"}});
    policies_.push_back(std::move(policy));
  }
  return {};
}

void Server::shut_down() {
  for (auto& shard : shards_) shard->shut_down(config_.shutdown_grace_ms);
}

void Server::wait() {
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
  threads_.clear();
}

}  // namespace petrel::server
