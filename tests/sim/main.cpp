// Runs the simulation for a range of seeds on all cores. A broken rule is printed with its seed; the same seed with
// --trace tells the story.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "world.h"

namespace {

struct Options {
  std::uint64_t first = 1, count = 10'000;
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  std::uint64_t violations = 5;
  bool trace = false;
};

class Runner {
 public:
  explicit Runner(const Options& options) : options_(options) {}
  int run() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < options_.threads; ++i) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
    std::printf("%llu seeds from %llu, %llu steps, %llu violations\n", static_cast<unsigned long long>(done_.load()),
                static_cast<unsigned long long>(options_.first), static_cast<unsigned long long>(steps_.load()),
                static_cast<unsigned long long>(violations_.load()));
    return violations_ == 0 ? 0 : 1;
  }

 private:
  void work() {
    std::FILE* nowhere = std::fopen("/dev/null", "w");
    petrel::Log quiet(options_.trace ? stderr : nowhere, petrel::LogLevel::kError);
    petrel::Log loud(stderr, petrel::LogLevel::kDebug);
    for (;;) {
      const std::uint64_t at = next_.fetch_add(1);
      if (at >= options_.count || violations_ >= options_.violations) break;
      const std::uint64_t seed = options_.first + at;
      try {
        petrel::sim::World world(seed, options_.trace, options_.trace ? loud : quiet);
        world.run();
        steps_ += world.steps();
      } catch (const petrel::sim::Violation& violation) {
        ++violations_;
        const std::lock_guard lock(mutex_);
        std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.what());
        std::fflush(stdout);
      }
      ++done_;
    }
    std::fclose(nowhere);
  }

  const Options options_;
  std::atomic<std::uint64_t> next_{0}, done_{0}, steps_{0}, violations_{0};
  std::mutex mutex_;
};

int run(int argc, char** argv) {
  CLI::App app("Simulation of petrel: real shards, scripted clients, seeded faults");
  Options options;
  std::uint64_t seed = 0;
  app.add_option("--first", options.first, "First seed")->capture_default_str();
  app.add_option("--seeds", options.count, "Number of seeds")->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->capture_default_str()->check(CLI::Range(1, 256));
  app.add_option("--violations", options.violations, "Stop after so many violations")->capture_default_str();
  app.add_option("--seed", seed, "Only this seed");
  app.add_flag("--trace", options.trace, "Tell what happens (one seed)");
  CLI11_PARSE(app, argc, argv);
  if (seed != 0) options.first = seed, options.count = 1;
  if (options.count == 1) options.threads = 1;
  return Runner(options).run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "petrel_sim: %s\n", error.what());
    return 2;
  }
}
