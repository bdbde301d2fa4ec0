// Randomness through an interface, so that tests and simulations choose the seed. Threads: an object has one user.
#pragma once

#include <cstdint>
#include <random>

namespace petrel {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

// Straight from the operating system: not to be guessed, for identifiers that strangers see.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace petrel
