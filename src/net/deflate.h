// zlib's compressor and decompressor for single messages (raw DEFLATE, as RFC 7692 has it), and a pool from which
// connections borrow them for as long as a message is under way, so that those that rest hold none.
//
// Threads: Deflater, Inflater: one at a time. CompressionPool: any; it outlives what was borrowed from it.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/release_memory.h"
#include "net/gathering.h"

struct z_stream_s;

namespace petrel::net {

inline constexpr int kMinWindowBits = 9;  // zlib compresses with no smaller window
inline constexpr int kMaxWindowBits = 15;

// Bytes that zlib holds.
using HeldBytes = std::atomic<std::uint64_t>;

class Deflater {
 public:
  // The window costs 2^(bits + 2) bytes, and up to 128 KiB come on top; small windows get along with less.
  Deflater(int window_bits, HeldBytes& held);
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // Makes output() of the first `bytes` of the pieces, without the end that every message has in common. False: it is
  // no smaller. `keep`: what was compressed before may be referred to. Otherwise the same bytes once more cost a
  // comparison only, for what goes to many goes to them one after the other.
  bool compress(std::span<const iovec> pieces, std::size_t bytes, bool keep);
  BytesView output() const { return output_; }
  void drop_output() { release_memory(output_); }
  int window_bits() const { return window_bits_; }

 private:
  bool holds(std::span<const iovec> pieces, std::size_t bytes) const;
  void run();

  const int window_bits_;
  std::unique_ptr<z_stream_s> stream_;
  std::string input_, output_;
  bool smaller_ = false;
};

class Inflater {
 public:
  Inflater(int window_bits, HeldBytes& held);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  enum class Status : std::uint8_t { kTookAll, kFull, kBad };
  // Takes from the front of `input` what there is room for. After kFull there may be more to come though no input is
  // left.
  Status run(BytesView& input, Gathering& out);
  // Whether what has been taken ends with a whole block.
  bool at_boundary() const;
  void reset();
  int window_bits() const { return window_bits_; }

 private:
  const int window_bits_;
  std::unique_ptr<z_stream_s> stream_;
};

class CompressionPool {
 public:
  static constexpr std::size_t kMostSpare = 4;  // of each kind

  // `keeps_context`: connections keep what they have, for better compression of small messages.
  explicit CompressionPool(bool keeps_context = false) : keeps_context_(keeps_context) {}

  bool keeps_context() const { return keeps_context_; }
  std::unique_ptr<Deflater> deflater(int window_bits);
  std::unique_ptr<Inflater> inflater(int window_bits);
  void give_back(std::unique_ptr<Deflater> deflater);
  void give_back(std::unique_ptr<Inflater> inflater);

  struct Counts {
    std::atomic<std::uint64_t> connections{0};           // that have agreed on compression, now
    std::atomic<std::uint64_t> in_wire{0}, in_plain{0};  // bytes of compressed messages from clients
    std::atomic<std::uint64_t> out_wire{0}, out_plain{0};
  };
  Counts counts;
  std::uint64_t held_bytes() const { return held_.load(std::memory_order_relaxed); }

 private:
  const bool keeps_context_;
  HeldBytes held_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Deflater>> deflaters_;
  std::vector<std::unique_ptr<Inflater>> inflaters_;
};

}  // namespace petrel::net
