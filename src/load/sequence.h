// The numbers of the messages that one subscriber got from one publisher: which came, which came twice, and whether in
// order. Memory grows with gaps, not with messages.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

namespace petrel::load {

class Sequence {
 public:
  enum class Verdict : std::uint8_t { kNew, kLate, kDuplicate };

  Verdict note(std::uint64_t number) {
    if (number == next_) {
      ++next_;
      return Verdict::kNew;
    }
    if (number > next_) {
      for (; next_ < number; ++next_) missing_.insert(next_);
      ++next_;
      return Verdict::kNew;
    }
    return missing_.erase(number) == 1 ? Verdict::kLate : Verdict::kDuplicate;
  }

 private:
  std::uint64_t next_ = 0;
  std::set<std::uint64_t> missing_;
};

// The same for a shared subscription, whose members get some of the numbers each: what came to any of them, one bit a
// message.
class SharedSequence {
 public:
  // False: it came before.
  bool note(std::uint64_t number) {
    if (number / 64 >= bits_.size()) bits_.resize(number / 64 + 1024);
    std::uint64_t& word = bits_[number / 64];
    const std::uint64_t bit = std::uint64_t{1} << number % 64;
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }

 private:
  std::vector<std::uint64_t> bits_;
};

}  // namespace petrel::load
