#include "storage/memory/memory_store.h"

namespace petrel::storage {
namespace {

class MemoryLane final : public Lane {
 public:
  explicit MemoryLane(MemoryStore& store) : store_(store) {}

  void commit(Batch batch) override {
    done_.push_back(batch.number);
    store_.apply(std::move(batch));
  }
  void read_queue(SessionId session, std::uint64_t request, QueuePosition position, std::size_t limit,
                  std::size_t limit_bytes) override {
    pages_.push_back(store_.read(session, position, limit, limit_bytes));
    pages_.back().request = request;
  }
  void poll(LaneEvents& events) override {
    for (BatchNumber number : std::exchange(done_, {})) events.on_committed(number);
    for (QueuePage& page : std::exchange(pages_, {})) events.on_queue_page(std::move(page));
  }

 private:
  MemoryStore& store_;
  std::vector<BatchNumber> done_;
  std::deque<QueuePage> pages_;
};

}  // namespace

// Changes for a session that is not there are passed over: it may have been erased meanwhile.
struct MemoryStore::Applier {
  MemoryStore& store;
  bool all = store.options_.survives_reopen;

  Session* find(SessionId id) const {
    auto found = store.sessions_.find(id);
    return found == store.sessions_.end() ? nullptr : &found->second;
  }
  Session* kept(SessionId id) const { return all ? find(id) : nullptr; }

  void operator()(PutSession& c) const {
    store.last_session_ = std::max(store.last_session_, c.record.id);
    Session& session = store.sessions_[c.record.id];
    if (all) session.record = std::move(c.record);
  }
  void operator()(EraseSession& c) const { store.sessions_.erase(c.session); }
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

void MemoryStore::apply(Batch batch) {
  std::lock_guard lock(mutex_);
  Applier applier{*this};
  for (Change& change : batch.changes) std::visit(applier, change);
}

QueuePage MemoryStore::read(SessionId session, const QueuePosition& position, std::size_t limit,
                            std::size_t limit_bytes) const {
  QueuePage page;
  page.session = session;
  std::lock_guard lock(mutex_);
  if (auto found = sessions_.find(session); found != sessions_.end())
    found->second.queue.read(position, limit, limit_bytes, page);
  return page;
}

Result<void, StoreError> MemoryStore::recover(Recovery& recovery) {
  std::lock_guard lock(mutex_);
  if (!options_.survives_reopen) return {};
  for (const auto& [id, session] : sessions_) {
    recovery.on_session(session.record);
    for (const auto& [filter, record] : session.subscriptions) recovery.on_subscription(id, record);
    recovery.on_queue(id, session.queue.size(), session.queue.bytes());
    for (const auto& [packet, record] : session.outgoing) {
      const std::optional<QueueEntry> entry = record.released ? std::nullopt : session.queue.find_entry(record.message);
      recovery.on_outgoing(id, record, entry ? &*entry : nullptr);
    }
    for (wire::PacketId packet : session.incoming) recovery.on_incoming(id, packet);
    if (session.will) recovery.on_will(id, *session.will);
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

std::unique_ptr<Lane> MemoryStore::open_lane(std::uint32_t, std::function<void()>) {
  return std::make_unique<MemoryLane>(*this);
}

}  // namespace petrel::storage
