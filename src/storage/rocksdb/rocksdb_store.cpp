#include "storage/rocksdb/rocksdb_store.h"

#include <fmt/format.h>

#include <utility>

#include "storage/rocksdb/collector.h"
#include "storage/rocksdb/group_writer.h"
#include "storage/rocksdb/load.h"
#include "storage/rocksdb/rocksdb_lane.h"

namespace petrel::storage {
namespace {

constexpr std::size_t kGroupChanges = 20'000;  // a group ends with the batch that reaches it

using Clock = std::chrono::steady_clock;

}  // namespace

struct RocksStore::Parts {
  Parts(const rocks::Directory& directory, const RocksStoreOptions& options)
      : database(directory.database_path(), table, options.env),
        writer(database, options.sync == Sync::kAlways),
        collector(database, options.collect_bytes) {}
  rocks::SessionTable table;
  rocks::Database database;
  rocks::GroupWriter writer;
  rocks::Collector collector;
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
  const auto last = rocks::load_table(parts_->database, rocks::LoadWhen::kAtStart);
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
  if (parts_->database.is_open()) {
    // So that the next start has no log to replay.
    flush();
    if (options_.sync != Sync::kOs) (void)parts_->database.sync().has_value();
  }
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

template <class Change>
void RocksStore::count(Change change) {
  const std::lock_guard lock(counts_mutex_);
  change(counts_);
}

void RocksStore::flush() {
  const std::shared_lock use(parts_->database.use);
  if (parts_->database.is_open()) parts_->database.flush();
}

Result<void, StoreError> RocksStore::collect() {
  const std::shared_lock use(parts_->database.use);
  return parts_->collector.collect();
}

std::uint64_t RocksStore::file_bytes() const {
  const std::shared_lock use(parts_->database.use);
  return parts_->database.file_bytes(rocks::Database::kQueue) + parts_->database.file_bytes(rocks::Database::kBodies);
}

// --- the writer

void RocksStore::submit(Item item) {
  bool idle;
  {
    const std::lock_guard lock(writer_mutex_);
    idle = waiting_.empty();
    waiting_.push_back(std::move(item));
  }
  if (idle) writer_wake_.notify_one();
}

void RocksStore::write_loop() {
  std::vector<Item> items;
  for (;;) {
    {
      std::unique_lock lock(writer_mutex_);
      writer_wake_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      items.swap(waiting_);
    }
    write_items(items);
    items.clear();
  }
}

// Groups of batches, and behind each the reads that were asked for meanwhile: those see all that came before them.
void RocksStore::write_items(std::vector<Item>& items) {
  std::vector<Item*> group, reads;
  for (std::size_t i = 0; i < items.size();) {
    group.clear();
    reads.clear();
    for (std::size_t changes = 0; i < items.size() && changes < kGroupChanges; ++i) {
      if (const Batch* batch = std::get_if<Batch>(&items[i].what); batch != nullptr) {
        changes += batch->changes.size();
        group.push_back(&items[i]);
      } else {
        reads.push_back(&items[i]);
      }
    }
    if (!group.empty()) commit_group(group);
    if (reads.empty()) continue;
    {
      const std::lock_guard lock(reader_mutex_);
      for (Item* read : reads) reads_.push_back(std::move(*read));
    }
    reader_wake_.notify_one();
  }
}

void RocksStore::commit_group(const std::vector<Item*>& group) {
  const auto result = commit(group);
  if (result.has_value() && failure_) {
    failure_.reset();
    resumed_ = false;
    if (options_.log != nullptr) options_.log->warning("store works again", {{"directory", directory_.path()}});
  }
  if (!result.has_value()) {
    if (!failure_ && options_.log != nullptr) options_.log->error("store fails", {{"reason", result.error().what}});
    failure_ = result.error();
  }
  const rocks::GroupWriter::Counts& written = parts_->writer.counts();
  count([&](Counts& c) {
    ++c.groups;
    c.writes = written.writes;
    c.entries = written.entries;
    c.elided = written.elided;
    c.bodies = written.bodies;
    c.log_bytes = written.log_bytes;
    c.rescans = written.rescans;
    if (!result.has_value()) ++c.failed_groups;
  });
  finish(group, result);
}

Result<void, StoreError> RocksStore::commit(const std::vector<Item*>& group) {
  if (failure_) {
    if (Clock::now() < retry_at_) return *failure_;
    retry_at_ = Clock::now() + std::chrono::milliseconds(options_.retry_ms);
    if (auto repaired = repair(); !repaired.has_value()) return repaired;
  }
  std::vector<const Batch*> batches;
  batches.reserve(group.size());
  for (const Item* item : group) batches.push_back(&std::get<Batch>(item->what));
  const std::shared_lock use(parts_->database.use);
  auto done = parts_->writer.commit(batches);
  if (done.has_value()) {
    if (options_.sync == Sync::kInterval) unsynced_.store(true, std::memory_order_release);
  } else {
    retry_at_ = Clock::now() + std::chrono::milliseconds(options_.retry_ms);
  }
  return done;
}

// RocksDB refuses writes once one has failed. First it is asked to go on; where it cannot, it is opened again, but not
// before the disk takes writes: until then it stays open for reading.
Result<void, StoreError> RocksStore::repair() {
  rocks::Database& database = parts_->database;
  if (!std::exchange(resumed_, true) && database.is_open()) {
    const std::shared_lock use(database.use);
    if (database.resume().has_value()) return {};
  }
  if (auto probed = database.probe(); !probed.has_value()) return probed;
  resumed_ = false;
  database.interrupt_compaction();
  const std::unique_lock use(database.use);
  if (auto opened = database.open(); !opened.has_value()) return opened;
  const auto loaded = rocks::load_table(database, rocks::LoadWhen::kRunning);
  if (loaded.has_value()) return {};
  database.close();
  return loaded.error();
}

void RocksStore::finish(const std::vector<Item*>& group, const Result<void, StoreError>& result) {
  // One lane after the other, so that each is woken once.
  std::vector<LaneCore*> lanes;
  for (const Item* item : group) {
    if (std::find(lanes.begin(), lanes.end(), item->lane) == lanes.end()) lanes.push_back(item->lane);
  }
  for (LaneCore* lane : lanes) {
    std::size_t finished = 0;
    {
      const std::lock_guard lock(lane->mutex);
      for (const Item* item : group) {
        if (item->lane != lane) continue;
        ++finished;
        LaneCore::Done done{std::get<Batch>(item->what).number, {}};
        if (!result.has_value()) done.error = result.error();
        lane->done.push_back(std::move(done));
      }
    }
    lane->deliver(finished);
  }
}

// --- the others

void RocksStore::read_loop() {
  for (;;) {
    std::optional<Item> item;
    {
      std::unique_lock lock(reader_mutex_);
      reader_wake_.wait(lock, [this] { return reads_end_ || !reads_.empty(); });
      if (reads_.empty()) return;
      item = std::move(reads_.front());
      reads_.pop_front();
    }
    const auto& request = std::get<rocks::PageRequest>(item->what);
    QueuePage page;
    std::size_t unreadable = 0;
    {
      const std::shared_lock use(parts_->database.use);
      if (parts_->database.is_open()) {
        page = rocks::read_page(parts_->database, request, unreadable);
      } else {
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
  while (pause(options_.sync_interval_ms)) {
    if (!unsynced_.exchange(false, std::memory_order_acq_rel)) continue;
    const std::shared_lock use(parts_->database.use);
    if (!parts_->database.is_open()) continue;
    const auto synced = parts_->database.sync();
    if (!synced.has_value() && options_.log != nullptr)
      options_.log->error("store cannot sync", {{"reason", synced.error().what}});
  }
}

void RocksStore::collect_loop() {
  while (pause(options_.collect_interval_ms)) {
    const std::shared_lock use(parts_->database.use);
    if (!parts_->database.is_open() || !parts_->collector.due()) continue;
    const std::uint64_t before = parts_->database.file_bytes(rocks::Database::kBodies);
    const auto collected = parts_->collector.collect();
    if (collected.has_value()) count([](Counts& c) { ++c.collections; });
    if (options_.log == nullptr) continue;
    if (collected.has_value()) {
      options_.log->debug("store collected", {{"bytes_before", before},
                                              {"bytes_after", parts_->database.file_bytes(rocks::Database::kBodies)}});
    } else {
      options_.log->warning("store cannot collect", {{"reason", collected.error().what}});
    }
  }
}

StoreCheck check_store(const std::string& directory) {
  StoreCheck result;
  const auto opened = rocks::Directory::open(directory);
  if (!opened.has_value()) {
    result.lines.push_back(opened.error().what);
    return result;
  }
  rocks::SessionTable table;
  rocks::Database database(opened->database_path(), table, nullptr);
  if (auto open = database.open(); !open.has_value()) {
    result.lines.push_back(open.error().what);
    return result;
  }
  if (auto loaded = rocks::load_table(database, rocks::LoadWhen::kAtStart); !loaded.has_value())
    result.lines.push_back(loaded.error().what);
  const rocks::CheckReport report = rocks::check(database);
  for (const std::string& damage : report.damages)
    if (std::find(result.lines.begin(), result.lines.end(), damage) == result.lines.end())
      result.lines.push_back(damage);
  result.sound = result.lines.empty();
  result.lines.push_back(
      fmt::format("{} sessions, {} subscriptions, {} queue entries, {} messages, {} retained messages", report.sessions,
                  report.subscriptions, report.entries, report.messages, report.retained));
  return result;
}

}  // namespace petrel::storage
