// Tells every shard which sessions are stored: the shard that receives a message writes the queue entries of all its
// receivers, wherever they live, and must know under which id the store has them, whether its queue has room, and
// whether QoS 0 is to be queued for it.
//
// Threads: set() and mark() by the shard that owns the session, find() and marks() by any; lock-free.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/store.h"
#include "topics/subscription_index.h"

namespace petrel::broker {

class SessionDirectory {
 public:
  explicit SessionDirectory(std::uint32_t shards) : shards_(shards) {}
  ~SessionDirectory() {
    for (Shelf& shelf : shards_)
      for (auto& chunk : shelf.chunks) delete chunk.load(std::memory_order_relaxed);
  }
  SessionDirectory(const SessionDirectory&) = delete;
  SessionDirectory& operator=(const SessionDirectory&) = delete;

  // What is known of a stored session beside its id.
  enum Mark : std::uint8_t {
    kManyMessages = 1,  // its queue is full
    kManyBytes = 2,     // the same
    kAway = 4,          // it receives nothing at once
  };

  // 0: not stored.
  void set(topics::SubscriberId session, storage::SessionId stored) {
    auto& place = shards_[topics::shard_of(session)].chunks[topics::slot_of(session) / kChunkSlots];
    Chunk* chunk = place.load(std::memory_order_acquire);
    if (chunk == nullptr) {
      if (stored == 0) return;
      chunk = new Chunk{};
      place.store(chunk, std::memory_order_release);
    }
    const std::uint64_t value =
        stored == 0 ? 0 : (std::uint64_t{topics::generation_of(session)} << kGenerationAt) | stored;
    (*chunk)[topics::slot_of(session) % kChunkSlots].store(value, std::memory_order_release);
  }

  // Takes the place of earlier marks; of a stored session only.
  void mark(topics::SubscriberId session, std::uint8_t marks) {
    Chunk* chunk = chunk_of(session);
    if (chunk == nullptr) return;
    std::atomic<std::uint64_t>& place = (*chunk)[topics::slot_of(session) % kChunkSlots];
    const std::uint64_t value = place.load(std::memory_order_relaxed);
    if (value == 0) return;
    place.store((value & ~(kMarks << kIdBits)) | std::uint64_t{marks} << kIdBits, std::memory_order_release);
  }
  std::uint8_t marks(topics::SubscriberId session) const {
    return static_cast<std::uint8_t>(value_of(session) >> kIdBits & kMarks);
  }

  storage::SessionId find(topics::SubscriberId session) const {
    return value_of(session) & ((std::uint64_t{1} << kIdBits) - 1);
  }

  static constexpr std::uint32_t kMaxSlots = 1U << 24;  // sessions of a shard

 private:
  static constexpr unsigned kIdBits = 37, kGenerationAt = 40;  // between them the marks
  static constexpr std::uint64_t kMarks = 7;
  static constexpr std::uint32_t kChunkSlots = 4096;
  using Chunk = std::array<std::atomic<std::uint64_t>, kChunkSlots>;
  struct Shelf {
    std::array<std::atomic<Chunk*>, kMaxSlots / kChunkSlots> chunks{};
  };
  Chunk* chunk_of(topics::SubscriberId session) const {
    return shards_[topics::shard_of(session)].chunks[topics::slot_of(session) / kChunkSlots].load(
        std::memory_order_acquire);
  }
  // 0: not stored. The slot may have passed to another session meanwhile.
  std::uint64_t value_of(topics::SubscriberId session) const {
    const Chunk* chunk = chunk_of(session);
    if (chunk == nullptr) return 0;
    const std::uint64_t value = (*chunk)[topics::slot_of(session) % kChunkSlots].load(std::memory_order_acquire);
    return value >> kGenerationAt == topics::generation_of(session) ? value : 0;
  }
  std::vector<Shelf> shards_;
};

}  // namespace petrel::broker
