// What storing costs: messages of 200 bytes through the queue of one session, enqueued and acknowledged. Processor time
// is that of the whole process, the stores' own threads included.
//
//   store_bench --benchmark_filter=Queue       a batch with N messages, awaited; then one that acknowledges them
//   store_bench --benchmark_filter=Stream      64 such batches under way
//   store_bench --benchmark_filter=Drain       a queue of N messages read and acknowledged
//   store_bench --benchmark_filter=FanOut      one message into the queues of N sessions
//
// PETREL_BENCH_DIR is where the store's directory is made (default: the current one).
#include <benchmark/benchmark.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

#include "storage/memory/memory_store.h"
#include "storage/rocksdb/rocksdb_store.h"

namespace petrel::storage {
namespace {

enum Kind : std::int64_t { kMemory, kOs, kInterval, kAlways, kUnspaced };
constexpr const char* kNames[] = {"memory", "rocksdb os", "rocksdb interval", "rocksdb always",
                                  "rocksdb interval, groups unspaced"};

class Place {
 public:
  explicit Place(std::int64_t kind) {
    if (kind == kMemory) {
      store_ = std::make_unique<MemoryStore>();
      return;
    }
    const char* parent = std::getenv("PETREL_BENCH_DIR");
    directory_ = std::string(parent == nullptr ? "." : parent) + "/store-bench";
    std::filesystem::remove_all(directory_);
    RocksStoreOptions options;
    options.directory = directory_;
    options.sync = kind == kOs ? Sync::kOs : kind == kAlways ? Sync::kAlways : Sync::kInterval;
    if (kind == kUnspaced) options.spacing = {};
    auto opened = RocksStore::open(options);
    if (opened.has_value()) {
      rocks_ = opened->get();
      store_ = std::move(*opened);
    }
  }
  ~Place() {
    store_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  Store& store() { return *store_; }
  const RocksStore* rocks() const { return rocks_; }

 private:
  std::string directory_;
  RocksStore* rocks_ = nullptr;
  std::unique_ptr<Store> store_;
};

class BenchLane final : public LaneEvents {
 public:
  explicit BenchLane(Store& store)
      : lane_(store.open_lane(0, [this] {
          const std::lock_guard lock(mutex_);
          woken_ = true;
          wake_.notify_one();
        })) {}
  void submit(std::vector<Change> changes) { lane_->commit({++submitted_, std::move(changes)}); }
  void wait(std::uint64_t most_under_way) {
    for (lane_->poll(*this); submitted_ - committed_ > most_under_way; lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }
  }
  void on_committed(BatchNumber number) override { committed_ = number; }
  void on_trouble(const StoreError& error) override { throw std::runtime_error(error.what); }
  void on_trouble_over() override {}
  void on_queue_page(QueuePage page) override { page_ = std::move(page); }
  QueuePage read(QueuePosition position, std::size_t limit) {
    page_.reset();
    lane_->read_queue(1, 1, std::move(position), limit, std::size_t{1} << 20);
    for (lane_->poll(*this); !page_; lane_->poll(*this)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }
    return std::move(*page_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  BatchNumber submitted_ = 0, committed_ = 0;
  std::optional<QueuePage> page_;
  std::unique_ptr<Lane> lane_;
};

Ref<const wire::Message> message() {
  static const std::string payload(200, 'x');
  wire::Message::Parts parts;
  parts.topic = "bench/topic/of/usual/length";
  parts.payload = payload;
  parts.qos = wire::Qos::k1;
  return wire::Message::create(parts);
}

// Like the broker's: milliseconds in the high bits.
struct Ids {
  std::uint64_t counter = std::uint64_t{1'700'000'000'000} << 12;
  MessageId next() { return make_message_id(++counter, 0); }
};

void report(benchmark::State& state, const Place& place, std::int64_t messages) {
  state.SetItemsProcessed(messages);
  state.SetLabel(kNames[state.range(0)]);
  if (place.rocks() == nullptr) return;
  const RocksStore::Counts counts = place.rocks()->counts();
  const auto all = static_cast<double>(messages);
  state.counters["elided"] = static_cast<double>(counts.elided) / all;
  state.counters["log_bytes"] = static_cast<double>(counts.log_bytes) / all;
  state.counters["writes"] = static_cast<double>(counts.writes) / all;
}

void enqueue_and_acknowledge(benchmark::State& state, std::uint64_t under_way) {
  Place place(state.range(0));
  BenchLane lane(place.store());
  Ids ids;
  lane.submit({PutSession{{1, "client", 60, true, 0}}});
  std::int64_t messages = 0;
  for (auto _ : state) {
    std::vector<Change> in, out;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
      const MessageId id = ids.next();
      in.emplace_back(Enqueue{1, {id, message(), "", wire::Qos::k1, false, ""}});
      out.emplace_back(Acknowledge{1, id});
    }
    lane.submit(std::move(in));
    lane.wait(under_way);
    lane.submit(std::move(out));
    lane.wait(under_way);
    messages += state.range(1);
  }
  lane.wait(0);
  report(state, place, messages);
}

void Queue(benchmark::State& state) { enqueue_and_acknowledge(state, 0); }
void Stream(benchmark::State& state) { enqueue_and_acknowledge(state, 64); }
BENCHMARK(Queue)
    ->ArgsProduct({{kMemory, kOs, kInterval, kUnspaced, kAlways}, {1, 10, 100}})
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK(Stream)
    ->ArgsProduct({{kMemory, kInterval, kUnspaced, kAlways}, {1, 10, 100}})
    ->UseRealTime()
    ->MeasureProcessCPUTime();

// A long queue is read in pages and acknowledged, message by message in batches of ten.
void Drain(benchmark::State& state) {
  Place place(state.range(0));
  BenchLane lane(place.store());
  Ids ids;
  lane.submit({PutSession{{1, "client", 60, true, 0}}});
  std::int64_t messages = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (std::int64_t i = 0; i < state.range(1); i += 100) {
      std::vector<Change> in;
      in.reserve(100);
      for (int j = 0; j < 100; ++j) in.emplace_back(Enqueue{1, {ids.next(), message(), "", wire::Qos::k1, false, ""}});
      lane.submit(std::move(in));
      lane.wait(64);
    }
    lane.wait(0);
    state.ResumeTiming();
    QueuePosition position;
    for (bool more = true; more;) {
      const QueuePage page = lane.read(position, 256);
      more = page.more;
      std::vector<Change> out;
      for (const QueueEntry& entry : page.entries) {
        position.advance(entry.id);
        out.emplace_back(Acknowledge{1, entry.id});
        if (out.size() == 10) lane.submit(std::exchange(out, {}));
      }
      lane.submit(std::move(out));
      lane.wait(64);
      messages += static_cast<std::int64_t>(page.entries.size());
    }
    lane.wait(0);
  }
  report(state, place, messages);
}
BENCHMARK(Drain)->ArgsProduct({{kMemory, kInterval}, {100'000}})->UseRealTime()->MeasureProcessCPUTime();

void FanOut(benchmark::State& state) {
  Place place(state.range(0));
  BenchLane lane(place.store());
  Ids ids;
  std::vector<Change> sessions;
  for (std::int64_t i = 1; i <= state.range(1); ++i)
    sessions.emplace_back(PutSession{{static_cast<SessionId>(i), "client", 60, false, 0}});
  lane.submit(std::move(sessions));
  std::int64_t messages = 0;
  for (auto _ : state) {
    std::vector<Change> in;
    const MessageId id = ids.next();
    const auto shared = message();
    for (std::int64_t i = 1; i <= state.range(1); ++i)
      in.emplace_back(Enqueue{static_cast<SessionId>(i), {id, shared, "", wire::Qos::k1, false, ""}});
    lane.submit(std::move(in));
    lane.wait(0);
    ++messages;
  }
  report(state, place, messages);
}
BENCHMARK(FanOut)->ArgsProduct({{kMemory, kInterval}, {1000}})->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace petrel::storage
