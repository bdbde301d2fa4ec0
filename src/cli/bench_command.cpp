// petrel bench: flags to a plan, a run's outcome to text or JSON.
#include "cli/bench_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "load/run.h"

namespace petrel::cli {
namespace {

using load::Outcome;
using load::Pattern;
using load::Plan;

constexpr int kMistake = 1, kBroken = 2, kTimeout = 3, kIncorrect = 4;
constexpr std::uint64_t kMostId = 65'535;
constexpr double kMicro = 1e-3;  // nanoseconds to microseconds
constexpr int kSignalled = 128;  // and the signal's number, as the shell has it

volatile std::sig_atomic_t signalled = 0;

// The first signal ends the load, the next one the program.
void heed_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) {
    signalled = number;
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

struct BenchOptions {
  std::string pattern = "one-to-one";
  std::optional<std::uint32_t> publishers, subscribers, window;
  int qos = 0;
  bool v5 = false, json = false, quiet = false;
  double duration_s = 5, warm_up_s = 0.5, timeout_s = 15;
  Plan plan;
};

std::optional<Pattern> pattern_of(std::string_view name) {
  if (name == "one-to-one") return Pattern::kOneToOne;
  if (name == "fan-in" || name == "fan-out") return Pattern::kAll;
  if (name == "shared") return Pattern::kShared;
  if (name == "connect") return Pattern::kConnect;
  return std::nullopt;
}

// What was not said is chosen to suit the pattern.
std::optional<std::string> complete(BenchOptions& options) {
  Plan& plan = options.plan;
  const auto pattern = pattern_of(options.pattern);
  if (!pattern) return "PATTERN is one-to-one, fan-in, fan-out, shared or connect";
  plan.pattern = *pattern;
  const bool one_publisher = options.pattern == "fan-out", one_subscriber = options.pattern == "fan-in";
  constexpr std::uint32_t kUsual = 20, kStorm = 1000;
  plan.publishers = options.publishers.value_or(one_publisher ? 1 : kUsual);
  plan.subscribers = options.subscribers.value_or(one_subscriber ? 1 : *pattern == Pattern::kConnect ? kStorm : kUsual);
  if (*pattern == Pattern::kOneToOne) {
    if (!options.publishers && options.subscribers) plan.publishers = plan.subscribers;
    if (!options.subscribers) plan.subscribers = plan.publishers;
    if (plan.publishers != plan.subscribers) return "one-to-one: as many --pubs as --subs";
  }
  if (options.window) plan.window = *options.window;
  plan.qos = static_cast<wire::Qos>(options.qos);
  plan.version = options.v5 ? wire::ProtocolVersion::kV5 : wire::ProtocolVersion::kV311;
  plan.duration = std::chrono::duration<double>(options.duration_s);
  plan.warm_up = std::chrono::duration<double>(options.warm_up_s);
  plan.timeout = std::chrono::duration<double>(options.timeout_s);
  if (plan.payload_bytes < load::kStampBytes) return fmt::format("--size is at least {}", load::kStampBytes);
  if (!plan.offline) return std::nullopt;
  constexpr std::uint64_t kOfflineMessages = 1000;
  if (plan.qos == wire::Qos::k0 || plan.pattern == Pattern::kConnect || plan.pattern == Pattern::kShared)
    return "--offline: with --qos 1 or 2, and one-to-one, fan-in or fan-out";
  plan.persistent = true;
  if (plan.messages == 0) plan.messages = kOfflineMessages;
  return std::nullopt;
}

void add_flags(CLI::App& app, BenchOptions& options) {
  Plan& plan = options.plan;
  app.add_option("PATTERN", options.pattern,
                 "one-to-one: publisher N to subscriber N; fan-in: all publishers to one subscriber; fan-out: one "
                 "publisher to all subscribers; shared: each message to one of the subscribers; connect: connections "
                 "only, as many as --subs");
  app.set_help_flag("--help", "Print this help message and exit");
  app.add_option("-h,--host", plan.host, "Host of the broker")->capture_default_str();
  app.add_option("-p,--port", plan.port, "Port of the broker")->capture_default_str();
  app.add_option("--pubs", options.publishers, "Publishers (20; fan-out: 1)")->check(CLI::Range(1, 1'000'000));
  app.add_option("--subs", options.subscribers, "Subscribers (20; fan-in: 1; connect: 1000)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("-q,--qos", options.qos, "Quality of service, of publications and subscriptions")
      ->check(CLI::Range(0, 2))
      ->capture_default_str();
  app.add_option("--size", plan.payload_bytes, "Bytes of a payload, at least 24")
      ->check(CLI::Range(1, 200'000'000))
      ->capture_default_str();
  app.add_option("--inflight", options.window,
                 "Messages of a publisher that may be unacknowledged; connect: connections under way (100)")
      ->check(CLI::Range(std::uint64_t{1}, kMostId));
  app.add_option("--ahead", plan.ahead,
                 "Messages a publisher may be ahead of its receivers; without --rate only (chosen by the number of "
                 "clients)");
  app.add_option("--rate", plan.rate, "Messages a second, of all publishers (as fast as possible)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--messages", plan.messages, "Messages of each publisher, instead of a time");
  app.add_option("--duration", options.duration_s, "Seconds that are measured")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warm-up", options.warm_up_s, "Seconds before them")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_s, "Seconds without any progress after which the run ends")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--persistent", plan.persistent, "The subscribers' sessions outlive their connections");
  app.add_flag("--offline", plan.offline,
               "Subscribers are away while messages are published (--messages, 1000), and fetch them afterwards");
  app.add_flag("--v5", options.v5, "MQTT 5.0 rather than 3.1.1");
  app.add_option("--broker-pid", plan.broker_pid, "Process of the broker: its processor time is told");
  app.add_flag("--json", options.json, "Print the outcome as a line of JSON");
  app.add_flag("--quiet", options.quiet, "Print no progress");
  app.footer(
      "Examples:\n"
      "  petrel bench --qos 1 --persistent --broker-pid $(pidof petrel)\n"
      "  petrel bench fan-out --subs 500 --size 1000\n"
      "  petrel bench --rate 5000 --qos 1             latency at a fixed rate\n"
      "  petrel bench --offline --qos 1 --pubs 100 --messages 10000\n"
      "  petrel bench connect --subs 5000\n"
      "Without --rate latency is mostly queueing. With it a message counts from when it was due.\n"
      "Exit codes: 0 all came once and in order, 1 wrong flags, 2 the broker refused or closed, 3 nothing came for\n"
      "--timeout seconds, 4 messages were lost, refused, came twice, out of order or damaged; 130 (SIGINT) or 143\n"
      "(SIGTERM) interrupted: what was measured so far is printed, and sessions are removed, unless there is a second\n"
      "signal. Messages that were on their way then are not called lost.");
}

std::optional<double> cpu_us_per_message(const Outcome& outcome) {
  if (!outcome.broker_cpu_s || outcome.measured_messages == 0) return std::nullopt;
  return *outcome.broker_cpu_s * 1e6 / static_cast<double>(outcome.measured_messages);
}

nlohmann::ordered_json as_json(const BenchOptions& options, const Outcome& outcome) {
  const Plan& plan = options.plan;
  nlohmann::ordered_json json{{"pattern", options.pattern},
                              {"pubs", plan.publishers},
                              {"subs", plan.subscribers},
                              {"qos", options.qos},
                              {"size", plan.payload_bytes},
                              {"inflight", plan.window},
                              {"persistent", plan.persistent},
                              {"seconds", outcome.measured_s},
                              {"messages", outcome.measured_messages},
                              {"per_second", outcome.per_second()},
                              {"published", outcome.published},
                              {"received", outcome.received},
                              {"refused", outcome.refused},
                              {"lost", outcome.lost},
                              {"duplicate", outcome.duplicate},
                              {"out_of_order", outcome.out_of_order},
                              {"damaged", outcome.damaged},
                              {"timed_out", outcome.timed_out},
                              {"interrupted", outcome.interrupted},
                              {"generator_cpu_s", outcome.own_cpu_s}};
  if (outcome.interrupted) json["lost"] = nullptr;  // what is missing was on its way
  if (outcome.broker_cpu_s) json["broker_cpu_s"] = *outcome.broker_cpu_s;
  if (const auto cpu = cpu_us_per_message(outcome)) json["broker_cpu_us_per_message"] = *cpu;
  if (plan.offline) {
    json["queued_per_second"] = outcome.queued_per_s;
    json["drained_per_second"] = outcome.drained_per_s;
    json["drain_seconds"] = outcome.drain_s;
  }
  const auto us = [&](double share) { return static_cast<double>(outcome.latency.at(share)) * kMicro; };
  if (outcome.latency.count() != 0)
    json["latency_us"] = {{"p50", us(0.5)}, {"p99", us(0.99)}, {"p999", us(0.999)}, {"max", us(1)}};
  return json;
}

void print(const BenchOptions& options, const Outcome& outcome) {
  const Plan& plan = options.plan;
  const bool connections = plan.pattern == Pattern::kConnect;
  if (plan.offline) {
    fmt::print("queued   {:.0f} messages/s, for clients that were away\n", outcome.queued_per_s);
    if (outcome.drain_s > 0)
      fmt::print("drained  {:.0f} messages/s, in {:.2f} s\n", outcome.drained_per_s, outcome.drain_s);
  } else {
    fmt::print("rate     {:.0f} {}/s, {} in {:.2f} s\n", outcome.per_second(), connections ? "connections" : "messages",
               outcome.measured_messages, outcome.measured_s);
    const auto us = [&](double share) { return static_cast<double>(outcome.latency.at(share)) * kMicro; };
    fmt::print("latency  p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us, max {:.0f} us\n", us(0.5), us(0.99), us(0.999),
               us(1));
  }
  if (const auto cpu = cpu_us_per_message(outcome))
    fmt::print("broker   {:.3f} us of processor time for each, {:.2f} cores\n", *cpu,
               *outcome.broker_cpu_s / outcome.measured_s);
  if (outcome.measured_s > 0) fmt::print("bench    {:.2f} cores\n", outcome.own_cpu_s / outcome.measured_s);
  if (!connections)
    fmt::print("counts   published {}, received {} of {}, refused {}, {}, twice {}, out of order {}, damaged {}\n",
               outcome.published, outcome.received, outcome.expected, outcome.refused,
               outcome.interrupted ? "the rest on its way" : fmt::format("lost {}", outcome.lost), outcome.duplicate,
               outcome.out_of_order, outcome.damaged);
  if (outcome.interrupted) fmt::print("ended    interrupted: this is what there was so far\n");
  if (outcome.timed_out) fmt::print("ended    nothing came for {} s\n", options.timeout_s);
}

}  // namespace

int bench(const std::vector<std::string>& given) {
  BenchOptions options;
  CLI::App app("Load a broker, and check what comes of it", "petrel bench");
  add_flags(app, options);
  std::vector<std::string> arguments(given.rbegin(), given.rend());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kMistake;
  }
  if (const auto mistake = complete(options)) {
    fmt::print(stderr, "petrel bench: {}\n", *mistake);
    return kMistake;
  }
  load::Run run(options.plan);
  const bool live = !options.quiet && !options.json && isatty(STDERR_FILENO) != 0;
  if (live)
    run.on_progress = [](const Outcome& outcome, double elapsed_s) {
      fmt::print(stderr, "\r{:.0f} s: {} published, {} received ", elapsed_s, outcome.published, outcome.received);
    };
  run.interrupted = [] { return signalled != 0; };
  heed_signals();
  const auto outcome = run.execute();
  if (live) fmt::print(stderr, "\n");
  if (!outcome.has_value()) {
    fmt::print(stderr, "petrel bench: {}\n", outcome.error().what);
    return kBroken;
  }
  if (options.json) {
    fmt::print("{}\n", as_json(options, *outcome).dump());
  } else {
    print(options, *outcome);
  }
  std::fflush(stdout);
  run.remove_sessions();
  if (outcome->interrupted) return kSignalled + signalled;
  if (outcome->timed_out) return kTimeout;
  return outcome->correct() ? 0 : kIncorrect;
}

}  // namespace petrel::cli
