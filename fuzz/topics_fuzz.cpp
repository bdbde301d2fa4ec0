// Topics and filters: the subscription index, the match cache and the retained trie must find what matches() finds. An
// input is lines of an operation, a subscriber's digit and a topic or filter:
//   s1FILTER subscribe   u1FILTER unsubscribe   m1NAME match   r1NAME retain   e1NAME erase   f1FILTER find retained
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "fuzz/require.h"
#include "topics/match_cache.h"
#include "topics/retained_trie.h"
#include "topics/subscription_index.h"
#include "topics/topic.h"

namespace petrel::topics {
namespace {

class Note final : public RefCounted<Note> {
 public:
  explicit Note(std::string_view topic) : topic_(topic) {}
  std::string_view topic() const { return topic_; }
  std::size_t block_bytes() const { return topic_.size(); }

 private:
  std::string topic_;
};

using Written = std::multiset<std::pair<SubscriberId, std::string>>;  // with the group's name, if it is one

Written written(const MatchList& list) {
  Written all;
  for (const MatchEntry& entry : list.entries) all.emplace(entry.subscriber, "");
  for (const SharedMatch& shared : list.shared)
    for (const auto& member : shared.members) all.emplace(member->subscriber, shared.group->name());
  return all;
}

class Topics {
 public:
  explicit Topics(SubscriptionIndex& index) : index_(index) {}

  void apply(char operation, SubscriberId id, std::string_view text) {
    switch (operation) {
      case 's':
        if (is_valid_filter(text)) subscribe(std::string(text), id);
        break;
      case 'u':
        if (is_valid_filter(text)) unsubscribe(std::string(text), id);
        break;
      case 'm':
        if (is_valid_name(text)) match(text);
        break;
      case 'r':
        if (is_valid_name(text))
          PETREL_REQUIRE(retained_.set(make_ref<Note>(text)) == names_.insert(std::string(text)).second);
        break;
      case 'e':
        if (is_valid_name(text)) PETREL_REQUIRE(retained_.erase(text) == (names_.erase(std::string(text)) == 1));
        break;
      case 'f':
        if (is_valid_filter(text) && !is_shared(text)) find(text);
        break;
      default:
        break;
    }
  }
  // The counts are right, and the index is left as it was found.
  void finish() {
    PETREL_REQUIRE(index_.subscription_count() + index_.shared_subscription_count() == nodes_.size());
    PETREL_REQUIRE(retained_.count() == names_.size());
    for (const auto& [key, node] : nodes_) PETREL_REQUIRE(index_.unsubscribe(node, key.second));
    PETREL_REQUIRE(index_.subscription_count() + index_.shared_subscription_count() == 0);
    for (const auto& [key, node] : nodes_) PETREL_REQUIRE(index_.find(key.first) == nullptr);
  }

 private:
  void subscribe(const std::string& filter, SubscriberId id) {
    const auto subscribed = index_.subscribe(filter, id, {});
    PETREL_REQUIRE(subscribed.existed == nodes_.contains({filter, id}));
    PETREL_REQUIRE(index_.filter(subscribed.node) == filter);
    PETREL_REQUIRE(index_.find(filter) == subscribed.node);
    nodes_[{filter, id}] = subscribed.node;
  }
  void unsubscribe(const std::string& filter, SubscriberId id) {
    PETREL_REQUIRE(index_.unsubscribe(filter, id) == (nodes_.erase({filter, id}) == 1));
  }
  void match(std::string_view name) {
    Written expected;
    std::set<SubscriberId> plain;
    for (const auto& [key, node] : nodes_) {
      const auto shared = parse_shared(key.first);
      if (shared && matches(shared->filter, name)) expected.emplace(key.second, key.first);
      if (!shared && matches(key.first, name)) plain.insert(key.second);
    }
    for (const SubscriberId id : plain) expected.emplace(id, "");
    PETREL_REQUIRE(written(*index_.match(name)) == expected);
    PETREL_REQUIRE(written(*cache_.match(name)) == expected);
  }
  void find(std::string_view filter) const {
    std::multiset<std::string> expected;
    for (const std::string& name : names_)
      if (matches(filter, name)) expected.insert(name);
    std::multiset<std::string> found;
    std::string resume;
    for (bool more = true; more;) {
      const auto page = retained_.match(filter, resume, 3);
      PETREL_REQUIRE(page.values.size() <= 3);
      for (const auto& value : page.values) found.emplace(value->topic());
      more = page.more;
      resume = page.resume;
    }
    PETREL_REQUIRE(found == expected);
  }

  SubscriptionIndex& index_;
  MatchCache cache_{index_, 8, 1 << 16};
  RetainedTopics<Note> retained_;
  std::map<std::pair<std::string, SubscriberId>, SubscriptionIndex::Node*> nodes_;
  std::set<std::string> names_;
};

}  // namespace
}  // namespace petrel::topics

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  // One for all inputs, for making it costs more than most inputs do.
  static petrel::topics::SubscriptionIndex index;
  petrel::topics::Topics topics(index);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.size() < 2) continue;
    const std::string_view text = line.substr(2);
    // A subscriber is never 0, and the codec lets no malformed text through.
    const auto id = static_cast<petrel::topics::SubscriberId>(1 + (static_cast<unsigned char>(line[1]) & 7));
    if (petrel::is_mqtt_utf8(text)) topics.apply(line[0], id, text);
  }
  topics.finish();
  return 0;
}
