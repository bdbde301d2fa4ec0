// What the store has of retained messages is what memory has, whichever shards they came through.
#include <gtest/gtest.h>

#include <map>

#include "broker/test_support.h"

namespace petrel::broker::test {
namespace {

struct StoredRetained final : storage::Recovery {
  explicit StoredRetained(storage::Store& store) { EXPECT_TRUE(store.recover(*this).has_value()); }
  void on_session(const storage::SessionRecord&) override {}
  void on_subscription(storage::SessionId, const storage::SubscriptionRecord&) override {}
  void on_queue(storage::SessionId, std::uint64_t, std::uint64_t) override {}
  void on_outgoing(storage::SessionId, const storage::OutgoingRecord&, const storage::QueueEntry*) override {}
  void on_incoming(storage::SessionId, wire::PacketId) override {}
  void on_retained(Ref<const wire::Message> message) override {
    messages[std::string(message->topic())] = message->payload();
  }
  void on_will(storage::SessionId, const storage::WillRecord&) override {}

  std::map<std::string, std::string> messages;
};

// Both shards are in the midst of a turn; the one that published first is the last to submit its batch.
struct TwoTurns : testing::Test {
  TwoTurns() {
    for (std::uint32_t shard : {0U, 1U}) {
      broker.shard(shard).begin_turn(broker.now());
      broker.shard(shard).do_waiting_work();
    }
  }
  void publish(std::uint32_t shard, std::string_view topic, std::string_view payload) {
    broker.shard(shard).publish({.topic = topic, .payload = payload, .retain = true});
  }
  std::map<std::string, std::string> stored_after_turns(std::uint32_t first, std::uint32_t second) {
    broker.shard(first).end_turn();
    broker.shard(second).end_turn();
    return StoredRetained(broker.store()).messages;
  }
  using Messages = std::map<std::string, std::string>;
  TestBroker broker{{.sys = {.enabled = false}}, 2};
};

TEST_F(TwoTurns, TheStoreKeepsTheNewerMessageOfATopic) {
  publish(0, "t", "older");
  publish(1, "t", "newer");
  EXPECT_EQ(stored_after_turns(1, 0), (Messages{{"t", "newer"}}));
}

TEST_F(TwoTurns, TheStoreForgetsWhatWasClearedBehindItsPublication) {
  publish(0, "t", "older");
  publish(1, "t", "");
  EXPECT_EQ(stored_after_turns(1, 0), Messages{});
}

TEST_F(TwoTurns, TheStoreKeepsWhatWasPublishedBehindAClearing) {
  publish(0, "t", "older");
  publish(0, "t", "");
  publish(1, "t", "newer");
  EXPECT_EQ(stored_after_turns(1, 0), (Messages{{"t", "newer"}}));
}

TEST_F(TwoTurns, WhoClearsATopicThatIsClearedAlreadyWaitsForTheStoreToForgetIt) {
  publish(0, "t", "older");
  broker.shard(0).end_turn();
  broker.shard(0).begin_turn(broker.now());
  broker.shard(0).do_waiting_work();
  publish(0, "t", "");
  publish(1, "t", "");
  broker.shard(1).end_turn();
  EXPECT_EQ(StoredRetained(broker.store()).messages, Messages{});
  broker.shard(0).end_turn();
}

}  // namespace
}  // namespace petrel::broker::test
