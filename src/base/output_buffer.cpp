#include "base/output_buffer.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/memory_ledger.h"

namespace petrel {

namespace {

std::size_t class_of(std::size_t bytes) {
  return static_cast<std::size_t>(std::countr_zero(bytes)) -
         static_cast<std::size_t>(std::countr_zero(BufferPool::kBlockBytes));
}

}  // namespace

BufferPool::~BufferPool() {
  for (const auto& blocks : free_)
    for (void* block : blocks) std::free(block);
}

void* BufferPool::take(std::size_t bytes) {
  MemoryLedger::take(MemoryLedger::Use::kOutput, bytes);
  if (const std::size_t index = class_of(bytes); index < kClasses && !free_[index].empty()) {
    void* block = free_[index].back();
    free_[index].pop_back();
    kept_bytes_ -= bytes;
    return block;
  }
  void* block = std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void BufferPool::give(void* block, std::size_t bytes) {
  MemoryLedger::give(MemoryLedger::Use::kOutput, bytes);
  const std::size_t index = class_of(bytes);
  if (index >= kClasses || kept_bytes_ + bytes > max_kept_bytes_) {
    std::free(block);
    return;
  }
  free_[index].push_back(block);
  kept_bytes_ += bytes;
}

void BufferPool::free_some(std::size_t parts) {
  for (std::size_t index = 0; index < kClasses; ++index) {
    std::vector<void*>& blocks = free_[index];
    for (std::size_t count = (blocks.size() + parts - 1) / parts; count > 0; --count) {
      std::free(blocks.back());
      blocks.pop_back();
      kept_bytes_ -= std::size_t{kBlockBytes} << index;
    }
  }
}

std::size_t OutputBuffer::size() const {
  return block_ == nullptr ? 0 : (block_->end - block_->begin) + block_->referenced_bytes;
}

std::size_t OutputBuffer::largest_reference_bytes() const {
  return block_ == nullptr || block_->largest == kNone ? 0 : (*block_->references)[block_->largest].bytes.size();
}

void OutputBuffer::free_block(Block* block) {
  delete block->references;
  block->pool->give(block, block->capacity + sizeof(Block));
}

void OutputBuffer::make_room(BufferPool& pool, std::size_t bytes) {
  std::size_t wanted = BufferPool::kBlockBytes;
  const std::size_t held = block_ == nullptr ? 0 : block_->end - block_->begin;
  // What is moved has room behind it in proportion: otherwise an output that stays nearly full is moved for each
  // packet.
  while (wanted - sizeof(Block) < held + held / 2 + bytes) wanted *= 2;
  auto* block =
      new (pool.take(wanted)) Block{.pool = &pool, .capacity = static_cast<std::uint32_t>(wanted - sizeof(Block))};
  if (block_ != nullptr) {
    std::memcpy(block->data(), block_->data() + block_->begin, held);
    block->end = static_cast<std::uint32_t>(held);
    block->referenced_bytes = block_->referenced_bytes;
    block->largest = block_->largest;
    block->references = std::exchange(block_->references, nullptr);
    if (block->references != nullptr) {
      for (std::size_t i = 0; i < block->references->size(); ++i) (*block->references)[i].after -= block_->begin;
    }
    free_block(block_);
  }
  block_ = block;
}

char* OutputBuffer::prepare(BufferPool& pool, std::size_t bytes) {
  if (block_ == nullptr || block_->capacity - block_->end < bytes) make_room(pool, bytes);
  return block_->data() + block_->end;
}

void OutputBuffer::commit(std::size_t bytes) {
  assert(block_->capacity - block_->end >= bytes);
  block_->end += static_cast<std::uint32_t>(bytes);
}

void OutputBuffer::append(BufferPool& pool, BytesView bytes) {
  std::memcpy(prepare(pool, bytes.size()), bytes.data(), bytes.size());
  commit(bytes.size());
}

void OutputBuffer::append_reference(BufferPool& pool, BytesView bytes, const void* owner, Release release) {
  if (block_ == nullptr) make_room(pool, 0);
  if (block_->references == nullptr) block_->references = new Ring<Reference>;
  if (bytes.size() > largest_reference_bytes())
    block_->largest = static_cast<std::uint32_t>(block_->references->size());
  block_->references->push_back({bytes, owner, release, block_->end});
  block_->referenced_bytes += bytes.size();
}

void OutputBuffer::pop_reference() {
  const Reference reference = block_->references->pop_front();
  if (block_->largest != kNone) block_->largest = block_->largest == 0 ? kNone : block_->largest - 1;
  reference.release(reference.owner);
}

std::size_t OutputBuffer::gather(std::span<Piece> out) const {
  if (block_ == nullptr) return 0;
  std::size_t count = 0;
  std::uint32_t at = block_->begin;
  if (block_->references != nullptr) {
    for (std::size_t i = 0; i < block_->references->size(); ++i) {
      const Reference& reference = (*block_->references)[i];
      if (reference.after > at) {
        if (count == out.size()) return count;
        out[count++] = {block_->data() + at, reference.after - at};
        at = reference.after;
      }
      if (count == out.size()) return count;
      out[count++] = {reference.bytes.data(), reference.bytes.size()};
    }
  }
  if (block_->end > at && count < out.size()) out[count++] = {block_->data() + at, block_->end - at};
  return count;
}

void OutputBuffer::consume(std::size_t bytes) {
  assert(bytes <= size());
  if (block_ != nullptr && block_->pool->consumed_ != nullptr) block_->pool->consumed_->add(bytes);
  if (bytes == size()) {
    clear();
    return;
  }
  while (bytes > 0) {
    const bool referenced = block_->references != nullptr && !block_->references->empty();
    Reference* next = referenced ? &block_->references->front() : nullptr;
    const std::uint32_t copied_end = next == nullptr ? block_->end : next->after;
    if (block_->begin < copied_end) {
      const std::size_t step = std::min<std::size_t>(bytes, copied_end - block_->begin);
      block_->begin += static_cast<std::uint32_t>(step);
      bytes -= step;
      continue;
    }
    const std::size_t step = std::min(bytes, next->bytes.size());
    next->bytes.remove_prefix(step);
    block_->referenced_bytes -= step;
    bytes -= step;
    if (next->bytes.empty()) pop_reference();
  }
}

void OutputBuffer::clear() {
  if (block_ == nullptr) return;
  while (block_->references != nullptr && !block_->references->empty()) pop_reference();
  free_block(std::exchange(block_, nullptr));
}

}  // namespace petrel
