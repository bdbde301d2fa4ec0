// That an output which is never empty keeps only what waits. This file replaces the allocation functions of the test
// program with ones that count what is in use.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>

#include "base/output_buffer.h"

namespace {
thread_local std::size_t in_use_bytes = 0;

void release(void* block) {
  in_use_bytes -= malloc_usable_size(block);
  std::free(block);
}
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  in_use_bytes += malloc_usable_size(block);
  return block;
}
void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* block) noexcept { release(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { release(block); }
[[gnu::noinline]] void operator delete[](void* block) noexcept { release(block); }
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept { release(block); }

namespace petrel {
namespace {

TEST(OutputBufferMemory, IsOfWhatWaitsThoughTheOutputIsNeverEmpty) {
  BufferPool pool;
  OutputBuffer buffer;
  const std::string large(2000, 'x');
  const auto refer = [&] { buffer.append_reference(pool, large, nullptr, [](const void*) {}); };
  const std::size_t before = in_use_bytes;
  refer();
  EXPECT_GT(in_use_bytes, before);
  std::size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    buffer.append(pool, "head");
    refer();
    buffer.consume(large.size() + 4);
    most = std::max(most, in_use_bytes - before);
  }
  EXPECT_LT(most, 4096U);
  for (int i = 0; i < 100'000; ++i) refer();
  const std::size_t needed = in_use_bytes - before;
  buffer.consume(99'999 * large.size());
  EXPECT_LT(in_use_bytes - before, needed / 10) << "what was needed for many is given back";
}

}  // namespace
}  // namespace petrel
