// What a connection has still to send. Small packets are copied into one block, which makes them leave in one system
// call; large payloads are referenced where they are and leave by scatter-gather. A connection with nothing to send
// holds no block: blocks come from the shard's BufferPool and go back as soon as all is sent.
//
// Threads: one shard's. The pool outlives its buffers. Pointers from prepare() are valid until the next call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/ring.h"

namespace petrel {

// Blocks of 4 KiB to 1 MiB, powers of two, kept for the next who needs one, up to a total.
class BufferPool {
 public:
  static constexpr std::uint32_t kBlockBytes = 4096;
  static constexpr std::size_t kClasses = 9;
  static constexpr std::size_t kMaxKeptBytes = 16U << 20;
  // `consumed` counts what has left the pool's buffers by OutputBuffer::consume(); it outlives the pool.
  explicit BufferPool(std::size_t max_kept_bytes = kMaxKeptBytes, Counter* consumed = nullptr)
      : max_kept_bytes_(max_kept_bytes), consumed_(consumed) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Frees one block in so many of each size, at least one: what is kept follows what is needed.
  void free_some(std::size_t parts);
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  friend class OutputBuffer;
  // `bytes` is a power of two, at least kBlockBytes.
  void* take(std::size_t bytes);
  void give(void* block, std::size_t bytes);
  std::array<std::vector<void*>, kClasses> free_;
  std::size_t kept_bytes_ = 0;
  std::size_t max_kept_bytes_;
  Counter* consumed_;
};

class OutputBuffer {
 public:
  struct Piece {
    const char* data;
    std::size_t size;
  };
  // Ends the life of whatever keeps referenced bytes in place.
  using Release = void (*)(const void* owner);

  OutputBuffer() = default;
  ~OutputBuffer() { clear(); }
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;

  bool empty() const { return block_ == nullptr; }
  // Bytes waiting, copied and referenced.
  std::size_t size() const;
  // What is left of the largest referenced bytes; once they have gone, of the largest that were appended since, or 0.
  std::size_t largest_reference_bytes() const;

  // Room for `bytes` at the end; commit() makes what was written there part of the output.
  char* prepare(BufferPool& pool, std::size_t bytes);
  void commit(std::size_t bytes);
  void append(BufferPool& pool, BytesView bytes);
  // Appends bytes that stay where they are; `release(owner)` is called when they have been sent or dropped.
  void append_reference(BufferPool& pool, BytesView bytes, const void* owner, Release release);

  // The first pieces, in order; returns how many entries of `out` were filled.
  std::size_t gather(std::span<Piece> out) const;
  // Removes `bytes` from the front. Returns the block to the pool when nothing is left.
  void consume(std::size_t bytes);
  void clear();

 private:
  struct Reference {
    BytesView bytes;
    const void* owner;
    Release release;
    std::uint32_t after;  // offset in the block before which the referenced bytes are sent
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Block {
    BufferPool* pool;
    Ring<Reference>* references = nullptr;
    std::size_t referenced_bytes = 0;
    std::uint32_t capacity, begin = 0, end = 0;
    std::uint32_t largest = kNone;  // index of a reference
    char* data() { return reinterpret_cast<char*>(this + 1); }
    const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  };
  void make_room(BufferPool& pool, std::size_t bytes);
  void pop_reference();
  static void free_block(Block* block);

  Block* block_ = nullptr;
};

}  // namespace petrel
