// Streams of bytes that are no MQTT, nearly MQTT, or MQTT in unusual portions. Every stream has a seed of its own, ends
// with a half-close, and must then be hung up on.
#include "attack.h"
#include "packets.h"

namespace petrel::hostile {

namespace {

constexpr std::size_t kStreams = 400;

Plan random_stream(std::uint64_t seed) {
  RandomSource random(seed);
  Plan plan;
  plan.seed = seed;
  switch (random.below(4)) {
    case 0:
      break;
    case 1:
      plan.bytes.push_back('\x10');
      break;
    default:
      plan.bytes = valid_session(random, random.below(4));
  }
  plan.bytes += random.bytes(random.one_in(50) ? random.below(70'000) : random.below(600));
  return plan;
}

void random_streams(Battle& battle) {
  keep_open(battle, kStreams, [&] { return random_stream(battle.random.next()); });
}

Plan mutated_stream(std::uint64_t seed, const Corpus& corpus) {
  RandomSource random(seed);
  Plan plan;
  plan.seed = seed;
  plan.bytes = valid_session(random, random.below(12));
  for (std::size_t more = random.below(6); more > 0; --more) plan.bytes += corpus.seed(random);
  // A CONNECT that is taken lets what follows be looked at.
  if (random.one_in(3)) {
    mutate(plan.bytes, random, corpus);
  } else {
    std::string rest = plan.bytes;
    plan.bytes = valid_session(random, 0);
    mutate(rest, random, corpus);
    plan.bytes += rest;
  }
  if (random.one_in(20)) plan.end = Plan::End::kReset;
  return plan;
}

void mutated_streams(Battle& battle) {
  keep_open(battle, kStreams, [&] { return mutated_stream(battle.random.next(), battle.corpus); });
}

void dribbled_packets(Battle& battle) {
  keep_open(battle, 200, [&] {
    const std::uint64_t seed = battle.random.next();
    RandomSource random(seed);
    const std::size_t packets = random.between(1, 10);
    battle.crowd.counts().packets += packets + 1;
    Plan plan;
    plan.seed = seed;
    plan.bytes = valid_session(random, packets);
    plan.piece_bytes = random.between(1, 3);
    return plan;
  });
}

void packed_segments(Battle& battle) {
  keep_open(battle, 20, [&] {
    const std::uint64_t seed = battle.random.next();
    RandomSource random(seed);
    Plan plan;
    plan.seed = seed;
    plan.bytes = connect("");
    const std::size_t packets = random.between(1000, 5000);
    for (std::size_t i = 0; i < packets; ++i) {
      const auto id = static_cast<wire::PacketId>(i % 500 + 1);
      switch (random.below(4)) {
        case 0:
          plan.bytes += publish("hostile/packed", "x");
          break;
        case 1:
          plan.bytes += publish("hostile/packed", "x", wire::Qos::k1, id);
          break;
        case 2:
          plan.bytes += subscribe({"hostile/packed"});
          break;
        default:
          plan.bytes += wire::kPingreq;
      }
    }
    battle.crowd.counts().packets += packets + 1;
    return plan;
  });
}

constexpr Attack kAttacks[] = {{"random-streams", random_streams},
                               {"mutated-streams", mutated_streams},
                               {"dribbled-packets", dribbled_packets},
                               {"packed-segments", packed_segments}};

}  // namespace

std::span<const Attack> stream_attacks() { return kAttacks; }

}  // namespace petrel::hostile
