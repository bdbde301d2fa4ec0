// Bytes on their way to the front of the pieces that a read is to fill. Threads: a value with one user; the pieces
// outlive it.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/bytes.h"

namespace petrel::net {

class Gathering {
 public:
  explicit Gathering(std::span<const iovec> pieces) : pieces_(pieces) { skip_full(); }

  // Takes what there is room for, and tells how much that was. The bytes may lie in the pieces themselves, at or behind
  // the place where they go.
  std::size_t put(BytesView bytes) {
    const std::size_t before = total_;
    while (!bytes.empty() && !full()) {
      const std::size_t size = std::min(room(), bytes.size());
      if (next() != bytes.data()) std::memmove(next(), bytes.data(), size);
      bytes.remove_prefix(size);
      advance(size);
    }
    return total_ - before;
  }
  // To fill by other means: where the next byte goes, how many may follow it, and how many did.
  char* next() const { return static_cast<char*>(pieces_[index_].iov_base) + at_; }
  std::size_t room() const { return full() ? 0 : pieces_[index_].iov_len - at_; }
  void advance(std::size_t size) {
    at_ += size;
    total_ += size;
    skip_full();
  }
  bool full() const { return index_ == pieces_.size(); }
  std::size_t total() const { return total_; }

 private:
  void skip_full() {
    for (; index_ < pieces_.size() && at_ == pieces_[index_].iov_len; ++index_) at_ = 0;
  }

  std::span<const iovec> pieces_;
  std::size_t index_ = 0, at_ = 0, total_ = 0;
};

}  // namespace petrel::net
