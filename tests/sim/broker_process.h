// A broker process of the simulation: real shards (broker::Shard) that the simulation drives turn by turn, links that
// carry bytes both ways, and mail between shards that arrives when the simulation wants it to. Does what server/ does
// with threads and sockets.
//
// Threads: one. The store outlives it; links may outlive it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "broker/shard.h"
#include "sim_store.h"

namespace petrel::sim {

// A network connection: bytes on their way in both directions, which either end may stop at any byte.
struct Link {
  explicit Link(int n) : number(n) {}
  const int number;
  std::string to_broker, to_client;
  bool client_gone = false;     // nothing more comes from the client than is in to_broker
  bool broker_gone = false;     // nothing more comes from the broker than is in to_client
  std::size_t room = 1U << 20;  // bytes that to_client takes before the broker's writes block
};

class BrokerProcess {
 public:
  BrokerProcess(const broker::Settings& settings, std::uint32_t shards, SimStore& store, Random& random, Log& log,
                TimeMs now);
  // The process is killed: what it had not committed is lost. Its links break.
  ~BrokerProcess();
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(drivers_.size()); }
  void accept(std::uint32_t shard, std::shared_ptr<Link> link);
  // A turn of one shard, at `now`: takes some of the mail and bytes that wait, as `random` likes, or all of them.
  void turn(std::uint32_t shard, TimeMs now, bool everything);
  void shut_down(TimeMs now);

  std::size_t session_count() const;
  std::size_t connection_count() const;
  // Whether bytes or mail wait for any shard.
  bool has_work() const;
  std::size_t largest_output() const { return largest_output_; }

 private:
  struct SimConnection;
  class Driver;

  broker::SharedState shared_;
  Random& random_;
  std::vector<std::unique_ptr<Driver>> drivers_;
  std::size_t largest_output_ = 0;
};

}  // namespace petrel::sim
