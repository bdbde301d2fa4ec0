#include "storage/memory/memory_store.h"

namespace petrel::storage {
namespace {

// Of the queues of ended sessions a turn frees so much: a message is worth one, and one for each so many bytes.
constexpr std::size_t kFreedPerPoll = 500, kBytesOfFreeing = 1024;
// Queues up to this length, of small messages, are freed at once.
constexpr std::size_t kShortQueue = 16;

class MemoryLane final : public Lane {
 public:
  MemoryLane(MemoryStore& store, std::function<void()> wake) : store_(store), wake_(std::move(wake)) {}

  void commit(Batch batch) override {
    done_.push_back(batch.number);
    for (MemoryQueue& queue : store_.apply(std::move(batch))) ended_.push_back(std::move(queue));
    if (!ended_.empty()) wake_();
  }
  void read_queue(SessionId session, std::uint64_t request, QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    pages_.push_back(store_.read(session, position, limit, limit_bytes));
    pages_.back().request = request;
  }
  void poll(LaneEvents& events) override {
    for (BatchNumber number : std::exchange(done_, {})) events.on_committed(number);
    for (QueuePage& page : std::exchange(pages_, {})) events.on_queue_page(std::move(page));
    if (ended_.empty()) return;
    for (std::size_t work = 0; work < kFreedPerPoll && !ended_.empty();) {
      work += 1 + ended_.front().drop_one() / kBytesOfFreeing;
      if (ended_.front().size() == 0) ended_.pop_front();
    }
    if (!ended_.empty()) wake_();
  }

 private:
  MemoryStore& store_;
  std::function<void()> wake_;
  std::vector<BatchNumber> done_;
  std::deque<MemoryQueue> ended_;
  std::deque<QueuePage> pages_;
};

}  // namespace

// Changes for a session that is not there are passed over: it may have been erased meanwhile.
struct MemoryStore::Applier {
  MemoryStore& store;
  std::vector<MemoryQueue>& ended;
  bool all = store.options_.survives_reopen;

  Session* find(SessionId id) const {
    const auto found = store.sessions_.find(id);
    return found == store.sessions_.end() ? nullptr : found->second.get();
  }
  Session* kept(SessionId id) const { return all ? find(id) : nullptr; }

  void operator()(PutSession& c) const {
    store.last_session_ = std::max(store.last_session_, c.record.id);
    std::unique_ptr<Session>& session = store.sessions_[c.record.id];
    if (session == nullptr) session = std::make_unique<Session>();
    if (all) session->record = std::move(c.record);
  }
  void operator()(EraseSession& c) const {
    const auto found = store.sessions_.find(c.session);
    if (found == store.sessions_.end()) return;
    if (found->second->queue.size() > kShortQueue) ended.push_back(std::move(found->second->queue));
    store.sessions_.erase(found);
  }
  void operator()(PutSubscription& c) const {
    if (Session* s = kept(c.session)) s->subscriptions[c.record.filter] = c.record;
  }
  void operator()(EraseSubscription& c) const {
    if (Session* s = kept(c.session)) s->subscriptions.erase(c.filter);
  }
  void operator()(Enqueue& c) const {
    store.last_message_ = std::max(store.last_message_, c.entry.id);
    if (Session* s = find(c.session)) s->queue.insert(std::move(c.entry));
  }
  void operator()(Acknowledge& c) const {
    if (Session* s = find(c.session)) s->queue.acknowledge(c.message);
  }
  void operator()(PutOutgoing& c) const {
    if (Session* s = kept(c.session)) s->outgoing[c.record.packet_id] = c.record;
  }
  void operator()(EraseOutgoing& c) const {
    if (Session* s = kept(c.session)) s->outgoing.erase(c.packet_id);
  }
  void operator()(PutIncoming& c) const {
    if (Session* s = kept(c.session)) s->incoming.insert(c.packet_id);
  }
  void operator()(EraseIncoming& c) const {
    if (Session* s = kept(c.session)) s->incoming.erase(c.packet_id);
  }
  void operator()(PutRetained& c) const {
    if (all) store.retained_[std::string(c.message->topic())] = c.message;
  }
  void operator()(EraseRetained& c) const { store.retained_.erase(c.topic); }
  void operator()(PutWill& c) const {
    if (Session* s = kept(c.session)) s->will = std::move(c.will);
  }
  void operator()(EraseWill& c) const {
    if (Session* s = kept(c.session)) s->will.reset();
  }
};

std::vector<MemoryQueue> MemoryStore::apply(Batch batch) {
  std::vector<MemoryQueue> ended;
  std::lock_guard lock(mutex_);
  Applier applier{*this, ended};
  for (Change& change : batch.changes) std::visit(applier, change);
  return ended;
}

QueuePage MemoryStore::read(SessionId session, const QueuePosition& position, std::size_t limit,
                            std::size_t limit_bytes) const {
  QueuePage page;
  page.session = session;
  std::lock_guard lock(mutex_);
  if (auto found = sessions_.find(session); found != sessions_.end())
    found->second->queue.read(position, limit, limit_bytes, page);
  return page;
}

Result<void, StoreError> MemoryStore::recover(Recovery& recovery) {
  std::lock_guard lock(mutex_);
  if (!options_.survives_reopen) return {};
  for (const auto& [id, session] : sessions_) {
    recovery.on_session(session->record);
    for (const auto& [filter, record] : session->subscriptions) recovery.on_subscription(id, record);
    recovery.on_queue(id, session->queue.size(), session->queue.bytes());
    for (const auto& [packet, record] : session->outgoing) {
      const std::optional<QueueEntry> entry =
          record.released ? std::nullopt : session->queue.find_entry(record.message);
      recovery.on_outgoing(id, record, entry ? &*entry : nullptr);
    }
    for (wire::PacketId packet : session->incoming) recovery.on_incoming(id, packet);
    if (session->will) recovery.on_will(id, *session->will);
  }
  for (const auto& [topic, message] : retained_) recovery.on_retained(message);
  return {};
}

MessageId MemoryStore::last_message_id() const {
  std::lock_guard lock(mutex_);
  return last_message_;
}

SessionId MemoryStore::last_session_id() const {
  std::lock_guard lock(mutex_);
  return last_session_;
}

std::unique_ptr<Lane> MemoryStore::open_lane(std::uint32_t, std::function<void()> wake) {
  return std::make_unique<MemoryLane>(*this, std::move(wake));
}

}  // namespace petrel::storage
