// The incomplete end of a connection's input: the beginning of a packet, until the rest of it has come. Costs a pointer
// while empty. The packet is gathered where it will be parsed: a large one is read straight into its place, a very
// large one into pages of its own, which grow without being copied and go back to the system at once. Threads: its
// owner's.
#pragma once

#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "base/bytes.h"
#include "base/memory_ledger.h"

namespace petrel::server {

class PartialPacket {
 public:
  // From here on a packet is gathered in place; smaller ones are cheaper to copy to what comes next.
  static constexpr std::size_t kGatherBytes = 8192;

  bool empty() const { return block_ == nullptr; }
  BytesView bytes() const { return empty() ? BytesView{} : BytesView{block_->data(), block_->size}; }
  bool is_large() const { return !empty() && block_->needed >= kGatherBytes; }
  bool complete() const { return !empty() && block_->size == block_->needed; }
  std::size_t missing_bytes() const {
    return empty() || block_->needed < block_->size ? 0 : block_->needed - block_->size;
  }

  // `needed_bytes` of the whole packet, 0 if not known yet.
  void append(BytesView bytes, std::size_t needed_bytes) {
    if (bytes.empty()) return;
    const std::size_t held = empty() ? 0 : block_->size;
    // A header promises much: room is made for so many times what has really come.
    const std::size_t expected = std::min(needed_bytes, std::max(kFirstBytes, kGrowth * (held + bytes.size())));
    make_room(std::max(expected, held + bytes.size()));
    block_->needed = needed_bytes;
    std::memcpy(block_->data() + held, bytes.data(), bytes.size());
    block_->size = held + bytes.size();
  }

  // Where the next of the missing bytes belong: at least one byte, at most missing_bytes().
  iovec room() {
    if (block_->capacity == block_->size) make_room(std::min(block_->needed, kGrowth * block_->capacity));
    return {block_->data() + block_->size, std::min(block_->capacity, block_->needed) - block_->size};
  }
  void commit(std::size_t bytes) { block_->size += bytes; }

 private:
  static constexpr std::size_t kFirstBytes = 65'536;
  static constexpr std::size_t kGrowth = 4;
  static constexpr std::size_t kMappedBytes = std::size_t{1} << 20;

  struct Block {
    std::size_t size, capacity, needed;
    char* data() { return reinterpret_cast<char*>(this + 1); }
  };
  struct Free {
    void operator()(Block* block) const {
      MemoryLedger::give(MemoryLedger::Use::kInput, block->capacity);
      if (is_mapped(block->capacity)) {
        munmap(block, sizeof(Block) + block->capacity);
      } else {
        std::free(block);
      }
    }
  };

  static bool is_mapped(std::size_t capacity) { return capacity >= kMappedBytes; }

  void make_room(std::size_t capacity) {
    if (block_ != nullptr && block_->capacity >= capacity) return;
    const bool first = block_ == nullptr;
    const std::size_t before = first ? 0 : block_->capacity;
    Block* block = is_mapped(capacity) ? map(capacity) : reallocate(capacity);
    if (first) block->size = block->needed = 0;
    block->capacity = capacity;
    block_.reset(block);
    if (!first) MemoryLedger::give(MemoryLedger::Use::kInput, before);
    MemoryLedger::take(MemoryLedger::Use::kInput, capacity);
  }

  // Both take what is in block_ to its new place.
  Block* reallocate(std::size_t capacity) {
    auto* block = static_cast<Block*>(std::realloc(block_.get(), sizeof(Block) + capacity));
    if (block == nullptr) throw std::bad_alloc();
    (void)block_.release();
    return block;
  }
  Block* map(std::size_t capacity) {
    const std::size_t bytes = sizeof(Block) + capacity;
    const bool grows = block_ != nullptr && is_mapped(block_->capacity);
    void* const place = grows ? mremap(block_.get(), sizeof(Block) + block_->capacity, bytes, MREMAP_MAYMOVE)
                              : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::bad_alloc();
    if (!grows && block_ != nullptr) std::memcpy(place, block_.get(), sizeof(Block) + block_->size);
    Block* const old = block_.release();
    if (!grows) std::free(old);
    return static_cast<Block*>(place);
  }

  std::unique_ptr<Block, Free> block_;
};

}  // namespace petrel::server
