#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/random.h"

namespace petrel {

namespace {
const std::uint64_t kSeed = SystemRandom().next();
}

std::uint64_t hash_bytes(std::string_view bytes) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), kSeed); }

}  // namespace petrel
