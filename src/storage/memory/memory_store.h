// A store that lives as long as its process. Threads: lanes may be used on different threads, one mutex guards the
// records. Lifetime: outlives its lanes; what survives a reopen is kept in the store object.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/spinning.h"
#include "storage/memory/queue.h"

namespace petrel::storage {

struct MemoryStoreOptions {
  bool survives_reopen = false;  // false: only queues are kept, all that is read back while the broker runs
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(MemoryStoreOptions options = {}) : options_(options) {}

  std::string_view name() const override { return "memory"; }
  Result<void, StoreError> recover(Recovery& recovery) override;
  MessageId last_message_id() const override;
  SessionId last_session_id() const override;
  std::unique_ptr<Lane> open_lane(std::uint32_t lane, std::function<void()> wake) override;

  // For the lanes, on any thread. Gives the long queues of sessions that have ended: to free them takes time.
  std::vector<MemoryQueue> apply(Batch batch);
  QueuePage read(SessionId session, const QueuePosition& position, std::size_t limit, std::size_t limit_bytes) const;

 private:
  struct Session {
    SessionRecord record;
    std::map<std::string, SubscriptionRecord> subscriptions;
    MemoryQueue queue;
    std::map<wire::PacketId, OutgoingRecord> outgoing;
    std::set<wire::PacketId> incoming;
    std::optional<WillRecord> will;
  };
  struct Applier;

  MemoryStoreOptions options_;
  mutable Spinning<std::mutex> mutex_;
  boost::unordered_flat_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::map<std::string, Ref<const wire::Message>, std::less<>> retained_;
  MessageId last_message_ = 0;
  SessionId last_session_ = 0;
};

}  // namespace petrel::storage
