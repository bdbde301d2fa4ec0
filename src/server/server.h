// The broker as one object: shards on threads, listeners, store. Construct, start(), shut_down(), done.
// Threads: one owner; shut_down() may be called from any thread, once or more.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "broker/shared_state.h"
#include "server/config.h"
#include "server/door.h"
#include "server/file_watcher.h"
#include "server/http_doors.h"
#include "server/shard_thread.h"
#include "server/store_choice.h"
#include "storage/store.h"

namespace petrel::server {

// Where a server's store comes from.
using OpenStore =
    std::function<Result<std::unique_ptr<storage::Store>, storage::StoreError>(const Config& config, Log& log)>;

class Server {
 public:
  // The log outlives the server.
  Server(Config config, Log& log, OpenStore open = open_store);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens the store and the listeners and starts the threads. After an error nothing runs.
  Result<void, std::string> start();
  // The addresses that are listened on, with the ports that were given for port 0.
  const std::vector<std::string>& addresses() const { return addresses_; }

  std::size_t thread_count() const { return shards_.size(); }
  // As they hold: what the configuration leaves to the machine is filled in.
  const broker::Settings& settings() const { return config_.settings; }

  // Reads certificates, keys, CAs, CRLs and pre-shared keys again. Connections go on with what they began with; a file
  // that is wrong changes nothing at its listener. The log tells. The same happens, listener by listener, when files
  // change. Any thread.
  void reload();

  // Asks all shards to end; wait() returns when they have.
  void shut_down();
  void wait();

 private:
  Result<void, std::string> open_listeners();
  Result<void, std::string> open_listener(const ListenerConfig& listener);
  void remove_socket_files();
  void tell_warnings(const Door& door);
  void reload(Door& door, std::string_view cause);
  void watch_files();

  Config config_;
  Log& log_;
  const OpenStore open_store_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<broker::SharedState> shared_;
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<ShardThread>> shards_;
  std::unique_ptr<HttpDoors> http_;
  std::mutex reload_mutex_;  // one reload at a time
  FileWatcher watcher_;
  std::vector<std::thread> threads_;
  std::vector<std::string> addresses_;
  bool by_default_ = false;  // nobody has said where to listen
};

}  // namespace petrel::server
