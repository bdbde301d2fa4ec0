// Topics at their limits, wildcards against a deep tree of retained messages, abuse of topic aliases and packet
// identifiers.
#include <fmt/format.h>

#include "attack.h"
#include "packets.h"

namespace petrel::hostile {

namespace {

using wire::PacketType;
using wire::Qos;

std::string levels(std::size_t count, std::string_view level) {
  std::string topic(level);
  for (std::size_t i = 1; i < count; ++i) {
    topic += '/';
    topic += level;
  }
  return topic;
}

std::string extreme_topic(RandomSource& random) {
  switch (random.below(5)) {
    case 0:
      return std::string(65'535, 't');
    case 1:  // as deep as the broker takes, as long as a string can be
      return levels(199, std::string(300, static_cast<char>('a' + random.below(26)))) + "/" + std::string(5000, 'z');
    case 2:  // 65 536 empty levels
      return std::string(65'535, '/');
    case 3:
      return levels(32'768, "d");
    default:
      return levels(200, std::string(1, static_cast<char>('a' + random.below(26))));
  }
}

std::string as_filter(std::string topic, RandomSource& random) {
  if (random.one_in(3)) return topic;
  for (std::size_t at = 0; (at = topic.find('/', at)) != std::string::npos; ++at) {
    if (at + 1 < topic.size() && topic[at + 1] != '/' && random.one_in(3)) {
      const std::size_t next = std::min(topic.find('/', at + 1), topic.size());
      topic.replace(at + 1, next - at - 1, "+");
    }
  }
  if (topic.size() < 65'534 && random.one_in(2)) topic += "/#";
  return topic;
}

void deep_topics(Battle& battle) {
  keep_open(battle, 30, [&] {
    const std::uint64_t seed = battle.random.next();
    RandomSource random(seed);
    Plan plan;
    plan.seed = seed;
    plan.bytes = connect("");
    for (int i = 0; i < 8; ++i) {
      const std::string topic = extreme_topic(random);
      if (random.one_in(2)) plan.bytes += subscribe({as_filter(topic, random)});
      plan.bytes += publish(topic, "deep", Qos::k0, 0, random.one_in(4));
    }
    battle.crowd.counts().packets += 17;
    return plan;
  });
}

constexpr std::size_t kTreeWidth = 6;
constexpr std::size_t kTreeDepth = 6;  // 6^6: 46 656 retained messages

// The tree's messages from `first` on, some hundred of them; false when there are none left.
bool append_tree(std::string& out, std::size_t& first) {
  std::size_t leaves = 1;
  for (std::size_t i = 0; i < kTreeDepth; ++i) leaves *= kTreeWidth;
  for (std::size_t end = std::min(leaves, first + 500); first < end; ++first) {
    std::string topic = "hostile/tree";
    for (std::size_t level = 0, rest = first; level < kTreeDepth; ++level, rest /= kTreeWidth)
      topic += fmt::format("/{}", rest % kTreeWidth);
    out += publish(topic, "leaf", Qos::k0, 0, true);
  }
  return first < leaves;
}

// A filter that makes the broker look far and, often, find nothing.
std::string plus_filter(RandomSource& random) {
  std::string filter = random.one_in(4) ? "+/+" : "hostile/tree";
  for (std::size_t level = 0; level < kTreeDepth; ++level)
    filter += random.one_in(6) ? fmt::format("/{}", random.below(kTreeWidth)) : "/+";
  if (random.one_in(2)) filter.replace(filter.size() - 1, 1, "none");
  return filter;
}

void plus_bombs(Battle& battle) {
  Plan gardener;
  gardener.bytes = connect("");
  gardener.more = [next = std::size_t{0}](Peer& peer) mutable {
    return append_tree(peer.out, next) || !peer.out.empty();
  };
  battle.crowd.open(std::move(gardener));
  while (battle.going_on() && battle.crowd.size() > 0) battle.crowd.turn();
  keep_open(battle, 20, [&] {
    RandomSource& random = battle.random;
    Plan plan;
    plan.seed = random.next();
    plan.bytes = connect("");
    const std::size_t filters = random.one_in(3) ? 300 : 10;
    std::vector<std::string> bombs;
    for (std::size_t i = 0; i < filters; ++i) bombs.push_back(plus_filter(random));
    plan.bytes += subscribe(bombs, static_cast<Qos>(random.below(3)));
    for (int i = 0; i < 10; ++i) plan.bytes += publish(levels(random.between(1, 100), "x"), "bomb");
    battle.crowd.counts().packets += 12;
    plan.end = Plan::End::kStay;
    plan.stay = std::chrono::milliseconds(random.below(100));
    plan.reads = !random.one_in(4);
    return plan;
  });
}

constexpr std::size_t kOverlapDepth = 10;  // 2^10: 1024 filters, each of which matches

// Filters with an identifier each, and publications to topics that are new and match them all.
void overlaps(Battle& battle) {
  std::string all;
  for (std::uint32_t filter = 0; filter < 1U << kOverlapDepth; ++filter) {
    std::string text = "hostile";
    for (std::size_t level = 0; level < kOverlapDepth; ++level) text += (filter >> level & 1) != 0 ? "/+" : "/x";
    text += "/#";
    wire::Subscribe packet;
    packet.packet_id = 1;
    packet.subscription_identifier = filter + 1;
    packet.subscriptions.push_back({text, {}});
    all += encoded(kV5, packet);
  }
  const std::string begin = "hostile/" + levels(kOverlapDepth, "x");
  keep_open(battle, 4, [&] {
    RandomSource& random = battle.random;
    constexpr int kPublications = 100;
    Plan plan;
    plan.seed = random.next();
    plan.bytes = connect("") + all;
    for (int i = 0; i < kPublications; ++i) plan.bytes += publish(fmt::format("{}/{:x}", begin, random.next()), "o");
    battle.crowd.counts().packets += kPublications + (1U << kOverlapDepth) + 1;
    plan.reads = !random.one_in(4);
    return plan;
  });
}

void topic_aliases(Battle& battle) {
  keep_open(battle, 200, [&] {
    const std::uint64_t seed = battle.random.next();
    RandomSource random(seed);
    Plan plan;
    plan.seed = seed;
    wire::Connect hello;
    hello.version = kV5;
    hello.topic_alias_maximum = static_cast<std::uint16_t>(random.next());
    plan.bytes = encoded(kV5, hello) + subscribe({"hostile/alias/#"});
    const std::size_t packets = random.between(1, 300);
    const bool breaks = random.one_in(2);
    for (std::size_t i = 0; i < packets; ++i) {
      wire::Publish packet;
      const std::string topic = fmt::format("hostile/alias/{}", random.below(100'000));
      packet.topic = topic;
      packet.topic_alias = static_cast<std::uint16_t>(random.between(1, 64));
      if (i > packets / 2 && random.one_in(3)) packet.topic = {};  // perhaps never set
      if (breaks && i + 1 == packets) packet.topic_alias = random.one_in(2) ? std::uint16_t{0} : std::uint16_t{65535};
      plan.bytes += encoded(kV5, packet);
    }
    battle.crowd.counts().packets += packets + 2;
    return plan;
  });
}

void packet_ids(Battle& battle) {
  keep_open(battle, 100, [&] {
    const std::uint64_t seed = battle.random.next();
    RandomSource random(seed);
    Plan plan;
    plan.seed = seed;
    const auto version = static_cast<wire::ProtocolVersion>(random.between(3, 5));
    plan.bytes = connect(fmt::format("hostile-{}", random.below(500)), version) +
                 subscribe({"hostile/ids"}, Qos::k2, 1, version);
    const std::size_t packets = random.between(1, 1500);
    const std::size_t ids = random.one_in(3) ? 65'536 : 3;  // many open exchanges, or the same again and again
    for (std::size_t i = 0; i < packets; ++i) {
      const auto id = static_cast<wire::PacketId>(random.below(ids) + (random.one_in(500) ? 0 : 1));
      if (random.one_in(2)) {
        plan.bytes += publish("hostile/ids", "x", static_cast<Qos>(random.between(1, 2)), id, false, version);
      } else {
        plan.bytes += ack(static_cast<PacketType>(random.between(4, 7)), id, version);
      }
    }
    battle.crowd.counts().packets += packets + 2;
    return plan;
  });
}

constexpr Attack kAttacks[] = {{"deep-topics", deep_topics},
                               {"plus-bombs", plus_bombs},
                               {"overlaps", overlaps},
                               {"topic-aliases", topic_aliases},
                               {"packet-ids", packet_ids}};

}  // namespace

std::span<const Attack> topic_attacks() { return kAttacks; }

}  // namespace petrel::hostile
