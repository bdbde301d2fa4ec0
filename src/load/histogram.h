// Latencies, each kept with an error of less than 1%: powers of two, each in 128 parts.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace petrel::load {

class Histogram {
 public:
  void add(std::uint64_t value) {
    ++counts_[slot(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  // The least value that `share` of all (0 to 1) do not exceed, as an upper bound of its slot.
  std::uint64_t at(double share) const {
    if (count_ == 0) return 0;
    const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted) return std::min(last_of(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kPartBits = 7;
  static constexpr std::uint64_t kParts = std::uint64_t{1} << kPartBits;

  static std::size_t slot(std::uint64_t value) {
    if (value < kParts) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kPartBits;
    return ((shift + 1) << kPartBits) + ((value >> shift) - kParts);
  }
  static std::uint64_t last_of(std::size_t slot) {
    if (slot < kParts) return slot;
    const auto shift = (slot >> kPartBits) - 1;
    return (((slot & (kParts - 1)) + kParts + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((65 - kPartBits) << kPartBits);
  std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace petrel::load
