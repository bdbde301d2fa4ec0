// Hashing of strings that strangers choose: XXH3 with a seed that they do not know, so that nobody can prepare
// collisions. Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace petrel {

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed);

}  // namespace petrel
