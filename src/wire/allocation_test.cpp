// That a PUBLISH is received without an allocation. This file replaces the allocation functions of the test program
// with ones that count.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "wire/publish_encoder.h"
#include "wire/test_table.h"

namespace {
thread_local std::size_t allocations = 0;
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

namespace petrel::wire::test {
namespace {

TEST(Allocation, AreCounted) {
  const std::size_t before = allocations;
  const auto block = std::make_unique<std::string>(100, 'x');
  EXPECT_EQ(block->size(), 100U);
  EXPECT_EQ(allocations, before + 2);
}

TEST(Allocation, NoneForAPublish) {
  const std::string packets[] = {
      bytes_of("30 ~ 'a/b' () \"hi\""),
      bytes_of("32 ~ 'a/b' 0001 (01 01 02 0000000a 03 'json' 08 'r/t' 09 'id' 26 'k' 'v' 26 'k' 'w' 23 0001) \"{}\""),
      bytes_of("34 ~ 'a/b' 0001 (26 'k' 'v' 02 0000000a 01 01 23 0001 26 'k' 'w' 03 'json') \"{}\""),
  };
  std::string properties;
  properties.reserve(200);
  std::string out;
  out.reserve(200);
  std::size_t decoded = 0;
  const std::size_t before = allocations;
  for (const std::string& bytes : packets) {
    const auto frame = next_frame(ProtocolVersion::kV5, bytes, 1000);
    if (!frame.has_value() || !frame->complete) break;
    const auto publish = decode_publish(ProtocolVersion::kV5, Sender::kClient, frame->frame.flags, frame->frame.body);
    if (!publish.has_value()) break;
    properties.clear();
    BytesView forwarded = publish->forwarded_properties;
    if (publish->forwarded_properties_scattered) {
      collect_forwarded_properties(*publish, properties);
      forwarded = properties;
    }
    const PublishParts parts{publish->topic, forwarded, publish->payload, false, 0};
    const PublishEncoder encoder(parts, true, false);
    out.resize(encoder.size());
    encoder.write(out.data(), Qos::k0, false, 0);
    ++decoded;
  }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(decoded, std::size(packets));
}

TEST(Allocation, NoneForRefusedBytes) {
  const std::string bytes = bytes_of("30 ~ 'a/+' () \"hi\"");
  const std::size_t before = allocations;
  const auto frame = next_frame(ProtocolVersion::kV5, bytes, 1000);
  const auto publish = decode_publish(ProtocolVersion::kV5, Sender::kClient, 0, frame->frame.body);
  EXPECT_EQ(allocations, before);
  EXPECT_FALSE(publish.has_value());
}

TEST(Allocation, NoneForSubscribe) {
  const std::string bytes = bytes_of("0001 () 'a' 01 'b' 02");
  int filters = 0;
  const std::size_t before = allocations;
  const auto head =
      decode_filters(ProtocolVersion::kV5, PacketType::kSubscribe, bytes, [&](const Subscription&) { ++filters; });
  EXPECT_EQ(allocations, before);
  EXPECT_TRUE(head.has_value());
  EXPECT_EQ(filters, 2);
}

}  // namespace
}  // namespace petrel::wire::test
