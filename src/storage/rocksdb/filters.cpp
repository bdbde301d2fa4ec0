#include "storage/rocksdb/filters.h"

#include <rocksdb/compaction_filter.h>

#include "storage/rocksdb/database.h"
#include "storage/rocksdb/record.h"

namespace petrel::storage::rocks {
namespace {

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// Knows the session whose records lie next to each other.
template <class T>
class LookedUp {
 public:
  template <class F>
  const T& get(SessionId session, F&& look_up) {
    if (!known_ || session != session_) {
      session_ = session;
      known_ = true;
      value_ = look_up();
    }
    return value_;
  }

 private:
  bool known_ = false;
  SessionId session_ = 0;
  T value_{};
};

// A session's own record is erased when it ends; what is left of it is known by the lack of one.
class StateFilter final : public rocksdb::CompactionFilter {
 public:
  explicit StateFilter(const SessionTable& table) : table_(table) {}
  const char* Name() const override { return "petrel.state"; }
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice&, std::string*,
                    std::string*) const override {
    const auto decoded = decode_state_key(view(key));
    if (type != ValueType::kValue || !decoded || decoded->kind == Kind::kSession) return Decision::kKeep;
    const bool exists = exists_.get(decoded->session, [&] { return table_.has(decoded->session); });
    return exists ? Decision::kKeep : Decision::kRemove;
  }

 private:
  const SessionTable& table_;
  mutable LookedUp<bool> exists_;
};

class QueueFilter final : public rocksdb::CompactionFilter {
 public:
  explicit QueueFilter(const SessionTable& table) : table_(table) {}
  const char* Name() const override { return "petrel.queue"; }
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice&, std::string*,
                    std::string*) const override {
    const auto decoded = decode_queue_key(view(key));
    if (type != ValueType::kValue || !decoded) return Decision::kKeep;
    const auto& queue = queue_.get(decoded->session, [&] { return table_.queue_of(decoded->session); });
    return !queue || queue->is_acknowledged(decoded->message) ? Decision::kRemove : Decision::kKeep;
  }

 private:
  const SessionTable& table_;
  mutable LookedUp<std::optional<QueueState>> queue_;
};

class BodyFilter final : public rocksdb::CompactionFilter {
 public:
  explicit BodyFilter(std::shared_ptr<const LiveBodies> live) : live_(std::move(live)) {}
  const char* Name() const override { return "petrel.bodies"; }
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice& value, std::string*,
                    std::string*) const override {
    const auto id = decode_body_key(view(key));
    if (type != ValueType::kValue || !id) return Decision::kKeep;
    if (message_expiry(view(value)) < live_->expired_before) return Decision::kRemove;
    return *id > live_->tips.of(lane_of(*id)) || live_->set.may_hold(*id) ? Decision::kKeep : Decision::kRemove;
  }

 private:
  const std::shared_ptr<const LiveBodies> live_;
};

// Of filters that ask the session table: from the first file that is written on.
template <class Filter>
class TableFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  TableFilterFactory(const SessionTable& table, const char* name) : table_(table), name_(name) {}
  const char* Name() const override { return name_; }
  bool ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const override {
    return reason == rocksdb::TableFileCreationReason::kFlush ||
           reason == rocksdb::TableFileCreationReason::kCompaction;
  }
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    const std::lock_guard lock(table_.mutex);
    if (!table_.loaded) return nullptr;
    return std::make_unique<Filter>(table_);
  }

 private:
  const SessionTable& table_;
  const char* const name_;
};

class BodyFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit BodyFilterFactory(Database& database) : database_(database) {}
  const char* Name() const override { return "petrel.bodies"; }
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    auto live = database_.live_bodies();
    return live ? std::make_unique<BodyFilter>(std::move(live)) : nullptr;
  }

 private:
  Database& database_;
};

}  // namespace

std::shared_ptr<rocksdb::CompactionFilterFactory> state_filter(Database& database) {
  return std::make_shared<TableFilterFactory<StateFilter>>(database.table(), "petrel.state");
}

std::shared_ptr<rocksdb::CompactionFilterFactory> queue_filter(Database& database) {
  return std::make_shared<TableFilterFactory<QueueFilter>>(database.table(), "petrel.queue");
}

std::shared_ptr<rocksdb::CompactionFilterFactory> body_filter(Database& database) {
  return std::make_shared<BodyFilterFactory>(database);
}

}  // namespace petrel::storage::rocks
