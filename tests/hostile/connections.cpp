// Connections that are there and do nothing, or take nothing.
#include <fmt/format.h>

#include "attack.h"
#include "packets.h"

namespace petrel::hostile {

namespace {

using wire::Qos;

// Nothing, a part of a CONNECT, a part of a packet, or silence after a whole one.
void half_open(Battle& battle) {
  keep_open(battle, 1500, [&] {
    RandomSource& random = battle.random;
    Plan plan;
    plan.seed = random.next();
    const std::string hello = connect("");
    switch (random.below(4)) {
      case 0:
        break;
      case 1:
        plan.bytes = hello.substr(0, random.between(1, hello.size() - 1));
        break;
      case 2:
        // The header promises 16 MB, of which some come.
        plan.bytes = hello + std::string("\x30\xff\xff\xff\x07", 5) + std::string(random.below(20'000), '\0');
        break;
      default:
        plan.bytes = hello + subscribe({"hostile/half/#"});
    }
    plan.end = Plan::End::kStay;
    plan.stay = std::chrono::milliseconds(random.between(100, 2000));
    return plan;
  });
}

// Subscribers that take nothing, before publishers that do not stop.
void never_reading(Battle& battle) {
  std::size_t opened = 0;
  keep_open(battle, 40, [&] {
    RandomSource& random = battle.random;
    Plan plan;
    plan.seed = random.next();
    if (opened++ % 10 != 0) {
      plan.bytes = connect("") + subscribe({"hostile/stuck/#"}, static_cast<Qos>(random.below(3)));
      plan.reads = false;
      plan.receive_buffer = 4096;
      plan.end = Plan::End::kStay;
      plan.stay = std::chrono::milliseconds(random.between(200, 3000));
      return plan;
    }
    plan.bytes = connect("");
    plan.more = [&battle, sent = 0](Peer& peer) mutable {
      ++battle.crowd.counts().packets;
      const auto qos = static_cast<Qos>(sent % 2);
      peer.out = publish("hostile/stuck/a", std::string(battle.random.below(65'536), 's'), qos,
                         static_cast<wire::PacketId>(qos == Qos::k0 ? 0 : sent + 1));
      return ++sent < 400;
    };
    return plan;
  });
}

// Large packets that nobody wants, in pieces.
void large_packets(Battle& battle) {
  keep_open(battle, 8, [&] {
    RandomSource& random = battle.random;
    ++battle.crowd.counts().packets;
    Plan plan;
    plan.seed = random.next();
    plan.bytes = connect("") + publish("hostile/large", std::string(random.below(17U << 20), 'l'));
    plan.piece_bytes = random.between(10'000, 300'000);
    if (random.one_in(3)) {
      plan.bytes.resize(random.below(plan.bytes.size()));
      plan.end = Plan::End::kReset;
    }
    return plan;
  });
}

constexpr Attack kAttacks[] = {
    {"half-open", half_open}, {"never-reading", never_reading}, {"large-packets", large_packets}};

}  // namespace

std::span<const Attack> connection_attacks() { return kAttacks; }

}  // namespace petrel::hostile
