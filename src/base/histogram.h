// How long things took, by class of duration. Costs an addition or two. Threads: one adds, any reads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/counters.h"

namespace petrel {

class Histogram {
 public:
  // Upper bounds of the classes; one more is for all that is longer.
  static constexpr std::array<std::uint64_t, 12> kBoundsUs{50,     100,    250,    500,     1000,    2500,
                                                           10'000, 25'000, 50'000, 100'000, 500'000, 1'000'000};
  struct Values {
    std::array<std::uint64_t, kBoundsUs.size() + 1> counts{};
    std::uint64_t sum_us = 0;
  };

  void add(std::uint64_t duration_us) {
    const auto bound = std::lower_bound(kBoundsUs.begin(), kBoundsUs.end(), duration_us);
    counts_[static_cast<std::size_t>(bound - kBoundsUs.begin())].add();
    sum_us_.add(duration_us);
  }
  Values values() const {
    Values values;
    for (std::size_t i = 0; i < counts_.size(); ++i) values.counts[i] = counts_[i].value();
    values.sum_us = sum_us_.value();
    return values;
  }

 private:
  std::array<Counter, kBoundsUs.size() + 1> counts_;
  Counter sum_us_;
};

}  // namespace petrel
