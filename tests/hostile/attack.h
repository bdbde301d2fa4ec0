// What an attack is given, and the table of all attacks. One function an attack; the files hold one theme each.
// Threads: each attack runs on one of its own, with a crowd of its own.
#pragma once

#include <span>
#include <string_view>

#include "corpus.h"
#include "crowd.h"
#include "random_source.h"

namespace petrel::hostile {

struct Attack {
  std::string_view name;
  void (*run)(struct Battle&);
};

struct Battle {
  Crowd& crowd;
  RandomSource& random;
  const Corpus& corpus;
  Clock::time_point until;

  bool going_on() const { return Clock::now() < until; }
};

// Keeps up to `most` peers at work with `make_plan()` until the time is over.
template <class MakePlan>
void keep_open(Battle& battle, std::size_t most, MakePlan make_plan) {
  constexpr std::size_t kPerTurn = 64;
  while (battle.going_on()) {
    for (std::size_t i = 0; i < kPerTurn && battle.crowd.size() < most; ++i) battle.crowd.open(make_plan());
    battle.crowd.turn();
  }
}

std::span<const Attack> stream_attacks();      // streams.cpp
std::span<const Attack> flood_attacks();       // floods.cpp
std::span<const Attack> topic_attacks();       // topics.cpp
std::span<const Attack> connection_attacks();  // connections.cpp

}  // namespace petrel::hostile
