// Seeded randomness for attacks: a seed gives the same attack again. Threads: an object has one user.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"

namespace petrel::hostile {

class RandomSource {
 public:
  explicit RandomSource(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t next() { return engine_.next(); }
  // At least 0, below `end` (at least 1).
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(next() % end); }
  std::size_t between(std::size_t first, std::size_t last) { return first + below(last - first + 1); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  char byte() { return static_cast<char>(next()); }
  std::string bytes(std::size_t count) {
    std::string made(count, '\0');
    for (char& c : made) c = byte();
    return made;
  }

 private:
  SeededRandom engine_;
};

}  // namespace petrel::hostile
