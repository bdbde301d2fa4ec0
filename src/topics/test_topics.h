// Random topics and filters for the property tests of this folder: few distinct levels, so that much overlaps.
#pragma once

#include <random>
#include <string>

namespace petrel::topics::test {

using Random = std::mt19937_64;

inline std::size_t below(Random& random, std::size_t bound) { return random() % bound; }

inline std::string random_name(Random& random, std::size_t spread = 4) {
  static constexpr const char* kFirst[] = {"a", "b", "$x", "", "ab"};
  static constexpr const char* kLevels[] = {"a", "b", "", "ab", "a\x01", "a!", "c", "d"};
  std::string name = kFirst[below(random, 5)];
  for (std::size_t i = below(random, 5); i > 0; --i) {
    name += '/';
    name += spread > 8 ? std::to_string(below(random, spread)) : kLevels[below(random, spread)];
  }
  return name.empty() ? "a" : name;
}

inline std::string random_filter(Random& random, std::size_t spread = 4) {
  const std::string name = random_name(random, spread);
  std::string filter;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    if (at > 0) filter += '/';
    const std::size_t choice = below(random, 10);
    if (choice == 0) return filter + "#";
    filter += choice <= 2 ? "+" : name.substr(at, end - at);
    at = end + 1;
  }
  return filter.empty() ? "+" : filter;
}

}  // namespace petrel::topics::test
