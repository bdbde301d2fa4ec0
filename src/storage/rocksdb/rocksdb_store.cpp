#include "storage/rocksdb/rocksdb_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/thread_name.h"
#include "storage/rocksdb/collector.h"
#include "storage/rocksdb/elision.h"
#include "storage/rocksdb/group_writer.h"
#include "storage/rocksdb/load.h"
#include "storage/rocksdb/rocksdb_lane.h"

namespace petrel::storage {
namespace {

// A group of so many changes shows a load under which the next one waits longer: more of its messages are acknowledged
// by then and need no writing, which is cheaper for all than to be quick.
constexpr std::size_t kBusyChanges = 256;
constexpr int kBusyFactor = 4;
constexpr auto kWriteTime = std::chrono::microseconds(8);  // of an entry with its message, roughly
constexpr auto kMostPatience = std::chrono::milliseconds(20);
constexpr auto kLater = std::chrono::milliseconds(10);       // acknowledgements that nobody waits for
constexpr auto kLookEvery = std::chrono::microseconds(100);  // under load
constexpr std::size_t kGroupChanges = 100'000;               // a group ends with the batch that reaches it

using Clock = std::chrono::steady_clock;

std::uint64_t microseconds_since(Clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
}

}  // namespace

struct RocksStore::Parts {
  Parts(const rocks::Directory& directory, const RocksStoreOptions& options)
      : database(directory.database_path(), table, {options.env, options.sync_file}),
        writer(database, options.sync == Sync::kAlways),
        collector(database, options.collect_bytes),
        elision(table) {}
  rocks::SessionTable table;
  rocks::Database database;
  rocks::GroupWriter writer;
  rocks::Collector collector;
  rocks::Elision elision;
};

RocksStore::RocksStore(RocksStoreOptions options, rocks::Directory directory)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      parts_(std::make_unique<Parts>(directory_, options_)) {}

Result<std::unique_ptr<RocksStore>, StoreError> RocksStore::open(RocksStoreOptions options) {
  auto directory = rocks::Directory::open(options.directory);
  if (!directory.has_value()) return directory.error();
  std::unique_ptr<RocksStore> store(new RocksStore(std::move(options), std::move(*directory)));
  if (auto started = store->start(); !started.has_value()) return started.error();
  return store;
}

Result<void, StoreError> RocksStore::start() {
  const auto begin = Clock::now();
  if (auto opened = parts_->database.open(); !opened.has_value()) return opened;
  const auto last = rocks::load_table(parts_->database, rocks::LoadWhen::kAtStart, options_.count_at_start);
  if (!last.has_value()) return last.error();
  last_message_ = last->message;
  last_session_ = last->session;
  threads_.emplace_back([this] { write_loop(); });
  threads_.emplace_back([this] { read_loop(); });
  if (options_.sync == Sync::kInterval) threads_.emplace_back([this] { sync_loop(); });
  threads_.emplace_back([this] { collect_loop(); });
  if (options_.log != nullptr)
    options_.log->info("store opened",
                       {{"directory", directory_.path()},
                        {"sessions", parts_->table.sessions.size()},
                        {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count()}});
  return {};
}

RocksStore::~RocksStore() {
  if (threads_.empty()) return;
  {
    const std::lock_guard lock(writer_mutex_);
    closing_ = true;
  }
  writer_wake_.notify_one();
  threads_.front().join();  // it hands its last reads on
  {
    const std::lock_guard lock(reader_mutex_);
    reads_end_ = true;
  }
  reader_wake_.notify_one();
  {
    const std::lock_guard lock(pause_mutex_);
    pauses_end_ = true;
  }
  pause_wake_.notify_all();
  parts_->collector.stop();
  parts_->database.interrupt_compaction();
  for (std::size_t i = 1; i < threads_.size(); ++i) threads_[i].join();
  // So that the next start has no log to replay.
  if (!failing_) flush();
}

Result<void, StoreError> RocksStore::recover(Recovery& recovery) {
  const std::shared_lock use(parts_->database.use);
  return rocks::report(parts_->database, recovery);
}

MessageId RocksStore::last_message_id() const { return last_message_; }
SessionId RocksStore::last_session_id() const { return last_session_; }

std::unique_ptr<Lane> RocksStore::open_lane(std::uint32_t, std::function<void()> wake) {
  return std::make_unique<RocksLane>(*this, std::move(wake));
}

RocksStore::Counts RocksStore::counts() const {
  const std::lock_guard lock(counts_mutex_);
  return counts_;
}

std::vector<StoreMetric> RocksStore::metrics() const {
  const Counts c = counts();
  return {{"commits", c.groups},
          {"commit_batches", c.batches},
          {"commit_batches_max", c.most_batches, false},
          {"commit_us", c.commit_us},
          {"commit_us_max", c.most_commit_us, false},
          {"commit_failures", c.failures},
          {"log_bytes", c.log_bytes},
          {"entries_written", c.entries},
          {"entries_elided", c.elided},
          {"messages_written", c.bodies},
          {"messages_unreadable", c.unreadable},
          {"syncs", c.syncs},
          {"sync_us", c.sync_us},
          {"sync_us_max", c.most_sync_us, false},
          {"collections", c.collections},
          {"file_bytes", file_bytes(), false}};
}

template <class Change>
void RocksStore::count(Change change) {
  const std::lock_guard lock(counts_mutex_);
  change(counts_);
}

void RocksStore::flush() {
  const std::shared_lock use(parts_->database.use);
  if (!failing_ && parts_->database.is_open()) parts_->database.flush();
}

Result<void, StoreError> RocksStore::collect() {
  const std::shared_lock use(parts_->database.use);
  if (!parts_->database.is_open()) return StoreError{"the store is not open after an error"};
  return parts_->collector.collect();
}

std::uint64_t RocksStore::file_bytes() const {
  const std::shared_lock use(parts_->database.use);
  if (!parts_->database.is_open()) return 0;
  return parts_->database.file_bytes();
}

// --- the writer

void RocksStore::submit(Item item) {
  item.came = Clock::now();
  bool idle;
  {
    const std::lock_guard lock(writer_mutex_);
    idle = waiting_.empty();
    waiting_.push_back(std::move(item));
  }
  if (idle) writer_wake_.notify_one();
}

void RocksStore::take_waiting() {
  new_changes_ = 0;
  for (Item& item : waiting_) {
    taken_.push_back(std::move(item));
    if (auto* batch = std::get_if<Batch>(&taken_.back().what)) {
      parts_->elision.add(*batch);
      new_changes_ += batch->changes.size();
    } else {
      parts_->elision.add_other();
    }
  }
  waiting_.clear();
}

void RocksStore::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto hurry = [this] { return closing_ || lane_ended_; };
  const auto work = [this] { return closing_ || !waiting_.empty(); };
  if (taken_.empty()) {
    if (parts_->database.is_open()) {
      writer_wake_.wait(lock, work);
    } else {
      writer_wake_.wait_for(lock, std::chrono::milliseconds(options_.retry_ms), work);
    }
  }
  // A stream is taken in portions.
  if (new_changes_ >= kBusyChanges / 4) writer_wake_.wait_until(lock, looked_ + kLookEvery, hurry);
  if (!taken_.empty()) writer_wake_.wait_until(lock, next_due_, [&] { return hurry() || !waiting_.empty(); });
  looked_ = Clock::now();
  hurry_ = hurry();
}

void RocksStore::write_loop() {
  name_thread("commit");
  for (;;) {
    {
      std::unique_lock lock(writer_mutex_);
      wait_for_work(lock);
      if (closing_ && waiting_.empty() && taken_.empty()) return;
      take_waiting();
    }
    report_settled();
    for (std::size_t due = find_due(); due != 0; due = find_due()) write_group(due);
    if (taken_.empty() && !parts_->database.is_open()) open_for_reads();
  }
}

// The last attempt to write ended with its lane. Nobody may have anything to write, but reads wait.
void RocksStore::open_for_reads() {
  if (!repair().has_value()) return;
  failing_ = false;
  announce(std::nullopt);
}

// Batches of which nothing is left that anybody waits for are done, each lane's in their order.
void RocksStore::report_settled() {
  rocks::Elision& elision = parts_->elision;
  std::vector<LaneCore*> held;
  std::vector<Item*> settled;
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    LaneCore* lane = taken_[i].lane;
    if (lane == nullptr || std::find(held.begin(), held.end(), lane) != held.end()) continue;
    if (elision.at(i).is_settled()) {
      settled.push_back(&taken_[i]);
    } else {
      held.push_back(lane);
    }
  }
  if (!settled.empty()) count([&](Counts& c) { c.elided = parts_->writer.counts().elided + elision.elided(); });
  finish(settled, Outcome::kCommitted);
  for (Item* item : settled) item->lane = nullptr;
  while (!taken_.empty() && taken_.front().lane == nullptr && elision.at(0).is_void()) {
    elision.pop_front();
    taken_.pop_front();
  }
}

std::size_t RocksStore::find_due() {
  const rocks::Elision& elision = parts_->elision;
  const auto now = Clock::now();
  const auto next_group =
      group_began_ + (last_changes_ < kBusyChanges ? options_.spacing : options_.spacing * kBusyFactor);
  const Clock::duration least = options_.spacing * kBusyFactor;
  patience_ = std::clamp<Clock::duration>(elision.awaited() * kWriteTime, least,
                                          std::max<Clock::duration>(least, kMostPatience));
  next_due_ = Clock::time_point::max();
  std::size_t count = 0;
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    const rocks::Elision::State& state = elision.at(i);
    Clock::time_point due = taken_[i].came + kLater;
    if (state.awaited != 0) due = taken_[i].came + patience_;
    if (state.urgent + state.doubtful != 0) due = next_group;
    if (hurry_ || due <= now) {
      count = i + 1;
      next_due_ = Clock::time_point::max();
    } else {
      next_due_ = std::min(next_due_, due);
    }
  }
  return count;
}

// One group of batches, and behind it the reads that were asked for meanwhile: those see all that came before them.
void RocksStore::write_group(std::size_t count) {
  group_began_ = Clock::now();
  std::vector<Item> group, reads;
  std::size_t changes = 0;
  for (; count != 0 && changes < kGroupChanges; --count, taken_.pop_front()) {
    Item& item = taken_.front();
    parts_->elision.pop_front(item.came + patience_ <= group_began_);
    const Batch* batch = std::get_if<Batch>(&item.what);
    if (batch != nullptr) changes += batch->changes.size();
    (batch != nullptr ? group : reads).push_back(std::move(item));
  }
  last_changes_ = changes;
  commit_group(group);
  if (reads.empty()) return;
  {
    const std::lock_guard lock(reader_mutex_);
    for (Item& read : reads) reads_.push_back(std::move(read));
  }
  reader_wake_.notify_one();
}

void RocksStore::commit_group(std::vector<Item>& group) {
  while (!group.empty()) {
    std::vector<LaneCore*> ending;
    {
      const std::lock_guard lock(writer_mutex_);
      ending = ending_;
      lane_ended_ = false;
    }
    const auto begin = Clock::now();
    const auto result = commit(group);
    const std::uint64_t took_us = microseconds_since(begin);
    const rocks::GroupWriter::Counts& written = parts_->writer.counts();
    count([&](Counts& c) {
      c.writes = written.writes;
      c.entries = written.entries;
      c.elided = written.elided + parts_->elision.elided();
      c.bodies = written.bodies;
      c.log_bytes = written.log_bytes;
      c.rescans = written.rescans;
      ++(result.has_value() ? c.groups : c.failures);
      if (!result.has_value()) return;
      c.batches += group.size();
      c.most_batches = std::max<std::uint64_t>(c.most_batches, group.size());
      c.commit_us += took_us;
      commit_times_.add(took_us);
      c.most_commit_us = std::max(c.most_commit_us, took_us);
    });
    if (result.has_value()) {
      if (failing_.exchange(false)) announce(std::nullopt);
      return finish(pointers(group), Outcome::kCommitted);
    }
    const bool was_failing = failing_.exchange(true);
    announce(result.error());
    // RocksDB fails a write for what went wrong behind it long ago, too: only an attempt that has opened it again tells
    // that nothing can be stored.
    if (was_failing) abandon(group, ending);
    if (!group.empty() && (was_failing || ending.empty())) wait_to_retry();
  }
}

Result<void, StoreError> RocksStore::commit(const std::vector<Item>& group) {
  if (failing_) {
    if (auto repaired = repair(); !repaired.has_value()) return repaired;
  }
  std::vector<const Batch*> batches;
  batches.reserve(group.size());
  for (const Item& item : group) batches.push_back(&std::get<Batch>(item.what));
  const std::shared_lock use(parts_->database.use);
  const std::uint64_t writes = parts_->writer.counts().writes;
  auto done = parts_->writer.commit(batches);
  if (parts_->writer.counts().writes != writes) unsynced_.store(true, std::memory_order_release);
  return done;
}

void RocksStore::wait_to_retry() {
  std::unique_lock lock(writer_mutex_);
  writer_wake_.wait_for(lock, std::chrono::milliseconds(options_.retry_ms), [this] { return closing_ || lane_ended_; });
}

// Lanes that ended before the last attempt wait no longer: neither for this group nor for what comes behind it.
void RocksStore::abandon(std::vector<Item>& group, const std::vector<LaneCore*>& ending) {
  bool closing = false;
  {
    const std::lock_guard lock(writer_mutex_);
    closing = closing_;
    if (ending.empty() && !closing) return;
    take_waiting();
  }
  std::vector<Item> abandoned;
  const auto take_from = [&](auto& items) {
    const auto gone = std::stable_partition(items.begin(), items.end(), [&](const Item& item) {
      if (item.lane == nullptr) return !closing;
      return std::find(ending.begin(), ending.end(), item.lane) == ending.end();
    });
    std::move(gone, items.end(), std::back_inserter(abandoned));
    items.erase(gone, items.end());
  };
  take_from(group);
  take_from(taken_);
  parts_->elision.clear();
  for (std::size_t i = 0; i < taken_.size(); ++i) parts_->elision.add_other();
  if (abandoned.empty()) return;
  if (options_.log != nullptr)
    options_.log->error("changes not stored",
                        {{"batches", abandoned.size()}, {"reason", "the broker ends, and the store takes nothing"}});
  finish(pointers(abandoned), Outcome::kAbandoned);
}

void RocksStore::announce(std::optional<StoreError> trouble) {
  const std::lock_guard lock(lanes_mutex_);
  if (options_.log != nullptr && trouble && !trouble_)
    options_.log->error("store fails", {{"reason", trouble->what}, {"effect", "it is tried again until it works"}});
  if (options_.log != nullptr && !trouble)
    options_.log->warning("store works again", {{"directory", directory_.path()}});
  const bool news = !trouble || !trouble_ || trouble->what != trouble_->what;
  trouble_ = std::move(trouble);
  if (!news) return;
  for (LaneCore* lane : lanes_) {
    {
      const std::lock_guard core_lock(lane->mutex);
      lane->trouble = trouble_;
      lane->trouble_changed = true;
    }
    lane->call();
  }
}

void RocksStore::end_lane(LaneCore& lane) {
  {
    const std::lock_guard lock(lanes_mutex_);
    std::erase(lanes_, &lane);
  }
  {
    const std::lock_guard lock(reader_mutex_);
    lane.reads_wait = false;
  }
  reader_wake_.notify_one();
  {
    const std::lock_guard lock(writer_mutex_);
    ending_.push_back(&lane);
    lane_ended_ = true;
  }
  writer_wake_.notify_one();
  {
    std::unique_lock lock(lane.mutex);
    lane.idle.wait(lock, [&] { return lane.pending == 0; });
  }
  const std::lock_guard lock(writer_mutex_);
  std::erase(ending_, &lane);
}

// RocksDB is opened again, but not before the disk takes writes: until then it stays open for reading. It is not asked
// to resume: it may go on with the log file whose write has failed, which its assertions do not allow.
Result<void, StoreError> RocksStore::repair() {
  rocks::Database& database = parts_->database;
  if (auto probed = database.probe(); !probed.has_value()) return probed;
  database.interrupt_compaction();
  const std::unique_lock use(database.use);
  auto opened = database.open();
  if (opened.has_value()) {
    if (const auto loaded = rocks::load_table(database, rocks::LoadWhen::kRunning); !loaded.has_value()) {
      database.close();
      opened = loaded.error();
    }
  }
  {
    const std::lock_guard lock(reader_mutex_);
    readable_ = opened.has_value();
  }
  reader_wake_.notify_one();
  return opened;
}

std::vector<RocksStore::Item*> RocksStore::pointers(std::vector<Item>& items) {
  std::vector<Item*> all;
  all.reserve(items.size());
  for (Item& item : items) all.push_back(&item);
  return all;
}

void RocksStore::finish(const std::vector<Item*>& items, Outcome outcome) {
  // One lane after the other, so that each is woken once.
  std::vector<LaneCore*> lanes;
  for (const Item* item : items) {
    if (item->lane != nullptr && std::find(lanes.begin(), lanes.end(), item->lane) == lanes.end())
      lanes.push_back(item->lane);
  }
  for (LaneCore* lane : lanes) {
    std::size_t finished = 0;
    {
      const std::lock_guard lock(lane->mutex);
      for (const Item* item : items) {
        if (item->lane != lane) continue;
        ++finished;
        if (outcome == Outcome::kCommitted) lane->done.push_back(std::get<Batch>(item->what).number);
      }
    }
    lane->deliver(finished);
  }
}

// --- the others

// While the database is not open, reads wait; but not those of a lane that ends.
std::optional<RocksStore::Item> RocksStore::next_read() {
  std::unique_lock lock(reader_mutex_);
  for (;;) {
    const auto found = std::find_if(reads_.begin(), reads_.end(), [this](const Item& read) {
      return readable_ || reads_end_ || !read.lane->reads_wait;
    });
    if (found != reads_.end()) {
      Item item = std::move(*found);
      reads_.erase(found);
      return item;
    }
    if (reads_end_) return std::nullopt;
    reader_wake_.wait(lock);
  }
}

// True: it has to be asked for once more, for the database has been closed since it was taken up.
bool RocksStore::put_back(Item& read) {
  const std::lock_guard lock(reader_mutex_);
  if (reads_end_ || !read.lane->reads_wait) return false;
  reads_.push_front(std::move(read));
  return true;
}

void RocksStore::read_loop() {
  name_thread("read");
  while (auto item = next_read()) {
    const auto& request = std::get<rocks::PageRequest>(item->what);
    QueuePage page;
    std::size_t unreadable = 0;
    {
      const std::shared_lock use(parts_->database.use);
      if (parts_->database.is_open()) {
        page = rocks::read_page(parts_->database, request, unreadable);
      } else {
        if (put_back(*item)) continue;
        page.session = request.session;
        page.request = request.request;
        page.error = StoreError{"the store is not open after an error"};
      }
    }
    if (unreadable != 0) {
      count([&](Counts& c) { c.unreadable += unreadable; });
      if (options_.log != nullptr)
        options_.log->error("messages unreadable", {{"session", request.session}, {"messages", unreadable}});
    }
    {
      const std::lock_guard lock(item->lane->mutex);
      item->lane->pages.push_back(std::move(page));
    }
    item->lane->deliver(1);
  }
}

bool RocksStore::pause(TimeMs time_ms) {
  std::unique_lock lock(pause_mutex_);
  return !pause_wake_.wait_for(lock, std::chrono::milliseconds(time_ms), [this] { return pauses_end_; });
}

void RocksStore::sync_loop() {
  name_thread("sync");
  bool failed = false;
  while (pause(options_.sync_interval_ms)) {
    if (!unsynced_.exchange(false, std::memory_order_acq_rel)) continue;
    const std::shared_lock use(parts_->database.use);
    if (!parts_->database.is_open()) continue;
    const auto begin = Clock::now();
    const auto synced = parts_->database.sync();
    const std::uint64_t took_us = microseconds_since(begin);
    count([&](Counts& c) {
      ++c.syncs;
      c.sync_us += took_us;
      c.most_sync_us = std::max(c.most_sync_us, took_us);
    });
    if (!synced.has_value()) unsynced_.store(true, std::memory_order_release);
    if (options_.log != nullptr && failed != !synced.has_value()) {
      if (synced.has_value())
        options_.log->warning("store syncs again", {{"directory", directory_.path()}});
      else
        options_.log->error("store cannot sync", {{"reason", synced.error().what}});
    }
    failed = !synced.has_value();
  }
}

void RocksStore::collect_loop() {
  name_thread("collect");
  while (pause(options_.collect_interval_ms)) {
    const std::shared_lock use(parts_->database.use);
    if (failing_ || !parts_->database.is_open() || !parts_->collector.due()) continue;
    const std::uint64_t before = parts_->database.file_bytes();
    const auto collected = parts_->collector.collect_due();
    if (collected.has_value()) count([](Counts& c) { ++c.collections; });
    if (options_.log == nullptr) continue;
    if (collected.has_value()) {
      options_.log->debug("store collected",
                          {{"bytes_before", before}, {"bytes_after", parts_->database.file_bytes()}});
    } else {
      options_.log->warning("store cannot collect", {{"reason", collected.error().what}});
    }
  }
}

}  // namespace petrel::storage
