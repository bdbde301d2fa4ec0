// What matching costs: bytes and nanoseconds per subscription, per retained topic and per match. The second argument
// of the growing ones chooses the shape of the names (see make_name).
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "topics/match_cache.h"
#include "topics/retained_trie.h"
#include "topics/subscription_index.h"

namespace {

using namespace petrel;
using namespace petrel::topics;

std::size_t allocated_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

enum Shape : std::int64_t { kSensors = 0, kUsers = 1, kTwoPerDevice = 2 };

std::string make_name(std::int64_t shape, std::uint64_t n) {
  const std::uint64_t mixed = n * 0x9e3779b97f4a7c15u >> 40;  // so that names do not come in order
  switch (shape) {
    case kSensors:
      return "sensors/region" + std::to_string(mixed % 100) + "/device" + std::to_string(n) + "/temp";
    case kUsers:
      return "chat/user/" + std::to_string(n);
    default:
      return "sensors/region" + std::to_string(n / 2 % 100) + "/device" + std::to_string(n / 2) +
             (n % 2 == 0 ? "/temp" : "/humidity");
  }
}

std::vector<std::string> make_names(const benchmark::State& state) {
  std::vector<std::string> names;
  for (std::int64_t n = 0; n < state.range(0); ++n) {
    names.push_back(make_name(state.range(1), static_cast<std::uint64_t>(n)));
  }
  return names;
}

void finish(benchmark::State& state, std::size_t bytes) {
  const auto count = static_cast<double>(state.range(0));
  state.counters["bytes_each"] = static_cast<double>(bytes) / count;
  state.counters["time_each"] = benchmark::Counter(count * static_cast<double>(state.iterations()),
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void subscribe(benchmark::State& state) {
  const auto names = make_names(state);
  std::size_t bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto index = std::make_unique<SubscriptionIndex>();
    const std::size_t before = allocated_bytes();
    state.ResumeTiming();
    SubscriberId id = 0;
    for (const auto& name : names) index->subscribe(name, ++id, {.qos = 1});
    state.PauseTiming();
    bytes = allocated_bytes() - before;
    index.reset();
    state.ResumeTiming();
  }
  finish(state, bytes);
}

void unsubscribe(benchmark::State& state) {
  const auto names = make_names(state);
  std::size_t left = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto index = std::make_unique<SubscriptionIndex>();
    const std::size_t before = allocated_bytes();
    SubscriberId id = 0;
    for (const auto& name : names) index->subscribe(name, ++id, {.qos = 1});
    id = 0;
    state.ResumeTiming();
    for (const auto& name : names) index->unsubscribe(name, ++id);
    left = allocated_bytes() - before;
  }
  finish(state, left);
}

void match_uncached(benchmark::State& state) {
  const auto names = make_names(state);
  SubscriptionIndex index;
  SubscriberId id = 0;
  for (const auto& name : names) index.subscribe(name, ++id, {});
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index.match(names[at]));
    at = (at + 7919) % names.size();
  }
}

// Argument: how many topics go round in the cache.
void match_cached(benchmark::State& state) {
  SubscriptionIndex index;
  MatchCache cache(index, 1u << 16, 1u << 28);
  std::vector<std::string> names;
  for (std::int64_t n = 0; n < state.range(0); ++n) names.push_back(make_name(kSensors, static_cast<std::uint64_t>(n)));
  SubscriberId id = 0;
  for (const auto& name : names) index.subscribe(name, ++id, {});
  for (const auto& name : names) cache.match(name);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.match(names[at]).get());
    if (++at == names.size()) at = 0;
  }
  state.counters["hit_rate"] = static_cast<double>(cache.hits()) / static_cast<double>(cache.hits() + cache.misses());
}

// Another user subscribes or leaves before every match: the matches of the rest must stay cached.
void match_under_churn(benchmark::State& state) {
  SubscriptionIndex index;
  MatchCache cache(index, 1u << 16, 1u << 28);
  std::vector<std::string> names;
  for (std::uint64_t n = 0; n < 1000; ++n) names.push_back(make_name(kUsers, n));
  SubscriberId id = 0;
  for (const auto& name : names) index.subscribe(name, ++id, {});
  std::size_t at = 0;
  std::uint64_t other = 0;
  for (auto _ : state) {
    const std::string filter = make_name(kUsers, 1'000'000 + other++ % 100'000);
    index.subscribe(filter, 1, {});
    benchmark::DoNotOptimize(cache.match(names[at]).get());
    index.unsubscribe(filter, 1);
    if (++at == names.size()) at = 0;
  }
  state.counters["hit_rate"] = static_cast<double>(cache.hits()) / static_cast<double>(cache.hits() + cache.misses());
}

// A message of a shared subscription is handed on to another of so many members.
void shared_hand_on(benchmark::State& state) {
  SubscriptionIndex index;
  const std::string name = "$share/workers/jobs/#";
  for (std::int64_t n = 1; n <= state.range(0); ++n) index.subscribe(name, static_cast<SubscriberId>(n), {.qos = 1});
  for (auto _ : state) benchmark::DoNotOptimize(index.take_turn(name, 1).member.get());
}

class Note final : public RefCounted<Note> {
 public:
  explicit Note(std::string topic) : topic_(std::move(topic)) {}
  std::string_view topic() const { return topic_; }
  std::size_t block_bytes() const { return topic_.size(); }

 private:
  std::string topic_;
};

std::vector<Ref<const Note>> make_notes(const benchmark::State& state) {
  std::vector<Ref<const Note>> notes;
  for (auto& name : make_names(state)) notes.push_back(make_ref<Note>(std::move(name)));
  return notes;
}

void retain(benchmark::State& state) {
  const auto notes = make_notes(state);
  std::size_t bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto retained = std::make_unique<RetainedTopics<Note>>();
    const std::size_t before = allocated_bytes();
    state.ResumeTiming();
    for (const auto& note : notes) retained->set(note);
    state.PauseTiming();
    bytes = allocated_bytes() - before;
    retained.reset();
    state.ResumeTiming();
  }
  finish(state, bytes);
}

void retained_replace(benchmark::State& state) {
  const auto notes = make_notes(state);
  RetainedTopics<Note> retained;
  for (const auto& note : notes) retained.set(note);
  std::size_t at = 0;
  for (auto _ : state) {
    retained.set(notes[at]);
    at = (at + 7919) % notes.size();
  }
}

void retained_read_all(benchmark::State& state) {
  const auto notes = make_notes(state);
  RetainedTopics<Note> retained;
  for (const auto& note : notes) retained.set(note);
  for (auto _ : state) {
    std::string resume;
    for (bool more = true; more;) {
      auto page = retained.match("#", resume, 64);
      benchmark::DoNotOptimize(page.values.data());
      more = page.more;
      resume = std::move(page.resume);
    }
  }
  finish(state, 0);
}

void retained_read_one_by_wildcard(benchmark::State& state) {
  const auto notes = make_notes(state);
  RetainedTopics<Note> retained;
  for (const auto& note : notes) retained.set(note);
  std::uint64_t n = 0;
  for (auto _ : state) {
    const std::string filter =
        "sensors/+/device" + std::to_string(n++ % static_cast<std::uint64_t>(state.range(0))) + "/#";
    benchmark::DoNotOptimize(retained.match(filter, "", 64).values.data());
  }
}

constexpr std::int64_t kMillion = 1'000'000;

BENCHMARK(subscribe)
    ->ArgsProduct({{10'000, kMillion}, {kSensors, kUsers, kTwoPerDevice}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(unsubscribe)->ArgsProduct({{10'000, kMillion}, {kSensors, kUsers}})->Unit(benchmark::kMillisecond);
BENCHMARK(match_uncached)->ArgsProduct({{10'000, kMillion}, {kSensors}});
BENCHMARK(match_cached)->Arg(1)->Arg(100)->Arg(10'000)->Arg(60'000);
BENCHMARK(match_under_churn);
BENCHMARK(shared_hand_on)->Arg(10)->Arg(10'000);
BENCHMARK(retain)->ArgsProduct({{10'000, kMillion}, {kSensors, kUsers}})->Unit(benchmark::kMillisecond);
BENCHMARK(retained_replace)->ArgsProduct({{10'000, kMillion}, {kSensors}});
BENCHMARK(retained_read_all)->ArgsProduct({{10'000, kMillion}, {kSensors}})->Unit(benchmark::kMillisecond);
BENCHMARK(retained_read_one_by_wildcard)->ArgsProduct({{10'000, kMillion}, {kSensors}});

}  // namespace
