// Ranges of addresses, such as those of proxies that are believed: "10.0.0.0/8", "2001:db8::/32", one address, or
// "unix" for the peers of Unix sockets. Threads: any, once made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace petrel::net {

class AddressRanges {
 public:
  // What is wrong with the first that cannot be read, and what to write.
  static Result<AddressRanges, AddressError> parse(const std::vector<std::string>& texts);

  bool empty() const { return ranges_.empty() && !unix_; }
  // An IPv4 address may be written as an IPv6 one (::ffff:10.0.0.1).
  bool contains(const Address& address) const;

 private:
  struct Range {
    std::string bytes;  // of the address, 4 or 16
    unsigned bits = 0;
  };
  bool add(std::string_view text);

  std::vector<Range> ranges_;
  bool unix_ = false;
};

}  // namespace petrel::net
