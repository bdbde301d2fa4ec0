// What a connection has still to send. Small packets are copied into one block, which makes them leave in one system
// call; large payloads are referenced where they are and leave by scatter-gather. A connection with nothing to send
// holds no block: blocks come from the shard's BufferPool and go back as soon as all is sent.
//
// Threads: one shard's. The pool outlives its buffers. Pointers from prepare() are valid until the next call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace petrel {

class BufferPool {
 public:
  static constexpr std::uint32_t kBlockBytes = 4096;
  explicit BufferPool(std::size_t max_kept_blocks = 1024) : max_kept_(max_kept_blocks) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

 private:
  friend class OutputBuffer;
  void* take();
  void give(void* block);
  std::vector<void*> free_;
  std::size_t max_kept_;
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
  struct Block {
    BufferPool* pool;
    std::vector<Reference>* references;
    std::size_t referenced_bytes;
    std::uint32_t capacity, begin, end, first_reference;
    char* data() { return reinterpret_cast<char*>(this + 1); }
    const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  };
  void make_room(BufferPool& pool, std::size_t bytes);
  static void free_block(Block* block);

  Block* block_ = nullptr;
};

}  // namespace petrel
