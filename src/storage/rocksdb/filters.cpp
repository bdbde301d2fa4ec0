#include "storage/rocksdb/filters.h"

#include <rocksdb/compaction_filter.h>

#include "storage/rocksdb/database.h"
#include "storage/rocksdb/record.h"

namespace petrel::storage::rocks {
namespace {

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

class QueueFilter final : public rocksdb::CompactionFilter {
 public:
  explicit QueueFilter(const SessionTable& table) : table_(table) {}
  const char* Name() const override { return "petrel.queue"; }
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice&, std::string*,
                    std::string*) const override {
    const auto decoded = decode_queue_key(view(key));
    if (type != ValueType::kValue || !decoded) return Decision::kKeep;
    if (!looked_up_ || decoded->session != session_) look_up(decoded->session);
    return !queue_ || queue_->is_acknowledged(decoded->message) ? Decision::kRemove : Decision::kKeep;
  }

 private:
  void look_up(SessionId session) const {
    session_ = session;
    looked_up_ = true;
    queue_ = table_.queue_of(session);
  }
  const SessionTable& table_;
  mutable bool looked_up_ = false;
  mutable SessionId session_ = 0;
  mutable std::optional<QueueState> queue_;
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

class QueueFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit QueueFilterFactory(Database& database) : table_(database.table()) {}
  const char* Name() const override { return "petrel.queue"; }
  bool ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const override {
    return reason == rocksdb::TableFileCreationReason::kFlush ||
           reason == rocksdb::TableFileCreationReason::kCompaction;
  }
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    const std::lock_guard lock(table_.mutex);
    if (!table_.loaded) return nullptr;
    return std::make_unique<QueueFilter>(table_);
  }

 private:
  const SessionTable& table_;
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

std::shared_ptr<rocksdb::CompactionFilterFactory> queue_filter(Database& database) {
  return std::make_shared<QueueFilterFactory>(database);
}

std::shared_ptr<rocksdb::CompactionFilterFactory> body_filter(Database& database) {
  return std::make_shared<BodyFilterFactory>(database);
}

}  // namespace petrel::storage::rocks
