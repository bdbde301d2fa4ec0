#include "base/memory_ledger.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace petrel {
namespace {

using Use = MemoryLedger::Use;

TEST(MemoryLedger, CountsBytesAndBlocksByUse) {
  const auto before = MemoryLedger::sum(Use::kInput);
  const std::uint64_t total = MemoryLedger::total_bytes();
  MemoryLedger::take(Use::kInput, 100);
  MemoryLedger::take(Use::kInput, 20);
  EXPECT_EQ(MemoryLedger::sum(Use::kInput).bytes, before.bytes + 120);
  EXPECT_EQ(MemoryLedger::sum(Use::kInput).blocks, before.blocks + 2);
  EXPECT_EQ(MemoryLedger::total_bytes(), total + 120);
  MemoryLedger::give(Use::kInput, 100);
  MemoryLedger::give(Use::kInput, 20);
  EXPECT_EQ(MemoryLedger::total_bytes(), total);
}

TEST(MemoryLedger, WhatOneThreadTakesAnotherMayGiveBack) {
  const auto before = MemoryLedger::sum(Use::kMessages);
  std::thread([] { MemoryLedger::take(Use::kMessages, 7); }).join();
  EXPECT_EQ(MemoryLedger::sum(Use::kMessages).bytes, before.bytes + 7);
  std::thread([] { MemoryLedger::give(Use::kMessages, 7); }).join();
  EXPECT_EQ(MemoryLedger::sum(Use::kMessages).bytes, before.bytes);
  EXPECT_EQ(MemoryLedger::sum(Use::kMessages).blocks, before.blocks);
}

TEST(MemoryLedger, ThreadsBeyondThePlacesShareOne) {
  const auto before = MemoryLedger::sum(Use::kQueues);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([] {
        for (int n = 0; n < 100; ++n) MemoryLedger::take(Use::kQueues, 3);
      });
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(MemoryLedger::sum(Use::kQueues).bytes, before.bytes + 40 * 8 * 100 * 3);
  EXPECT_EQ(MemoryLedger::sum(Use::kQueues).blocks, before.blocks + 40 * 8 * 100);
  for (int n = 0; n < 40 * 8 * 100; ++n) MemoryLedger::give(Use::kQueues, 3);
}

TEST(LedgerShare, FollowsItsObject) {
  const auto bytes = [] { return MemoryLedger::sum(Use::kQueues).bytes; };
  const std::uint64_t before = bytes();
  {
    LedgerShare<Use::kQueues> share;
    share.set(50);
    share.set(30);
    EXPECT_EQ(bytes(), before + 30);
    LedgerShare<Use::kQueues> other(std::move(share));
    EXPECT_EQ(bytes(), before + 30);
    share = std::move(other);
    EXPECT_EQ(bytes(), before + 30);
  }
  EXPECT_EQ(bytes(), before);
}

}  // namespace
}  // namespace petrel
