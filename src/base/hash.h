// Hashing of strings that strangers choose: XXH3 with a seed drawn once per process, so that nobody can prepare
// collisions. Not stable between processes. Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace petrel {

std::uint64_t hash_bytes(std::string_view bytes);

}  // namespace petrel
