// Which content coding a client prefers (RFC 9110, 12.5.3). Threads: pure, any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "http/request.h"

namespace petrel::http {

enum class Encoding : std::uint8_t { kIdentity, kGzip, kBrotli };

std::string_view name(Encoding encoding);  // as in Content-Encoding
std::string_view file_ending(Encoding encoding);

class AcceptedEncodings {
 public:
  // Without a request, and without the header: as the bytes are.
  AcceptedEncodings() = default;
  explicit AcceptedEncodings(const Request& request);

  // The best of those there are; of equal ones the smallest: brotli, then gzip. Nothing: the client takes none of
  // them.
  std::optional<Encoding> choose(bool has_gzip, bool has_brotli) const;

 private:
  std::array<int, 3> quality_{1, 0, 0};  // by Encoding, in thousandths
};

}  // namespace petrel::http
