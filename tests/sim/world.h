// One run of the simulation: a broker, its clients, a clock and a store, all driven from one seed. What may go wrong
// does: links break at any byte, shards' turns and mail come in any order, the store is late or takes nothing, the
// clock jumps, the broker is stopped or killed and comes back with another number of shards, strangers send garbage.
//
// Threads: one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "allowance.h"
#include "base/log.h"
#include "base/random.h"
#include "broker_process.h"
#include "client.h"
#include "history.h"
#include "sim_store.h"

namespace petrel::sim {

class World final : public Surroundings {
 public:
  World(std::uint64_t seed, bool trace, Log& log);
  // Runs to the end; throws a Violation.
  void run();
  std::size_t steps() const { return step_; }

  // Surroundings
  std::shared_ptr<Link> open_link() override;
  Step next_step() override { return ++step_; }
  std::uint64_t dice(std::uint64_t sides) override { return random_.next() % sides; }
  History& history() override { return history_; }
  int restarts() const override { return restarts_; }
  bool refusals_expected() const override { return refusals_expected_; }
  bool store_was_in_trouble() const override { return store_was_in_trouble_; }
  bool has_large_messages() const override { return has_large_messages_; }
  bool may_be_refused(const Publication& publication) const override { return allowance_.may_be_refused(publication); }
  bool may_be_dropped(const Client& client, const Publication& publication) const override {
    return allowance_.may_be_dropped(client, publication);
  }
  const broker::Settings& settings() const override { return settings_; }
  TimeMs now() const override { return now_; }
  void trace(const std::string& line) override;

 private:
  void set_limits();
  void make_clients();
  void happen();
  void turn(bool everything);
  void restart(bool kill);
  void open_store(bool eager);
  void stranger();
  void settle(const std::string& when);
  bool settles(const std::string& when);
  void heal();
  void reconnect_all();
  void settle_and_reconnect();
  void check_messages();
  void check_shared();
  void check_wills();
  void check_retained();
  void check_windows();
  void examine();
  void end_sessions();
  void check_nothing_is_left();
  Client& observer() { return *clients_.back(); }

  SeededRandom random_;
  const bool trace_;
  Log& log_;
  broker::Settings settings_;
  TimeMs now_ = 1'700'000'000'000;
  Step step_ = 0;
  int restarts_ = 0;
  int links_ = 0;
  bool may_have_trouble_ = false;
  bool has_large_messages_ = false;
  bool refusals_expected_ = false;
  bool store_was_in_trouble_ = false;
  bool strangers_may_stay_ = false;
  History history_;
  Disk disk_;
  bool syncs_late_ = false;
  std::unique_ptr<SimStore> store_;
  std::unique_ptr<BrokerProcess> broker_;
  std::vector<std::unique_ptr<Client>> clients_;
  Allowance allowance_{settings_, clients_, history_};
  std::vector<std::shared_ptr<Link>> strangers_;
};

}  // namespace petrel::sim
