// The order in which a walk of a topic trie meets its topics: a topic, then everything below it, then the next sibling.
// It is byte order with '/' below every other byte; U+0000 occurs in no topic. So every position is a string:
// the first place behind a topic is the topic + "/", the first place behind all below it is the topic + "\x01".
//
// Threads: pure, any.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace petrel::topics {

inline constexpr char kBehindTopic = '/';
inline constexpr char kBehindSubtree = '\x01';

inline int order_of(char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); }

inline std::size_t common_bytes(std::string_view a, std::string_view b) {
  const std::size_t size = std::min(a.size(), b.size());
  std::size_t at = 0;
  for (; at + 8 <= size && std::memcmp(a.data() + at, b.data() + at, 8) == 0; at += 8) {
  }
  while (at < size && a[at] == b[at]) ++at;
  return at;
}

inline bool comes_before(std::string_view a, std::string_view b) {
  const std::size_t at = common_bytes(a, b);
  if (at == a.size() || at == b.size()) return a.size() < b.size();
  return order_of(a[at]) < order_of(b[at]);
}

}  // namespace petrel::topics
