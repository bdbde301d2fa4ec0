#include "topics/subscription_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include "topics/match_cache.h"
#include "topics/test_topics.h"
#include "topics/topic.h"

namespace petrel::topics {
namespace {

Ref<const EncodedIdentifiers> identifiers(std::string bytes) { return make_ref<EncodedIdentifiers>(std::move(bytes)); }

std::vector<SubscriberId> receivers(const SubscriptionIndex& index, std::string_view topic) {
  std::vector<SubscriberId> ids;
  const auto list = index.match(topic);
  for (const MatchEntry& entry : list->entries) ids.push_back(entry.subscriber);
  return ids;
}

TEST(SubscriptionIndex, FindsWildcardsParentsAndEmptyLevels_MQTT_4_7_1) {
  SubscriptionIndex index;
  SubscriberId id = 0;
  for (const char* filter : {"a", "a/#", "a/+", "+/b", "#", "a//b", "/", "a/b/c/d", "a/b/+/d", "+/+/#"}) {
    index.subscribe(filter, ++id, {});
  }
  EXPECT_EQ(receivers(index, "a"), (std::vector<SubscriberId>{1, 2, 5}));
  EXPECT_EQ(receivers(index, "a/b"), (std::vector<SubscriberId>{2, 3, 4, 5, 10}));
  EXPECT_EQ(receivers(index, "a//b"), (std::vector<SubscriberId>{2, 5, 6, 10}));
  EXPECT_EQ(receivers(index, "/"), (std::vector<SubscriberId>{5, 7, 10}));
  EXPECT_EQ(receivers(index, "a/b/c/d"), (std::vector<SubscriberId>{2, 5, 8, 9, 10}));
  EXPECT_EQ(receivers(index, "a/b/c"), (std::vector<SubscriberId>{2, 5, 10}));
}

TEST(SubscriptionIndex, LeadingWildcardsDoNotMatchDollarTopics_MQTT_4_7_2_1) {
  SubscriptionIndex index;
  SubscriberId id = 0;
  for (const char* filter : {"#", "+/a", "+", "$SYS/#", "$SYS/+"}) index.subscribe(filter, ++id, {});
  EXPECT_EQ(receivers(index, "$SYS/a"), (std::vector<SubscriberId>{4, 5}));
  EXPECT_EQ(receivers(index, "$SYS"), (std::vector<SubscriberId>{4}));
  EXPECT_EQ(receivers(index, "a/$SYS"), (std::vector<SubscriberId>{1}));
}

TEST(SubscriptionIndex, ReplacesAnExistingSubscription_MQTT_3_8_4_3) {
  SubscriptionIndex index;
  const auto first = index.subscribe("a/b", 7, {.qos = 0, .identifiers = identifiers("x")});
  const auto again = index.subscribe("a/b", 7, {.qos = 2, .retain_as_published = true});
  EXPECT_FALSE(first.existed);
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(first.node, again.node);
  EXPECT_EQ(index.subscription_count(), 1u);
  const auto list = index.match("a/b");
  ASSERT_EQ(list->entries.size(), 1u);
  EXPECT_EQ(list->entries[0].qos, 2);
  EXPECT_FALSE(list->entries[0].identifiers);
}

TEST(SubscriptionIndex, OverlapsBecomeOneCopyWithAllIdentifiers_MQTT_3_3_4_2_to_4) {
  SubscriptionIndex index;
  index.subscribe("a/#", 7, {.qos = 1, .identifiers = identifiers("A")});
  index.subscribe("a/b", 7, {.qos = 2});
  index.subscribe("a/+", 7, {.qos = 0, .retain_as_published = true, .identifiers = identifiers("B")});
  const auto list = index.match("a/b");
  ASSERT_EQ(list->entries.size(), 1u);
  const MatchEntry& entry = list->entries[0];
  EXPECT_EQ(entry.qos, 2);
  EXPECT_TRUE(entry.retain_as_published);
  EXPECT_EQ(entry.audience, Audience::kEveryone);
  std::string bytes(entry.identifiers->bytes());
  std::sort(bytes.begin(), bytes.end());
  EXPECT_EQ(bytes, "AB");
}

TEST(SubscriptionIndex, NoLocalSubscriptionsSplitTheAudience_MQTT_3_8_3_3) {
  SubscriptionIndex index;
  index.subscribe("a/#", 7, {.qos = 2, .no_local = true});
  ASSERT_EQ(index.match("a/b")->entries.size(), 1u);
  EXPECT_EQ(index.match("a/b")->entries[0].audience, Audience::kOthersOnly);
  index.subscribe("a/b", 7, {.qos = 1, .identifiers = identifiers("L")});
  const auto list = index.match("a/b");
  ASSERT_EQ(list->entries.size(), 2u);
  EXPECT_EQ(list->entries[0].audience, Audience::kOthersOnly);
  EXPECT_EQ(list->entries[0].qos, 2);
  EXPECT_EQ(list->entries[1].audience, Audience::kSelfOnly);
  EXPECT_EQ(list->entries[1].qos, 1);
  EXPECT_EQ(list->entries[1].identifiers->bytes(), "L");
}

TEST(SubscriptionIndex, EntriesAreGroupedByShard) {
  SubscriptionIndex index;
  for (std::uint32_t i = 0; i < 30; ++i) index.subscribe("a", make_subscriber_id(i % 3, i, 1), {});
  const auto list = index.match("a");
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    const auto [begin, end] = list->of_shard(shard);
    EXPECT_EQ(end - begin, shard < 3 ? 10 : 0);
    for (const MatchEntry* entry = begin; entry != end; ++entry) EXPECT_EQ(shard_of(entry->subscriber), shard);
  }
}

TEST(SubscriptionIndex, HandlesSurviveCutsAndNameTheirFilter) {
  SubscriptionIndex index;
  const auto deep = index.subscribe("a/b/c/d", 1, {});
  const auto shallow = index.subscribe("a/b", 2, {});
  const auto sibling = index.subscribe("a/b/c//", 3, {});
  EXPECT_EQ(index.filter(deep.node), "a/b/c/d");
  EXPECT_EQ(index.filter(shallow.node), "a/b");
  EXPECT_EQ(index.filter(sibling.node), "a/b/c//");
  EXPECT_FALSE(index.unsubscribe("a/b/c", 1));
  EXPECT_FALSE(index.unsubscribe("a/b/c/d", 2));
  EXPECT_TRUE(index.unsubscribe(shallow.node, 2));
  EXPECT_EQ(receivers(index, "a/b/c/d"), std::vector<SubscriberId>{1});
  EXPECT_TRUE(index.unsubscribe(deep.node, 1));
  EXPECT_TRUE(index.unsubscribe("a/b/c//", 3));
  EXPECT_EQ(index.subscription_count(), 0u);
  EXPECT_TRUE(index.match("a/b/c/d")->empty());
}

TEST(SubscriptionIndex, HostileDepthNeitherRecursesNorExplodes) {
  SubscriptionIndex index;
  std::string plus = "+";
  std::string deep = "a";
  while (plus.size() + 2 <= kMaxTopicBytes) {
    plus += "/+";
    deep += "/a";
  }
  index.subscribe(plus, 1, {});
  std::string nearly = plus;
  nearly.back() = 'b';
  index.subscribe(nearly, 2, {});
  nearly.back() = '#';
  index.subscribe(nearly, 3, {});
  index.subscribe(deep, 4, {});
  EXPECT_EQ(receivers(index, deep), (std::vector<SubscriberId>{1, 3, 4}));
  EXPECT_TRUE(index.unsubscribe(plus, 1));
  EXPECT_EQ(receivers(index, deep), (std::vector<SubscriberId>{3, 4}));
}

TEST(SharedSubscription, PicksOnlineMembersInTurnAndKeepsTheTurn_4_8_2) {
  SubscriptionIndex index;
  std::vector<SubscriptionIndex::Subscribed> members;
  for (SubscriberId id = 1; id <= 3; ++id) members.push_back(index.subscribe("$share/g/a/+", id, {.qos = 1}));
  EXPECT_EQ(index.filter(members[0].node), "$share/g/a/+");
  EXPECT_EQ(index.shared_subscription_count(), 3u);
  EXPECT_EQ(index.subscription_count(), 0u);
  const auto list = index.match("a/x");
  ASSERT_EQ(list->shared.size(), 1u);
  EXPECT_TRUE(list->entries.empty());
  std::set<SubscriberId> picked;
  for (int i = 0; i < 3; ++i) picked.insert(pick(list->shared[0])->subscriber);
  EXPECT_EQ(picked, (std::set<SubscriberId>{1, 2, 3}));
  members[0].member->presence->set(Presence::kOffline);
  for (int i = 0; i < 6; ++i) EXPECT_NE(pick(list->shared[0])->subscriber, 1u);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(index.take_turn("$share/g/a/+", 2).member->subscriber, 3u);
  const auto* group = list->shared[0].group.get();
  EXPECT_TRUE(index.unsubscribe(members[1].node, 2));
  EXPECT_TRUE(index.subscribe("$share/g/a/+", 3, {.qos = 2}).existed);
  EXPECT_EQ(index.shared_group("$share/g/a/+").get(), group);
  EXPECT_EQ(index.take_turn("$share/g/a/+", 0).members, 2u);
  EXPECT_TRUE(index.unsubscribe("$share/g/a/+", 3));
  EXPECT_EQ(index.take_turn("$share/g/a/+", 0).member->subscriber, 1u);
  EXPECT_FALSE(index.take_turn("$share/g/a/+", 1).member);
  EXPECT_TRUE(index.unsubscribe("$share/g/a/+", 1));
  EXPECT_TRUE(index.match("a/x")->empty());
  EXPECT_FALSE(index.shared_group("$share/g/a/+"));
  EXPECT_FALSE(index.take_turn("$share/g/a/+", 0).group);
}

TEST(SharedSubscription, HandsOnInTheTurnOfAllMessagesToThoseWhoAreThere_4_8_2) {
  SubscriptionIndex index;
  const std::string name = "$share/g/a";
  std::vector<SubscriptionIndex::Subscribed> members;
  for (SubscriberId id = 1; id <= 100; ++id) members.push_back(index.subscribe(name, id, {.qos = 1}));
  const auto list = index.match("a");
  std::map<SubscriberId, int> turns;
  for (int i = 0; i < 100; ++i) {
    const bool handed_on = i % 2 == 1;
    ++turns[handed_on ? index.take_turn(name, 0).member->subscriber : pick(list->shared[0])->subscriber];
  }
  EXPECT_EQ(turns.size(), 100u) << "a turn each";
  for (std::size_t i = 0; i < 100; ++i)
    members[i].member->presence->set(i == 60 || i == 61 ? Presence::kOnline : Presence::kOffline);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(index.take_turn(name, 61).member->subscriber, 62u);
  members[61].member->presence->set(Presence::kOffline);
  EXPECT_NE(index.take_turn(name, 61).member->subscriber, 61u) << "nobody else is online";
  for (std::size_t i = 0; i < 100; ++i)
    if (i != 70) members[i].member->presence->set(Presence::kGone);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(pick(list->shared[0])->subscriber, 71u) << "the others have left";
  members[70].member->presence->set(Presence::kGone);
  EXPECT_EQ(pick(list->shared[0]), nullptr);
  EXPECT_FALSE(index.take_turn(name, 0).member);
  for (const auto& subscribed : members) subscribed.member->presence->set(Presence::kOffline);
  const SharedTurn turn = index.take_turn(name, 61);
  for (SubscriberId id = 1; id <= 99; ++id) EXPECT_TRUE(index.unsubscribe(name, id));
  EXPECT_EQ(index.take_turn(name, 61).member->subscriber, 100u);
  EXPECT_EQ(index.take_turn(name, 61).members, 1u);
  EXPECT_TRUE(index.unsubscribe(name, 100));
  EXPECT_EQ(turn.group->name(), name) << "what was given out stays";
  EXPECT_NE(turn.member->subscriber, 61u);
}

TEST(SharedSubscription, StandsBesideAPlainOneOfTheSameSession_4_8_2) {
  SubscriptionIndex index;
  const auto plain = index.subscribe("a", 1, {});
  const auto shared = index.subscribe("$share/g/a", 1, {});
  index.subscribe("$share/h/a", 1, {});
  EXPECT_EQ(index.match("a")->entries.size(), 1u);
  EXPECT_EQ(index.match("a")->shared.size(), 2u);
  EXPECT_TRUE(index.unsubscribe(plain.node, 1));
  EXPECT_FALSE(index.unsubscribe("a", 1));
  EXPECT_EQ(index.match("a")->shared.size(), 2u);
  EXPECT_TRUE(index.unsubscribe(shared.node, 1));
  EXPECT_EQ(index.match("a")->shared.size(), 1u);
}

// One subscription as the model keeps it, and what a list of receivers looks like when it is written down.
struct ModelSubscription {
  std::string filter;
  SubscriberId subscriber;
  SubscriptionRequest request;
};
using Written = std::multiset<std::tuple<SubscriberId, int, Audience, bool, std::string>>;

void write(Written& written, SubscriberId id, const std::vector<const SubscriptionRequest*>& requests,
           Audience audience) {
  int qos = 0;
  bool retain_as_published = false;
  std::string bytes;
  for (const auto* request : requests) {
    qos = std::max<int>(qos, request->qos);
    retain_as_published |= request->retain_as_published;
    if (request->identifiers) bytes += request->identifiers->bytes();
  }
  std::sort(bytes.begin(), bytes.end());
  written.emplace(id, qos, audience, retain_as_published, bytes);
}

class Model {
 public:
  bool put(const ModelSubscription& subscription) {
    const bool existed = remove(subscription.filter, subscription.subscriber);
    subscriptions_.push_back(subscription);
    return existed;
  }
  bool remove(const std::string& filter, SubscriberId id) {
    return std::erase_if(subscriptions_, [&](const auto& s) { return s.filter == filter && s.subscriber == id; }) == 1;
  }
  const std::vector<ModelSubscription>& subscriptions() const { return subscriptions_; }

  Written match(std::string_view topic) const {
    std::map<SubscriberId, std::vector<const SubscriptionRequest*>> by_session;
    std::map<std::string, std::set<SubscriberId>> groups;
    for (const auto& s : subscriptions_) {
      const auto shared = parse_shared(s.filter);
      if (shared && matches(shared->filter, topic)) groups[s.filter].insert(s.subscriber);
      if (!shared && matches(s.filter, topic)) by_session[s.subscriber].push_back(&s.request);
    }
    Written written;
    for (const auto& [id, requests] : by_session) {
      auto local = requests;
      std::erase_if(local, [](const auto* request) { return request->no_local; });
      write(written, id, requests, local.size() == requests.size() ? Audience::kEveryone : Audience::kOthersOnly);
      if (!local.empty() && local.size() < requests.size()) write(written, id, local, Audience::kSelfOnly);
    }
    for (const auto& [name, members] : groups) {
      for (const SubscriberId id : members) written.emplace(id, -1, Audience::kEveryone, false, name);
    }
    return written;
  }

 private:
  std::vector<ModelSubscription> subscriptions_;
};

Written written(const MatchList& list) {
  Written all;
  for (const MatchEntry& entry : list.entries) {
    std::string bytes(entry.identifiers ? entry.identifiers->bytes() : "");
    std::sort(bytes.begin(), bytes.end());
    all.emplace(entry.subscriber, entry.qos, entry.audience, entry.retain_as_published, bytes);
  }
  for (const SharedMatch& shared : list.shared) {
    for (const auto& member : shared.members) {
      all.emplace(member->subscriber, -1, Audience::kEveryone, false, shared.group->name());
    }
  }
  return all;
}

class IndexProperty : public testing::TestWithParam<unsigned> {};

TEST_P(IndexProperty, IndexAndCacheAgreeWithTheModel) {
  test::Random random(GetParam());
  const std::size_t spread = GetParam() % 2 == 0 ? 4 : 30;
  const std::size_t subscribers = GetParam() % 3 == 0 ? 100 : 5;
  SubscriptionIndex index;
  MatchCache cache(index, 50, 1u << 20);
  Model model;
  std::map<std::pair<std::string, SubscriberId>, SubscriptionIndex::Node*> handles;
  for (int step = 0; step < 4'000; ++step) {
    std::string filter = test::random_filter(random, spread);
    if (test::below(random, 5) == 0) filter = (test::below(random, 2) == 0 ? "$share/g/" : "$share/h/") + filter;
    SubscriberId id = 1 + test::below(random, subscribers);
    if (test::below(random, 10) < (step / 1'000 % 2 == 0 ? 7u : 2u)) {
      SubscriptionRequest request{static_cast<std::uint8_t>(test::below(random, 3)), test::below(random, 3) == 0,
                                  test::below(random, 2) == 0, nullptr};
      if (test::below(random, 2) == 0)
        request.identifiers = identifiers(std::string(1, static_cast<char>('A' + step % 26)));
      const auto subscribed = index.subscribe(filter, id, request);
      ASSERT_EQ(subscribed.existed, model.put({filter, id, request}));
      ASSERT_EQ(index.filter(subscribed.node), filter);
      handles[{filter, id}] = subscribed.node;
    } else {
      if (!handles.empty() && test::below(random, 4) != 0) {
        std::tie(filter, id) =
            std::next(handles.begin(), static_cast<long>(test::below(random, handles.size())))->first;
      }
      const auto handle = handles.find({filter, id});
      const bool by_handle = handle != handles.end() && test::below(random, 2) == 0;
      ASSERT_EQ(by_handle ? index.unsubscribe(handle->second, id) : index.unsubscribe(filter, id),
                model.remove(filter, id));
      handles.erase({filter, id});
    }
    ASSERT_EQ(index.subscription_count() + index.shared_subscription_count(), model.subscriptions().size());
    for (int i = 0; i < 3; ++i) {
      const std::string topic = test::random_name(random, spread);
      const Written expected = model.match(topic);
      ASSERT_EQ(written(*cache.match(topic)), expected) << topic;
      ASSERT_EQ(written(*index.match(topic)), expected) << topic;
    }
  }
  for (const auto& [key, node] : handles) EXPECT_EQ(index.filter(node), key.first);
  for (const auto& s : model.subscriptions()) EXPECT_TRUE(index.unsubscribe(s.filter, s.subscriber));
  EXPECT_TRUE(index.match("a")->empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, IndexProperty, testing::Range(1u, 7u));

TEST(SubscriptionIndex, ManyChildrenAndManySubscribersComeAndGo) {
  SubscriptionIndex index;
  const SubscriberId count = 20'000;
  for (SubscriberId id = 1; id <= count; ++id) {
    index.subscribe("u/" + std::to_string(id), id, {});
    if (id <= 1'000) index.subscribe("all", id, {});
  }
  for (SubscriberId id = 1; id <= count; ++id) {
    ASSERT_EQ(receivers(index, "u/" + std::to_string(id)), std::vector<SubscriberId>{id});
  }
  EXPECT_EQ(receivers(index, "all").size(), 1'000u);
  for (SubscriberId id = 1; id <= count; ++id) {
    ASSERT_TRUE(index.unsubscribe("u/" + std::to_string(id), id));
    ASSERT_EQ(index.unsubscribe("all", id), id <= 1'000);
    ASSERT_FALSE(index.unsubscribe("u/" + std::to_string(id), id));
    if (id % 1'000 != 0 || id == count) continue;
    ASSERT_EQ(receivers(index, "u/" + std::to_string(id + 1)), std::vector<SubscriberId>{id + 1});
    ASSERT_EQ(receivers(index, "u/" + std::to_string(count)), std::vector<SubscriberId>{count});
  }
  EXPECT_EQ(index.subscription_count(), 0u);
}

TEST(MatchCache, KeepsWhatOtherSubscriptionsDoNotTouch) {
  SubscriptionIndex index;
  MatchCache cache(index, 1'000, 1u << 20);
  index.subscribe("a/b/c", 1, {});
  const Ref<const MatchList> first = cache.match("a/b/c");
  index.subscribe("x/+", 2, {});
  index.subscribe("a/x/+", 3, {});
  EXPECT_EQ(cache.match("a/b/c"), first);
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(cache.misses(), 1u);
  index.subscribe("a/b/+", 4, {});
  EXPECT_EQ(cache.match("a/b/c")->entries.size(), 2u);
}

TEST(MatchCache, StaysWithinItsBounds) {
  SubscriptionIndex index;
  MatchCache cache(index, 100, 1u << 20);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) cache.match("t/" + std::to_string(i));
  }
  EXPECT_EQ(cache.hits(), 100u);
  for (int i = 0; i < 10'000; ++i) cache.match("t/" + std::to_string(i));
  MatchCache tiny(index, 100, 1);
  tiny.match("a");
  tiny.match("b");
  EXPECT_EQ(tiny.hits(), 0u);
  tiny.match("b");
  EXPECT_EQ(tiny.hits(), 1u);
  tiny.match("a");
  EXPECT_EQ(tiny.hits(), 1u);
}

TEST(SubscriptionIndex, ThreadsSeeWhatTheySubscribedAtOnce) {
  SubscriptionIndex index;
  std::vector<std::thread> threads;
  for (unsigned t = 1; t <= 4; ++t) {
    threads.emplace_back([&index, t] {
      test::Random random(t);
      MatchCache cache(index, 64, 1u << 16);
      for (std::uint32_t i = 0; i < 1'500; ++i) {
        const std::string topic = test::random_name(random, 4);
        const bool shared = i % 5 == 0;
        const SubscriberId id = make_subscriber_id(t, i, 1);
        const auto subscribed =
            index.subscribe((shared ? "$share/g/" : "") + topic, id, {.identifiers = identifiers("A")});
        const Ref<const MatchList>& list = cache.match(topic);
        const auto [begin, end] = list->of_shard(t);
        EXPECT_EQ(std::any_of(begin, end, [id](const MatchEntry& e) { return e.subscriber == id; }), !shared);
        EXPECT_TRUE(!shared || !list->shared.empty());
        EXPECT_EQ(index.filter(subscribed.node), (shared ? "$share/g/" : "") + topic);
        EXPECT_TRUE(!shared || index.take_turn("$share/g/" + topic, 0).member);
        const SharedTurn others = index.take_turn("$share/g/" + test::random_name(random, 4), id);
        EXPECT_TRUE(!others.member || others.member->subscriber != id);
        cache.match(test::random_name(random, 4));
        EXPECT_TRUE(index.unsubscribe(subscribed.node, id));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(index.subscription_count() + index.shared_subscription_count(), 0u);
}

}  // namespace
}  // namespace petrel::topics
