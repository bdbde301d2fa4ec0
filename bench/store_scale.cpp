// How the durable store grows: fills a directory with sessions, retained messages and queued messages, ends without a
// farewell (as kill -9 does), and opens it again. Prints resident memory on the way and what the opening takes.
//
//   store_scale DIRECTORY [SESSIONS [MESSAGES [RETAINED]]]     default: 100000 1000000 100000
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::storage {
namespace {

using Clock = std::chrono::steady_clock;

long milliseconds_since(Clock::time_point begin) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count());
}

long resident_mib() {
  std::ifstream statm("/proc/self/statm");
  long whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) >> 20;
}

struct Scale {
  std::string directory;
  std::uint64_t sessions = 100'000, messages = 1'000'000, retained = 100'000;
};

class ScaleLane final : public LaneEvents {
 public:
  explicit ScaleLane(Store& store)
      : lane_(store.open_lane(0, [this] {
          const std::lock_guard lock(mutex_);
          woken_ = true;
          wake_.notify_one();
        })) {}
  void submit(std::vector<Change> changes) {
    lane_->commit({++submitted_, std::move(changes)});
    for (lane_->poll(*this); submitted_ - committed_ > 16; lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }
  }
  void on_committed(BatchNumber number) override { committed_ = number; }
  void on_trouble(const StoreError& error) override { std::fprintf(stderr, "%s\n", error.what.c_str()), std::exit(1); }
  void on_trouble_over() override {}
  void on_queue_page(QueuePage) override {}

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  BatchNumber submitted_ = 0, committed_ = 0;
  std::unique_ptr<Lane> lane_;
};

struct Seen final : Recovery {
  std::uint64_t sessions = 0, subscriptions = 0, waiting = 0, retained = 0;
  void on_session(const SessionRecord&) override { ++sessions; }
  void on_subscription(SessionId, const SubscriptionRecord&) override { ++subscriptions; }
  void on_queue(SessionId, std::uint64_t messages, std::uint64_t) override { waiting += messages; }
  void on_outgoing(SessionId, const OutgoingRecord&, const QueueEntry*) override {}
  void on_incoming(SessionId, wire::PacketId) override {}
  void on_retained(Ref<const wire::Message>) override { ++retained; }
  void on_will(SessionId, const WillRecord&) override {}
};

std::unique_ptr<RocksStore> open(const Scale& scale) {
  RocksStoreOptions options;
  options.directory = scale.directory;
  auto opened = RocksStore::open(std::move(options));
  if (opened.has_value()) return std::move(*opened);
  std::fprintf(stderr, "%s\n", opened.error().what.c_str());
  std::exit(1);
}

Ref<const wire::Message> message(std::string_view topic, std::uint64_t number) {
  std::string payload = "message " + std::to_string(number) + " ";
  payload.resize(100, 'x');
  wire::Message::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.qos = wire::Qos::k1;
  return wire::Message::create(parts);
}

void fill(const Scale& scale) {
  const auto store = open(scale);
  ScaleLane lane(*store);
  for (std::uint64_t i = 1; i <= scale.sessions; ++i)
    lane.submit({PutSession{{i, "client-" + std::to_string(i), 0xffffffff, false, 1}},
                 PutSubscription{i, {"devices/" + std::to_string(i) + "/#", {}, 0}}});
  for (std::uint64_t i = 0; i < scale.retained; ++i)
    lane.submit({PutRetained{message("state/" + std::to_string(i), i)}});
  std::printf("%ld MiB resident with %lu sessions and %lu retained messages\n", resident_mib(), scale.sessions,
              scale.retained);
  const auto begin = Clock::now();
  for (std::uint64_t i = 1; i <= scale.messages; ++i) {
    const MessageId id = make_message_id((std::uint64_t{1'700'000'000'000} << 12) + (i << 12), 0);
    lane.submit(
        {Enqueue{1 + i * 7919 % scale.sessions, {id, message("devices/any", i), "", wire::Qos::k1, false, ""}}});
    if (i % (scale.messages / 5) == 0)
      std::printf("%ld MiB resident with %lu messages queued, after %ld ms\n", resident_mib(), i,
                  milliseconds_since(begin));
  }
  std::fflush(stdout);
  ::_exit(0);
}

void reopen(const Scale& scale, const char* how) {
  const auto begin = Clock::now();
  const auto store = open(scale);
  const long opened = milliseconds_since(begin);
  Seen seen;
  if (!store->recover(seen).has_value()) std::exit(1);
  std::printf(
      "%s: opened in %ld ms, all told in %ld ms: %lu sessions, %lu subscriptions, %lu waiting, %lu retained; "
      "%ld MiB resident\n",
      how, opened, milliseconds_since(begin) - opened, seen.sessions, seen.subscriptions, seen.waiting, seen.retained,
      resident_mib());
}

int run(const Scale& scale) {
  std::filesystem::remove_all(scale.directory);
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) fill(scale);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) return 1;
  reopen(scale, "after a kill");
  reopen(scale, "after a clean end");
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scale.directory))
    if (entry.is_regular_file()) bytes += entry.file_size();
  std::printf("%lu MiB on disk\n", bytes >> 20);
  return 0;
}

}  // namespace
}  // namespace petrel::storage

int main(int argc, char** argv) {
  petrel::storage::Scale scale;
  if (argc < 2) return std::fprintf(stderr, "store_scale DIRECTORY [SESSIONS [MESSAGES [RETAINED]]]\n"), 1;
  scale.directory = argv[1];
  if (argc > 2) scale.sessions = std::strtoull(argv[2], nullptr, 10);
  if (argc > 3) scale.messages = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) scale.retained = std::strtoull(argv[4], nullptr, 10);
  return petrel::storage::run(scale);
}
