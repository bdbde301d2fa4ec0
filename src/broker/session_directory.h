// Tells every shard which sessions are stored: the shard that receives a message writes the queue entries of all its
// receivers, wherever they live, and must know under which id the store has them.
//
// Threads: set() by the shard that owns the session, find() by any; lock-free.
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

  // 0: not stored.
  void set(topics::SubscriberId session, storage::SessionId stored) {
    auto& place = shards_[topics::shard_of(session)].chunks[topics::slot_of(session) / kChunkSlots];
    Chunk* chunk = place.load(std::memory_order_acquire);
    if (chunk == nullptr) {
      if (stored == 0) return;
      chunk = new Chunk{};
      place.store(chunk, std::memory_order_release);
    }
    const std::uint64_t value = stored == 0 ? 0 : (std::uint64_t{topics::generation_of(session)} << kIdBits) | stored;
    (*chunk)[topics::slot_of(session) % kChunkSlots].store(value, std::memory_order_release);
  }

  storage::SessionId find(topics::SubscriberId session) const {
    const Chunk* chunk = shards_[topics::shard_of(session)].chunks[topics::slot_of(session) / kChunkSlots].load(
        std::memory_order_acquire);
    if (chunk == nullptr) return 0;
    const std::uint64_t value = (*chunk)[topics::slot_of(session) % kChunkSlots].load(std::memory_order_acquire);
    // The slot may have passed to another session meanwhile.
    if (value >> kIdBits != topics::generation_of(session)) return 0;
    return value & ((std::uint64_t{1} << kIdBits) - 1);
  }

  static constexpr std::uint32_t kMaxSlots = 1U << 24;  // sessions of a shard

 private:
  static constexpr unsigned kIdBits = 40;  // the other 24 hold the generation
  static constexpr std::uint32_t kChunkSlots = 4096;
  using Chunk = std::array<std::atomic<std::uint64_t>, kChunkSlots>;
  struct Shelf {
    std::array<std::atomic<Chunk*>, kMaxSlots / kChunkSlots> chunks{};
  };
  std::vector<Shelf> shards_;
};

}  // namespace petrel::broker
