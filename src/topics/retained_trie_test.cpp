#include "topics/retained_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "topics/test_topics.h"
#include "topics/topic.h"

namespace petrel::topics {
namespace {

class Note final : public RefCounted<Note> {
 public:
  explicit Note(std::string topic, int stamp = 0) : topic_(std::move(topic)), stamp_(stamp) {}
  std::string_view topic() const { return topic_; }
  std::size_t block_bytes() const { return 10 + topic_.size(); }
  int stamp() const { return stamp_; }

 private:
  std::string topic_;
  int stamp_;
};

Ref<const Note> note(std::string topic, int stamp = 0) { return make_ref<Note>(std::move(topic), stamp); }

std::vector<std::string> all(const RetainedTopics<Note>& retained, std::string_view filter, std::size_t limit) {
  std::vector<std::string> topics;
  std::string resume;
  for (bool more = true; more;) {
    auto page = retained.match(filter, resume, limit);
    EXPECT_LE(page.values.size(), limit);
    for (const auto& value : page.values) topics.emplace_back(value->topic());
    more = page.more;
    resume = page.resume;
    EXPECT_EQ(more, !resume.empty());
  }
  return topics;
}

TEST(RetainedTrie, ReplacesAndErases_MQTT_3_3_1_5_and_6) {
  RetainedTopics<Note> retained;
  EXPECT_TRUE(retained.set(note("a/b", 1)));
  const auto second = note("a/b", 2);
  EXPECT_FALSE(retained.set(second));
  EXPECT_EQ(retained.count(), 1u);
  EXPECT_EQ(retained.bytes(), 13u);
  EXPECT_EQ(retained.get("a/b")->stamp(), 2);
  EXPECT_FALSE(retained.get("a"));
  EXPECT_FALSE(retained.erase_if(note("a/b").get()));
  EXPECT_TRUE(retained.erase_if(second.get()));
  EXPECT_FALSE(retained.erase("a/b"));
  EXPECT_EQ(retained.count(), 0u);
  EXPECT_EQ(retained.bytes(), 0u);
  EXPECT_TRUE(second->has_one_owner());
}

TEST(RetainedTrie, LeadingWildcardsPassOverDollarTopics_MQTT_4_7_2_1) {
  RetainedTopics<Note> retained;
  for (const char* topic : {"!", "$SYS/a", "$SYS/b", "a", "a/b", "%"}) retained.set(note(topic));
  EXPECT_EQ(all(retained, "#", 2), (std::vector<std::string>{"!", "%", "a", "a/b"}));
  EXPECT_EQ(all(retained, "$SYS/#", 1), (std::vector<std::string>{"$SYS/a", "$SYS/b"}));
  EXPECT_EQ(all(retained, "a/#", 10), (std::vector<std::string>{"a", "a/b"}));
}

TEST(RetainedTrie, JumpsOverBranchesThatCannotMatch) {
  RetainedTopics<Note> retained;
  for (int i = 0; i < 20'000; ++i) retained.set(note("a/big/" + std::to_string(i)));
  retained.set(note("a/small"));
  retained.set(note("a/small/x"));
  const auto page = retained.match("+/small/#", "", 10);
  EXPECT_EQ(page.values.size(), 2u);
  EXPECT_FALSE(page.more);
}

TEST(RetainedTrie, AFilterThatMatchesNothingCostsBoundedWorkPerCall) {
  RetainedTopics<Note> retained;
  for (int i = 0; i < 5'000; ++i) retained.set(note("a/" + std::to_string(i)));
  std::string bomb = "+/+";
  while (bomb.size() < 65'000) bomb += "/+";
  bomb += "/#";
  const auto page = retained.match(bomb, "", 1);
  EXPECT_TRUE(page.values.empty());
  EXPECT_TRUE(page.more);
  EXPECT_TRUE(all(retained, bomb, 100).empty());
  std::string deep(65'535, '/');
  retained.set(note(deep));
  EXPECT_EQ(all(retained, "/#", 1), std::vector<std::string>{deep});
  EXPECT_TRUE(retained.erase(deep));
}

class RetainedProperty : public testing::TestWithParam<unsigned> {};

TEST_P(RetainedProperty, AgreesWithTheModel) {
  test::Random random(GetParam());
  const std::size_t spread = GetParam() % 2 == 0 ? 8 : 40;
  RetainedTopics<Note> retained;
  std::map<std::string, Ref<const Note>> model;
  for (int step = 0; step < 20'000; ++step) {
    const std::string topic = test::random_name(random, spread);
    // Grows and shrinks by turns, so that pages split and merge.
    if (test::below(random, 10) < (step / 4'000 % 2 == 0 ? 8u : 2u)) {
      const auto value = note(topic, step);
      EXPECT_EQ(retained.set(value), model.insert_or_assign(topic, value).second);
    } else {
      EXPECT_EQ(retained.erase(topic), model.erase(topic) == 1);
    }
    if (step % 50 != 0) continue;
    std::size_t bytes = 0;
    for (const auto& [name, value] : model) bytes += value->block_bytes();
    ASSERT_EQ(retained.count(), model.size());
    ASSERT_EQ(retained.bytes(), bytes);
    const std::string filter = test::random_filter(random, spread);
    std::multiset<std::string> expected;
    for (const auto& [name, value] : model) {
      if (matches(filter, name)) expected.insert(name);
      ASSERT_EQ(retained.get(name).get(), value.get());
    }
    const auto found = all(retained, filter, 1 + test::below(random, 9));
    ASSERT_EQ(std::multiset<std::string>(found.begin(), found.end()), expected) << filter;
  }
}

TEST_P(RetainedProperty, PagesShowUnchangedTopicsOnceWhileOthersChange) {
  test::Random random(GetParam());
  for (int round = 0; round < 100; ++round) {
    RetainedTopics<Note> retained;
    std::set<std::string> kept;
    std::set<std::string> changing;
    for (int i = 0; i < 300; ++i) {
      const std::string topic = test::random_name(random, 40);
      retained.set(note(topic));
      kept.insert(topic);
    }
    const std::string filter = test::random_filter(random, 40);
    std::multiset<std::string> seen;
    std::string resume;
    for (bool more = true; more;) {
      auto page = retained.match(filter, resume, 3);
      for (const auto& value : page.values) seen.emplace(value->topic());
      more = page.more;
      resume = page.resume;
      for (int i = 0; i < 10; ++i) {
        const std::string topic = test::random_name(random, 40);
        if (kept.contains(topic)) continue;
        retained.set(note(topic));
        changing.insert(topic);
        if (test::below(random, 2) == 0) retained.erase(changing.extract(changing.begin()).value());
      }
    }
    for (const std::string& topic : kept) ASSERT_EQ(seen.count(topic), matches(filter, topic) ? 1u : 0u) << filter;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RetainedProperty, testing::Values(1u, 2u, 3u, 4u));

TEST(RetainedTrie, ThreadsSetEraseAndRead) {
  RetainedTopics<Note> retained;
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&retained, seed] {
      test::Random random(seed);
      for (int i = 0; i < 2'000; ++i) {
        const std::string topic = test::random_name(random, 8);
        if (i % 3 == 0) retained.set(note(topic));
        if (i % 3 == 1) retained.erase(topic);
        for (const auto& value : retained.match("+/#", "", 5).values) EXPECT_FALSE(value->topic().empty());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const std::size_t left = retained.count();
  EXPECT_EQ(all(retained, "#", 100).size() + all(retained, "$x/#", 100).size(), left);
}

}  // namespace
}  // namespace petrel::topics
