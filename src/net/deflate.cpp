#include "net/deflate.h"

#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/release_memory.h"

namespace petrel::net {

namespace {

// What a flush ends with, and every message leaves out (RFC 7692, 7.2.1).
constexpr std::size_t kTailBytes = 4;
constexpr int kLevel = 6;
// Of 1 to 9: the memory for finding repetitions is 2^(this + 9) bytes.
constexpr int kMemory = 8, kSmallMemory = 5;
constexpr int kSmallWindowBits = 12;
constexpr std::size_t kSizeBytes = alignof(std::max_align_t);

// zlib's memory, counted; the size stands before it.
void* allocate(void* held, unsigned items, unsigned size) {
  const std::size_t bytes = std::size_t{items} * size + kSizeBytes;
  char* const begin = static_cast<char*>(std::malloc(bytes));
  if (begin == nullptr) return nullptr;
  std::memcpy(begin, &bytes, sizeof bytes);
  static_cast<HeldBytes*>(held)->fetch_add(bytes, std::memory_order_relaxed);
  return begin + kSizeBytes;
}

void release(void* held, void* memory) {
  char* const begin = static_cast<char*>(memory) - kSizeBytes;
  std::size_t bytes = 0;
  std::memcpy(&bytes, begin, sizeof bytes);
  static_cast<HeldBytes*>(held)->fetch_sub(bytes, std::memory_order_relaxed);
  std::free(begin);
}

std::unique_ptr<z_stream> new_stream(HeldBytes& held) {
  auto stream = std::make_unique<z_stream>();
  stream->zalloc = allocate;
  stream->zfree = release;
  stream->opaque = &held;
  return stream;
}

// zlib reads what it is given, though its pointers do not say so.
Bytef* bytes_of(const char* data) { return reinterpret_cast<Bytef*>(const_cast<char*>(data)); }

template <class Kind>
std::unique_ptr<Kind> take(std::vector<std::unique_ptr<Kind>>& spare, int window_bits) {
  for (std::size_t i = spare.size(); i-- > 0;) {
    if (spare[i]->window_bits() != window_bits) continue;
    std::unique_ptr<Kind> taken = std::move(spare[i]);
    spare.erase(spare.begin() + static_cast<std::ptrdiff_t>(i));
    return taken;
  }
  return nullptr;
}

}  // namespace

Deflater::Deflater(int window_bits, HeldBytes& held) : window_bits_(window_bits), stream_(new_stream(held)) {
  const int memory = window_bits <= kSmallWindowBits ? kSmallMemory : kMemory;
  if (deflateInit2(stream_.get(), kLevel, Z_DEFLATED, -window_bits, memory, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
}

Deflater::~Deflater() { deflateEnd(stream_.get()); }

bool Deflater::holds(std::span<const iovec> pieces, std::size_t bytes) const {
  if (bytes != input_.size()) return false;
  const char* at = input_.data();
  for (const iovec& piece : pieces) {
    const std::size_t size = std::min(piece.iov_len, bytes);
    if (std::memcmp(at, piece.iov_base, size) != 0) return false;
    at += size;
    bytes -= size;
  }
  return true;
}

bool Deflater::compress(std::span<const iovec> pieces, std::size_t bytes, bool keep) {
  if (!keep && holds(pieces, bytes)) return smaller_;
  input_.clear();
  for (const iovec& piece : pieces)
    input_.append(static_cast<const char*>(piece.iov_base), std::min(piece.iov_len, bytes - input_.size()));
  run();
  smaller_ = output_.size() < input_.size();
  // What the peer has not seen may not be referred to.
  if (!keep || !smaller_) deflateReset(stream_.get());
  if (keep) release_memory(input_);
  return smaller_;
}

void Deflater::run() {
  output_.resize(deflateBound(stream_.get(), input_.size()) + kTailBytes);
  stream_->next_in = bytes_of(input_.data());
  stream_->avail_in = static_cast<uInt>(input_.size());
  std::size_t made = 0;
  do {
    if (made == output_.size()) output_.resize(2 * made);
    stream_->next_out = bytes_of(output_.data() + made);
    stream_->avail_out = static_cast<uInt>(output_.size() - made);
    deflate(stream_.get(), Z_SYNC_FLUSH);
    made = output_.size() - stream_->avail_out;
  } while (stream_->avail_out == 0);
  output_.resize(made - kTailBytes);
}

Inflater::Inflater(int window_bits, HeldBytes& held) : window_bits_(window_bits), stream_(new_stream(held)) {
  if (inflateInit2(stream_.get(), -window_bits) != Z_OK) throw std::bad_alloc();
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

Inflater::Status Inflater::run(BytesView& input, Gathering& out) {
  while (!out.full()) {
    stream_->next_in = bytes_of(input.data());
    stream_->avail_in = static_cast<uInt>(input.size());
    stream_->next_out = bytes_of(out.next());
    stream_->avail_out = static_cast<uInt>(out.room());
    const int result = inflate(stream_.get(), Z_SYNC_FLUSH);
    input.remove_prefix(input.size() - stream_->avail_in);
    const std::size_t left = stream_->avail_out;
    out.advance(out.room() - left);
    // A block may say that it is the last (7.2.3.4). More may follow, and may refer to it.
    if (result == Z_STREAM_END && inflateResetKeep(stream_.get()) == Z_OK) continue;
    if (result != Z_OK && result != Z_BUF_ERROR) return Status::kBad;
    if (input.empty() && left != 0) return Status::kTookAll;
    if (result == Z_BUF_ERROR) return Status::kBad;
  }
  return Status::kFull;
}

bool Inflater::at_boundary() const {
  constexpr int kAfterBlock = 128, kUnusedBits = 63;
  return (stream_->data_type & kAfterBlock) != 0 && (stream_->data_type & kUnusedBits) == 0;
}

void Inflater::reset() { inflateReset(stream_.get()); }

std::unique_ptr<Deflater> CompressionPool::deflater(int window_bits) {
  {
    const std::lock_guard lock(mutex_);
    if (auto spare = take(deflaters_, window_bits)) return spare;
  }
  return std::make_unique<Deflater>(window_bits, held_);
}

std::unique_ptr<Inflater> CompressionPool::inflater(int window_bits) {
  {
    const std::lock_guard lock(mutex_);
    if (auto spare = take(inflaters_, window_bits)) return spare;
  }
  return std::make_unique<Inflater>(window_bits, held_);
}

void CompressionPool::give_back(std::unique_ptr<Deflater> deflater) {
  const std::lock_guard lock(mutex_);
  if (deflaters_.size() < kMostSpare) deflaters_.push_back(std::move(deflater));
}

void CompressionPool::give_back(std::unique_ptr<Inflater> inflater) {
  inflater->reset();
  const std::lock_guard lock(mutex_);
  if (inflaters_.size() < kMostSpare) inflaters_.push_back(std::move(inflater));
}

}  // namespace petrel::net
