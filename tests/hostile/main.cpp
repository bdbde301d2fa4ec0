// petrel_hostile: attacks a broker on this host for a time, or is the well-behaved clients that watch it. Prints one
// line of JSON an attack, or one of the well-behaved clients. Exit code 1: something went wrong; the line says what,
// and with which seed.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "attack.h"
#include "calm_clients.h"
#include "clear.h"

namespace {

using namespace petrel::hostile;
using nlohmann::json;

struct Options {
  std::string address;
  std::string through = "tcp";
  std::vector<std::string> attacks;
  double seconds = 5;
  std::uint64_t seed = 1;
  std::string corpus = "fuzz/corpus";
  bool list = false;
  bool clear = false;
  bool sessions = false;
  bool calm = false;
  std::uint32_t limit_us = 1'000'000;
  int real_time = 0;
  unsigned patience_s = 20;
};

std::vector<Attack> all_attacks() {
  std::vector<Attack> all;
  for (const auto& theme : {stream_attacks(), topic_attacks(), connection_attacks(), flood_attacks()})
    all.insert(all.end(), theme.begin(), theme.end());
  return all;
}

// In the world everybody has processors of his own. Here attackers take what broker and well-behaved clients leave, and
// with a real-time priority each waits for those with a higher one only.
void take_priority(const Options& options) {
  if (options.real_time != 0) {
    const sched_param priority{.sched_priority = options.real_time};
    if (sched_setscheduler(0, SCHED_RR, &priority) != 0) throw Failure("--real-time needs the right to (CAP_SYS_NICE)");
  } else if (!options.calm) {
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) setpriority(PRIO_PROCESS, 0, 19);
  }
}

// Strangers are not to be attacked by mistake.
std::uint16_t loopback_port(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  if (colon == std::string::npos || (host != "127.0.0.1" && host != "localhost"))
    throw Failure("only 127.0.0.1:PORT is attacked, not \"" + address + "\"");
  const unsigned long port = std::strtoul(address.c_str() + colon + 1, nullptr, 10);
  if (port == 0 || port > 65535) throw Failure("no port in \"" + address + "\"");
  return static_cast<std::uint16_t>(port);
}

class Run {
 public:
  Run(const Options& options, const Door& door) : options_(options), door_(door), corpus_(options.corpus) {}

  int run() {
    const std::vector<Attack> chosen = choose();
    const auto until = end();
    std::vector<std::thread> threads;
    threads.reserve(chosen.size());
    for (const Attack& attack : chosen) threads.emplace_back([this, attack, until] { fight(attack, until); });
    for (std::thread& thread : threads) thread.join();
    return failed_ ? 1 : 0;
  }

  // The well-behaved clients, until the time is over.
  int run_calm() {
    CalmClients calm(door_, options_.seed);
    std::thread watching([&] { watch(calm); });
    std::this_thread::sleep_for(std::chrono::duration<double>(options_.seconds));
    calm.stop();
    watching.join();
    return failed_ ? 1 : 0;
  }

 private:
  Clock::time_point end() const {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
  }

  std::vector<Attack> choose() const {
    std::vector<Attack> chosen;
    for (const Attack& attack : all_attacks())
      for (const std::string& name : options_.attacks)
        if (name == attack.name || name == "all") chosen.push_back(attack);
    if (chosen.empty()) throw Failure("no such attack; see --list");
    return chosen;
  }

  void print(const json& line) {
    const std::lock_guard lock(mutex_);
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
    failed_ = failed_ || line.contains("failure");
  }

  void fight(const Attack& attack, Clock::time_point until) {
    const std::uint64_t seed = options_.seed ^ std::hash<std::string_view>{}(attack.name);
    Crowd crowd(door_, seed, std::chrono::seconds(options_.patience_s));
    json line{{"attack", attack.name}};
    try {
      RandomSource random(seed);
      Battle battle{crowd, random, corpus_, until};
      attack.run(battle);
      crowd.finish();
    } catch (const Failure& failure) {
      line["failure"] = failure.what();
      line["seed"] = options_.seed;
    }
    const Counts& counts = crowd.counts();
    line.update({{"streams", counts.streams},
                 {"packets", counts.packets},
                 {"connections", counts.connections},
                 {"refused", counts.refused},
                 {"sent_bytes", counts.sent_bytes},
                 {"received_bytes", counts.received_bytes}});
    print(line);
  }

  void watch(CalmClients& calm) {
    try {
      const CalmReport report = calm.run(options_.limit_us);
      print({{"calm",
              {{"messages", report.messages},
               {"p50_us", report.p50_us},
               {"p99_us", report.p99_us},
               {"beyond_limit", report.beyond_limit},
               {"max_us", report.max_us},
               {"late_p99_us", report.late_p99_us}}}});
    } catch (const Failure& failure) {
      print({{"failure", failure.what()}, {"seed", options_.seed}});
    }
  }

  const Options& options_;
  const Door& door_;
  const Corpus corpus_;
  std::mutex mutex_;
  bool failed_ = false;
};

int main_of(const Options& options) {
  if (options.list) {
    for (const Attack& attack : all_attacks())
      std::printf("%.*s\n", static_cast<int>(attack.name.size()), attack.name.data());
    return 0;
  }
  const Door door(loopback_port(options.address), options.through);
  if (options.clear) {
    const std::uint64_t retained = clear_retained(door);
    const std::uint64_t sessions = options.sessions ? end_sessions(door) : 0;
    std::printf("%s\n", json{{"retained", retained}, {"sessions", sessions}}.dump().c_str());
    return 0;
  }
  take_priority(options);
  return options.calm ? Run(options, door).run_calm() : Run(options, door).run();
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Attacks an MQTT broker on this host, or watches it as well-behaved clients.");
  Options options;
  app.add_option("address", options.address, "127.0.0.1:PORT");
  app.add_option("--through", options.through, "The layers of that listener")
      ->check(CLI::IsMember({"tcp", "tls", "ws", "wss"}))
      ->capture_default_str();
  app.add_option("--attack", options.attacks, "Names of attacks at the same time, or \"all\"")->default_val("all");
  app.add_option("--seconds", options.seconds, "For how long")->capture_default_str();
  app.add_option("--seed", options.seed, "The same seed makes the same attack")->capture_default_str();
  app.add_option("--corpus", options.corpus, "The folder with decode_*/")->capture_default_str();
  app.add_flag("--calm", options.calm, "Be the well-behaved clients");
  app.add_option("--limit-us", options.limit_us, "Of the latencies of well-behaved clients: count those beyond")
      ->capture_default_str();
  app.add_option("--patience", options.patience_s,
                 "So many seconds after the end of what it sends, a connection that is still open is stuck")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_option("--real-time", options.real_time, "Run with this real-time priority (SCHED_RR)")
      ->check(CLI::Range(1, 99));
  app.add_flag("--list", options.list, "Print the names of the attacks");
  app.add_flag("--clear", options.clear, "Take back the retained messages that attackers leave");
  app.add_flag("--sessions", options.sessions, "With --clear: end the sessions, too");
  CLI11_PARSE(app, argc, argv);
  try {
    return main_of(options);
  } catch (const std::exception& error) {
    std::printf("%s\n", json{{"failure", error.what()}, {"seed", options.seed}}.dump().c_str());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}
