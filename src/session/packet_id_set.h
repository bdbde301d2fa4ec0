// A set of packet identifiers. Few of them, the usual case, lie in a row that is searched through; from kFew on there
// is a bit for each identifier there is (8 KiB), so that a peer that holds all 65535 costs no more time than others.
//
// Threads: its owner's.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/release_memory.h"
#include "wire/packet.h"

namespace petrel::session {

class PacketIdSet {
 public:
  std::size_t size() const { return bits_ == nullptr ? few_.size() : in_bits_; }

  bool contains(wire::PacketId id) const {
    if (bits_ != nullptr) return bits_->test(id);
    return std::find(few_.begin(), few_.end(), id) != few_.end();
  }

  // `id` is not in the set.
  void add(wire::PacketId id) {
    if (bits_ == nullptr && few_.size() < kFew) return few_.push_back(id);
    if (bits_ == nullptr) {
      bits_ = std::make_unique<Bits>();
      for (const wire::PacketId known : few_) bits_->set(known);
      in_bits_ = few_.size();
      release_memory(few_);
    }
    bits_->set(id);
    ++in_bits_;
  }

  // False if it was not there.
  bool remove(wire::PacketId id) {
    if (bits_ == nullptr) {
      const auto it = std::find(few_.begin(), few_.end(), id);
      if (it == few_.end()) return false;
      *it = few_.back();
      few_.pop_back();
      return true;
    }
    if (!bits_->test(id)) return false;
    bits_->reset(id);
    if (--in_bits_ == 0) bits_.reset();
    return true;
  }

  void clear() {
    release_memory(few_);
    bits_.reset();
  }

 private:
  static constexpr std::size_t kFew = 64;
  using Bits = std::bitset<65536>;
  std::vector<wire::PacketId> few_;
  std::unique_ptr<Bits> bits_;
  std::size_t in_bits_ = 0;
};

}  // namespace petrel::session
