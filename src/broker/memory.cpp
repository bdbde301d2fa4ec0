// When memory is used up (limits.max_memory_bytes): new clients are refused, publications that would wait for their
// receivers are refused too (5.0) or not read (3.x, which knows no refusal), and slow readers get QoS 0 only as far as
// a small output goes. What is stored already stays: it was acknowledged. Clients that have a session may come back,
// for they take messages away.
#include <algorithm>

#include "base/memory_ledger.h"
#include "broker/shard.h"

namespace petrel::broker {

using wire::Qos;

namespace {

// A fast publisher brings a megabyte in this time: so much may be taken beyond the limit.
constexpr TimeMs kLookEveryMs = 1;
// Full is over when so much of the limit is free again: one part of so many.
constexpr std::size_t kFreeParts = 16;
constexpr std::size_t kOutputWhenFull = 16'384;
constexpr int kEndsAtATime = 32;  // of publishers that have waited too long

}  // namespace

void Shard::watch_memory() {
  if (settings_.max_memory_bytes == 0) return;
  // What one shard has seen holds for all: a publisher that one refuses is not taken by another.
  bool full = shared_.memory_full.load(std::memory_order_acquire);
  if (now_ >= memory_due_) {
    memory_due_ = now_ + kLookEveryMs;
    const std::size_t most = settings_.max_memory_bytes;
    const bool was_full = std::exchange(full, MemoryLedger::total_bytes() >= (full ? most - most / kFreeParts : most));
    if (full != was_full) shared_.memory_full.store(full, std::memory_order_release);
  }
  if (full != memory_full_) enter_memory_state(full);
  // A publisher may itself be who does not take its messages away: its turn to be read comes, or its end.
  const auto overdue = [this] {
    return memory_full_ && !memory_waits_.empty() && now_ - memory_waits_.front().since >= settings_.write_timeout_ms;
  };
  for (int ends = 0; ends < kEndsAtATime && overdue(); ++ends)
    fail(*memory_waits_.front().connection, over(Limit::kMemoryBytes),
         "limits.max_memory_bytes is reached, and nothing was taken from this publisher for limits.write_timeout_s");
}

void Shard::enter_memory_state(bool full) {
  memory_full_ = full;
  max_output_bytes_ = full ? std::min(settings_.max_output_bytes, kOutputWhenFull) : settings_.max_output_bytes;
  if (full) {
    counters_.reached(Limit::kMemoryBytes);
    refusals_.warning("memory is used up", {{"shard", index_},
                                            {"used_bytes", MemoryLedger::total_bytes()},
                                            {"reason", reached(Limit::kMemoryBytes)},
                                            {"effect", "what would have to wait is refused"}});
    return;
  }
  refusals_.warning("memory is free again", {{"shard", index_}, {"used_bytes", MemoryLedger::total_bytes()}});
  for (const MemoryWait& wait : std::exchange(memory_waits_, {})) {
    wait.connection->waits_for_memory = false;
    host_.resume(*wait.connection);
  }
}

// A 3.x publisher whose next message would wait for its receivers is not read until there is memory for it.
bool Shard::waits_for_memory(Connection& connection, const wire::Frame& frame) {
  if (frame.type != wire::PacketType::kPublish || connection.version == wire::ProtocolVersion::kV5) return false;
  const auto publish = wire::decode_publish(connection.version, wire::Sender::kClient, frame.flags, frame.body);
  if (!publish.has_value() || publish->qos == Qos::k0) return false;
  const std::string_view topic = connection.is_mounted ? below_mount(connection, publish->topic) : publish->topic;
  if (!adds_to_memory(topic) && !(publish->retain && !publish->payload.empty())) return false;
  if (!connection.waits_for_memory) {
    counters_.reached(Limit::kMemoryBytes);
    refusals_.warning("publisher is not read",
                      {{"client", connection.session->client_id}, {"reason", reached(Limit::kMemoryBytes)}});
    connection.waits_for_memory = true;
    memory_waits_.push_back({&connection, now_});
  }
  return true;
}

void Shard::end_memory_wait(Connection& connection) {
  if (!connection.waits_for_memory) return;
  connection.waits_for_memory = false;
  std::erase_if(memory_waits_, [&](const MemoryWait& wait) { return wait.connection == &connection; });
}

// Whether a message with QoS 1 or 2 would stay in memory until somebody takes it.
bool Shard::adds_to_memory(std::string_view topic) {
  const topics::MatchList& matches = *cache_.match(topic);
  const auto waits = [this](const auto& entry) { return entry.qos != 0 && would_wait(entry.subscriber); };
  if (std::any_of(matches.entries.begin(), matches.entries.end(), waits)) return true;
  return std::any_of(matches.shared.begin(), matches.shared.end(), [&](const topics::SharedMatch& match) {
    return std::any_of(match.members.begin(), match.members.end(),
                       [&](const auto& member) { return member->request.qos != 0 && would_wait(member->subscriber); });
  });
}

bool Shard::would_wait(topics::SubscriberId receiver) const {
  // Of another shard's sessions only the stored ones are known: their messages may wait for days.
  if (topics::shard_of(receiver) != index_) return shared_.directory.find(receiver) != 0;
  const Session* session = find(receiver);
  if (session == nullptr) return false;
  if (!online(*session)) return true;
  const Outbound* out = session->outbound.get();
  return out != nullptr && (!out->queue.empty() || out->backlog_messages > 0 || !out->outgoing.can_send());
}

}  // namespace petrel::broker
