// petrel with a store that reports each batch committed at once, and stores it a moment later: what the durability
// harness must notice. Takes the arguments of `petrel serve` that the harness uses; SIGTERM ends it.
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "server/server.h"

namespace petrel {
namespace {

constexpr TimeMs kDelayMs = 50;

class HastyLane final : public storage::Lane, private storage::LaneEvents {
 public:
  HastyLane(storage::Store& store, std::uint32_t number, std::function<void()> wake)
      : wake_(wake), lane_(store.open_lane(number, std::move(wake))) {}
  ~HastyLane() override { store_up_to(kNever); }

  void commit(storage::Batch batch) override {
    promised_.push_back(batch.number);
    kept_.push_back({clock_.now(), std::move(batch)});
    wake_();
  }
  void read_queue(storage::SessionId session, std::uint64_t request, storage::QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    store_up_to(kNever);
    lane_->read_queue(session, request, std::move(position), limit, limit_bytes);
  }
  void poll(storage::LaneEvents& events) override {
    store_up_to(clock_.now() - kDelayMs);
    const std::vector<storage::BatchNumber> promised = std::exchange(promised_, {});
    for (const storage::BatchNumber number : promised) events.on_committed(number);
    events_ = &events;
    lane_->poll(*this);
  }

 private:
  void store_up_to(TimeMs submitted) {
    while (!kept_.empty() && kept_.front().submitted <= submitted) {
      lane_->commit(std::move(kept_.front().batch));
      kept_.pop_front();
    }
  }
  void on_committed(storage::BatchNumber) override {}
  void on_trouble(const storage::StoreError& error) override { events_->on_trouble(error); }
  void on_trouble_over() override { events_->on_trouble_over(); }
  void on_queue_page(storage::QueuePage page) override { events_->on_queue_page(std::move(page)); }

  struct Kept {
    TimeMs submitted;
    storage::Batch batch;
  };
  SteadyClock clock_;
  std::deque<Kept> kept_;
  std::vector<storage::BatchNumber> promised_;
  storage::LaneEvents* events_ = nullptr;
  std::function<void()> wake_;
  std::unique_ptr<storage::Lane> lane_;
};

class HastyStore final : public storage::Store {
 public:
  explicit HastyStore(std::unique_ptr<storage::Store> store) : store_(std::move(store)) {}
  std::string_view name() const override { return "hasty"; }
  Result<void, storage::StoreError> recover(storage::Recovery& recovery) override { return store_->recover(recovery); }
  storage::MessageId last_message_id() const override { return store_->last_message_id(); }
  storage::SessionId last_session_id() const override { return store_->last_session_id(); }
  std::unique_ptr<storage::Lane> open_lane(std::uint32_t lane, std::function<void()> wake) override {
    return std::make_unique<HastyLane>(*store_, lane, std::move(wake));
  }

 private:
  std::unique_ptr<storage::Store> store_;
};

Result<std::unique_ptr<storage::Store>, storage::StoreError> open_hasty(const server::Config& config, Log& log) {
  auto opened = server::open_store(config, log);
  if (!opened.has_value()) return opened.error();
  return std::unique_ptr<storage::Store>(std::make_unique<HastyStore>(std::move(*opened)));
}

constexpr const char* kUsage = "petrel_hasty serve [-c FILE] --listen ADDRESS... --store STORE [--threads N]";

// Nothing if the arguments are not understood.
std::optional<server::Config> read_arguments(std::span<char*> arguments) {
  if (arguments.empty() || std::string_view(arguments[0]) != "serve" || arguments.size() % 2 == 0) return std::nullopt;
  server::Config config;
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string_view name = arguments[i], value = arguments[i + 1];
    if (name == "-c") {
      const server::ConfigMistakes mistakes = server::read_config_file(std::string(value), config);
      if (mistakes.empty()) continue;
      std::fprintf(stderr, "petrel_hasty: %s\n", mistakes.front().to_string().c_str());
      return std::nullopt;
    }
    if (name == "--listen") {
      config.listeners.push_back({std::string(value), {}});
    } else if (name == "--store") {
      config.store = value;
    } else if (name == "--threads") {
      config.threads = static_cast<unsigned>(std::atoi(arguments[i + 1]));
    } else {
      return std::nullopt;
    }
  }
  return config;
}

int serve(std::span<char*> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "--help") {
    std::printf("%s\n", kUsage);
    return 0;
  }
  const std::optional<server::Config> read = read_arguments(arguments);
  if (!read) {
    std::fprintf(stderr, "usage: %s\n", kUsage);
    return 1;
  }
  const server::Config& config = *read;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Log log(stderr, LogLevel::kInfo);
  server::Server server(config, log, open_hasty);
  if (const auto started = server.start(); !started.has_value()) {
    log.error("cannot start", {{"reason", started.error()}});
    return 2;
  }
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  server.shut_down();
  server.wait();
  return 0;
}

}  // namespace
}  // namespace petrel

int main(int count, char** arguments) {
  return petrel::serve(std::span(arguments, static_cast<std::size_t>(count)).subspan(1));
}
