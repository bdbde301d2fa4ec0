#include <bit>
#include <cstdlib>
#include <memory>

#include "topics/filter_node.h"
#include "topics/level_hash.h"
#include "topics/levels.h"

namespace petrel::topics {

namespace {

using Node = SubscriptionIndex::Node;

// A slot is the node's address (48 bits) above 16 bits of its hash: those bits give its place in a bucket, and tell
// most strangers from what is looked for without touching their memory. The directory uses the bits above them.
constexpr unsigned kTagBits = 16;
constexpr std::uint32_t kMinCapacity = 4;
constexpr std::uint32_t kMaxCapacity = 512;
constexpr std::uint32_t kMergeBelow = kMaxCapacity / 4;
constexpr std::uint8_t kMaxDepth = 20;

std::uint64_t make_slot(const Node* node, std::uint64_t hash) {
  return (reinterpret_cast<std::uint64_t>(node) << kTagBits) | (hash & 0xffff);
}
std::uint32_t tag_of(std::uint64_t slot) { return static_cast<std::uint32_t>(slot & 0xffff); }
Node* node_of(std::uint64_t slot) { return reinterpret_cast<Node*>(slot >> kTagBits); }
std::uint64_t directory_bits(std::uint64_t hash) { return hash >> kTagBits; }
std::uint32_t fitting_capacity(std::uint32_t count) {
  return std::max(kMinCapacity, std::bit_ceil((count * 8 + 6) / 7));
}

}  // namespace

struct ChildTable::Bucket {
  Bucket(std::uint32_t slot_count, std::uint8_t bucket_depth)
      : slots(std::make_unique<std::uint64_t[]>(slot_count)), mask(slot_count - 1), depth(bucket_depth) {}

  bool full() const { return (count + 1) * 8 > (mask + 1) * 7; }

  void place(std::uint64_t slot) {
    std::uint32_t at = tag_of(slot) & mask;
    while (slots[at] != 0) at = (at + 1) & mask;
    slots[at] = slot;
    ++count;
  }

  Node* find(std::string_view level, std::uint64_t hash) const {
    const std::uint32_t tag = hash & 0xffff;
    for (std::uint32_t at = tag & mask; slots[at] != 0; at = (at + 1) & mask) {
      if (tag_of(slots[at]) == tag && first_level(node_of(slots[at])->text()) == level) return node_of(slots[at]);
    }
    return nullptr;
  }

  std::uint32_t index_of(std::uint64_t slot) const {
    std::uint32_t at = tag_of(slot) & mask;
    while (slots[at] != slot) at = (at + 1) & mask;
    return at;
  }

  // Closes the gap with the entries behind it that may stand there, so that no search ends early.
  void erase(std::uint64_t slot) {
    std::uint32_t gap = index_of(slot);
    for (std::uint32_t at = (gap + 1) & mask; slots[at] != 0; at = (at + 1) & mask) {
      const std::uint32_t home = tag_of(slots[at]) & mask;
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        slots[gap] = slots[at];
        gap = at;
      }
    }
    slots[gap] = 0;
    --count;
  }

  void take_all(const Bucket& other) {
    for (std::uint32_t at = 0; at <= other.mask; ++at) {
      if (other.slots[at] != 0) place(other.slots[at]);
    }
  }

  void resize(std::uint32_t capacity) {
    Bucket resized(capacity, depth);
    resized.take_all(*this);
    slots = std::move(resized.slots);
    mask = resized.mask;
  }

  std::unique_ptr<std::uint64_t[]> slots;
  std::uint32_t mask;
  std::uint32_t count = 0;
  std::uint8_t depth;  // how many directory bits all entries share
};

struct ChildTable::Directory {
  std::vector<Bucket*> buckets;  // by the low `depth` directory bits
  std::size_t index_of(std::uint64_t hash) const { return directory_bits(hash) & (buckets.size() - 1); }
};

ChildTable::~ChildTable() {
  if (Directory* all = directory()) {
    for (std::size_t i = 0; i < all->buckets.size(); ++i) {
      // A bucket's first place in the directory is the one without bits above its depth.
      if (i < (std::size_t{1} << all->buckets[i]->depth)) continue;
      all->buckets[i] = nullptr;
    }
    for (Bucket* bucket : all->buckets) delete bucket;
    delete all;
  } else {
    delete bucket();
  }
}

Node* ChildTable::single() const { return (word_ & 3) == 0 ? reinterpret_cast<Node*>(word_) : nullptr; }
ChildTable::Bucket* ChildTable::bucket() const {
  return (word_ & 3) == 1 ? reinterpret_cast<Bucket*>(word_ - 1) : nullptr;
}
ChildTable::Directory* ChildTable::directory() const {
  return (word_ & 3) == 2 ? reinterpret_cast<Directory*>(word_ - 2) : nullptr;
}
void ChildTable::set(Bucket* bucket) { word_ = reinterpret_cast<std::uintptr_t>(bucket) + 1; }

ChildTable::Bucket* ChildTable::bucket_of(std::uint64_t hash) const {
  const Directory* all = directory();
  return all == nullptr ? bucket() : all->buckets[all->index_of(hash)];
}

Node* ChildTable::find(std::string_view level, std::uint64_t hash) const {
  if (word_ == 0) return nullptr;
  if (Node* only = single()) return first_level(only->text()) == level ? only : nullptr;
  return bucket_of(hash)->find(level, hash);
}

void ChildTable::insert(Node* child, std::uint64_t hash, std::uint64_t seed) {
  if (word_ == 0) {
    word_ = reinterpret_cast<std::uintptr_t>(child);
    return;
  }
  if (Node* only = single()) {
    set(new Bucket(kMinCapacity, 0));
    bucket()->place(make_slot(only, hash_text(first_level(only->text()), seed)));
  }
  while (bucket_of(hash)->full()) make_room(hash, seed);
  bucket_of(hash)->place(make_slot(child, hash));
}

void ChildTable::replace(const Node* child, Node* successor, std::uint64_t hash) {
  if (single() != nullptr) {
    word_ = reinterpret_cast<std::uintptr_t>(successor);
    return;
  }
  Bucket* home = bucket_of(hash);
  home->slots[home->index_of(make_slot(child, hash))] = make_slot(successor, hash);
}

void ChildTable::remove(const Node* child, std::uint64_t hash) {
  if (single() != nullptr) {
    word_ = 0;
    return;
  }
  Bucket* home = bucket_of(hash);
  home->erase(make_slot(child, hash));
  merge(hash);
  home = bucket_of(hash);
  if (home->mask + 1 > kMinCapacity && home->count * 8 < home->mask + 1)
    home->resize(fitting_capacity(home->count * 2));
  if (bucket() != nullptr && home->count == 1) {
    std::uint32_t at = 0;
    while (home->slots[at] == 0) ++at;
    word_ = reinterpret_cast<std::uintptr_t>(node_of(home->slots[at]));
    delete home;
  }
}

void ChildTable::append_to(std::vector<Node*>& nodes) const {
  const auto append = [&nodes](const Bucket& bucket) {
    for (std::uint32_t at = 0; at <= bucket.mask; ++at) {
      if (bucket.slots[at] != 0) nodes.push_back(node_of(bucket.slots[at]));
    }
  };
  if (Node* only = single()) nodes.push_back(only);
  if (bucket() != nullptr) append(*bucket());
  if (const Directory* all = directory()) {
    for (std::size_t i = 0; i < all->buckets.size(); ++i) {
      if (i < (std::size_t{1} << all->buckets[i]->depth)) append(*all->buckets[i]);
    }
  }
}

void ChildTable::make_room(std::uint64_t hash, std::uint64_t seed) {
  Bucket* full = bucket_of(hash);
  if (full->mask + 1 < kMaxCapacity || full->depth == kMaxDepth) {
    full->resize((full->mask + 1) * 2);
  } else {
    split(full, hash, seed);
  }
}

void ChildTable::split(Bucket* full, std::uint64_t hash, std::uint64_t seed) {
  if (directory() == nullptr) word_ = reinterpret_cast<std::uintptr_t>(new Directory{{full}}) + 2;
  std::vector<Bucket*>& places = directory()->buckets;
  if (places.size() == std::size_t{1} << full->depth) {
    places.reserve(places.size() * 2);
    for (std::size_t i = 0, count = places.size(); i < count; ++i) places.push_back(places[i]);
  }
  std::vector<std::uint64_t> halves[2];
  for (std::uint32_t at = 0; at <= full->mask; ++at) {
    if (full->slots[at] == 0) continue;
    const std::uint64_t text_hash = hash_text(first_level(node_of(full->slots[at])->text()), seed);
    halves[(directory_bits(text_hash) >> full->depth) & 1].push_back(full->slots[at]);
  }
  const std::size_t step = std::size_t{1} << full->depth;
  const std::size_t first = directory_bits(hash) & (step - 1);
  const auto depth = static_cast<std::uint8_t>(full->depth + 1);
  for (std::size_t half = 0; half < 2; ++half) {
    auto* bucket = new Bucket(fitting_capacity(static_cast<std::uint32_t>(halves[half].size())), depth);
    for (const std::uint64_t slot : halves[half]) bucket->place(slot);
    for (std::size_t i = first + half * step; i < places.size(); i += 2 * step) places[i] = bucket;
  }
  delete full;
}

void ChildTable::merge(std::uint64_t hash) {
  for (Directory* all = directory(); all != nullptr; all = directory()) {
    Bucket* one = bucket_of(hash);
    const std::size_t step = std::size_t{1} << (one->depth - 1);
    Bucket* other = all->buckets[all->index_of(hash) ^ step];
    if (other->depth != one->depth || one->count + other->count > kMergeBelow) return;
    auto* both = new Bucket(fitting_capacity(one->count + other->count), static_cast<std::uint8_t>(one->depth - 1));
    both->take_all(*one);
    both->take_all(*other);
    delete one;
    delete other;
    for (std::size_t i = directory_bits(hash) & (step - 1); i < all->buckets.size(); i += step) all->buckets[i] = both;
    if (both->depth == 0) {
      set(both);
      delete all;
    }
  }
}

}  // namespace petrel::topics
