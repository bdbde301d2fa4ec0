// Pre-shared keys from a file of lines `identity:hexkey`, as Mosquitto writes it; empty lines and lines that begin with
// # are passed over. Threads: any, for it does not change.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace petrel::net {

class PskTable {
 public:
  // The error tells the line and what is wrong with it, never a key.
  static Result<PskTable, std::string> parse(std::string_view text);

  // The key's bytes; null for a stranger.
  const std::string* find(std::string_view identity) const;
  std::size_t size() const { return keys_.size(); }

 private:
  std::unordered_map<std::string, std::string> keys_;
};

}  // namespace petrel::net
