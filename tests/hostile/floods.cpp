// More of what is allowed than anyone needs: CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, retained messages, wills.
#include <fmt/format.h>

#include "attack.h"
#include "packets.h"

namespace petrel::hostile {

namespace {

using wire::Qos;

// Filters a packet holds; a session may have 100 000 subscriptions.
constexpr std::size_t kFiltersPerPacket = 2000;
constexpr std::size_t kPacketsPerSession = 60;

Plan plan_of(Battle& battle, std::string bytes, Plan::End end = Plan::End::kHalfClose) {
  Plan plan;
  plan.seed = battle.random.next();
  plan.bytes = std::move(bytes);
  plan.end = end;
  return plan;
}

void connects(Battle& battle) {
  keep_open(battle, 500, [&] {
    ++battle.crowd.counts().packets;
    wire::Connect packet;
    packet.version = kV5;
    // Half of them fight for few identifiers: each takes the session of another over.
    const std::string client_id = fmt::format("hostile-{}", battle.random.below(battle.random.one_in(2) ? 10 : 500));
    packet.client_id = client_id;
    packet.clean_start = battle.random.one_in(2);
    packet.session_expiry_interval_s = static_cast<std::uint32_t>(battle.random.below(2));
    Plan plan = plan_of(battle, encoded(kV5, packet), Plan::End::kStay);
    plan.stay = std::chrono::milliseconds(battle.random.below(20));
    return plan;
  });
}

void publishes(Battle& battle) {
  keep_open(battle, 20, [&] {
    std::string burst;
    const auto qos = static_cast<Qos>(battle.random.below(3));
    for (std::uint16_t id = 1; id <= 500; ++id)
      burst += publish("hostile/publishes", "some bytes", qos, qos == Qos::k0 ? wire::PacketId{0} : id) +
               (qos == Qos::k2 ? ack(wire::PacketType::kPubrel, id) : std::string());
    Plan plan = plan_of(battle, connect("") + subscribe({"hostile/publishes"}));
    plan.more = [&battle, burst, left = 40](Peer& peer) mutable {
      battle.crowd.counts().packets += 500;
      peer.out = burst;
      return left-- > 0;
    };
    return plan;
  });
}

std::vector<std::string> many_filters(RandomSource& random, std::size_t first) {
  std::vector<std::string> filters;
  filters.reserve(kFiltersPerPacket);
  for (std::size_t i = first; i < first + kFiltersPerPacket; ++i)
    filters.push_back(random.one_in(10) ? fmt::format("$share/group{}/hostile/{}/+", i % 7, i)
                                        : fmt::format("hostile/{}/{}", i % 97, i));
  return filters;
}

void subscribes(Battle& battle) {
  keep_open(battle, 4, [&] {
    Plan plan = plan_of(battle, connect(""));
    const std::size_t base = battle.random.below(1000) * kFiltersPerPacket;
    plan.more = [&battle, base, sent = std::size_t{0}](Peer& peer) mutable {
      ++battle.crowd.counts().packets;
      RandomSource random(base + sent);
      // Each second time the same once more: the subscription is replaced.
      peer.out = subscribe(many_filters(random, base + sent / 2 * kFiltersPerPacket));
      return ++sent < kPacketsPerSession;
    };
    return plan;
  });
}

void unsubscribes(Battle& battle) {
  keep_open(battle, 4, [&] {
    std::string bytes = connect("");
    for (std::size_t i = 0; i < 25; ++i) {
      std::vector<std::string> filters;
      for (std::size_t k = 0; k < kFiltersPerPacket; ++k)
        filters.push_back(fmt::format("hostile/u/{}", i * kFiltersPerPacket + k));
      bytes += subscribe(filters);
    }
    Plan plan = plan_of(battle, std::move(bytes));
    plan.more = [&battle, sent = 0](Peer& peer) mutable {
      ++battle.crowd.counts().packets;
      std::vector<std::string> filters;
      // Half of them exist.
      for (std::size_t k = 0; k < 20 * kFiltersPerPacket; ++k)
        filters.push_back(fmt::format("hostile/u/{}", battle.random.below(50 * kFiltersPerPacket)));
      peer.out = unsubscribe(filters);
      return sent++ < 4;
    };
    return plan;
  });
}

void retained_messages(Battle& battle) {
  keep_open(battle, 10, [&] {
    Plan plan = plan_of(battle, connect(""));
    plan.more = [&battle, sent = 0](Peer& peer) mutable {
      RandomSource& random = battle.random;
      for (int i = 0; i < 200; ++i) {
        wire::Publish packet;
        const std::string topic = fmt::format("hostile/retained/{}/{}", random.below(100), random.below(200));
        const std::string payload(random.one_in(4) ? 0 : random.below(random.one_in(100) ? 20'000 : 300), 'r');
        packet.topic = topic;
        packet.payload = payload;
        packet.retain = true;
        if (random.one_in(3)) packet.properties.message_expiry_interval_s = 1;
        peer.out += encoded(kV5, packet);
      }
      if (random.one_in(20)) peer.out += subscribe({"hostile/retained/#"});
      battle.crowd.counts().packets += 200;
      return sent++ < 50;
    };
    return plan;
  });
}

void wills(Battle& battle) {
  keep_open(battle, 400, [&] {
    RandomSource& random = battle.random;
    wire::Connect packet;
    packet.version = kV5;
    packet.session_expiry_interval_s = static_cast<std::uint32_t>(random.below(2));
    const std::string topic = fmt::format("hostile/wills/{}", random.below(1000));
    const std::string payload(random.below(random.one_in(50) ? 60'000 : 200), 'w');
    packet.will = wire::Will{.qos = static_cast<Qos>(random.below(3)),
                             .retain = random.one_in(3),
                             .topic = topic,
                             .payload = payload,
                             .delay_interval_s = static_cast<std::uint32_t>(random.below(2)),
                             .properties = {}};
    ++battle.crowd.counts().packets;
    std::string bytes = encoded(kV5, packet);
    if (random.one_in(10)) bytes += subscribe({"hostile/wills/#"}, Qos::k2);
    Plan plan = plan_of(battle, std::move(bytes), Plan::End::kStay);
    plan.stay = std::chrono::milliseconds(random.below(30));
    return plan;
  });
}

constexpr Attack kAttacks[] = {{"connects", connects},          {"publishes", publishes},
                               {"subscribes", subscribes},      {"unsubscribes", unsubscribes},
                               {"retained", retained_messages}, {"wills", wills}};

}  // namespace

std::span<const Attack> flood_attacks() { return kAttacks; }

}  // namespace petrel::hostile
