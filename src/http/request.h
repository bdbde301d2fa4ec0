// The head of a request of HTTP/1.1 or HTTP/1.0, judged strictly: what could be read in two ways is refused. Only
// requests without a body are taken. Threads: pure, any.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace petrel::http {

struct Request {
  std::string method;
  std::string path;  // decoded, begins with a slash, without a query, and without "." and ".." as segments
  std::vector<std::pair<std::string, std::string>> headers;  // names in small letters
  bool keep_alive = false;
  bool is_1_0 = false;      // HTTP/1.0, which keeps a connection only if it is asked and told so
  bool is_upgrade = false;  // asks for WebSocket

  // The first of that name, written in small letters; null without one.
  const std::string* header(std::string_view name) const;
};

inline constexpr std::size_t kMaxRequestBytes = 8192;

struct ParsedRequest {
  enum class Status : std::uint8_t { kNeedMore, kDone, kRefused } status = Status::kNeedMore;
  std::size_t consumed = 0;  // when done
  Request request;           // when done
  int refusal = 400;         // when refused: the answer's status
  std::string why;
};
// Looks at all that has come so far.
ParsedRequest parse_request(BytesView bytes);

// The path of a request target; nothing if it is none, or leads out of its root.
std::optional<std::string> decode_path(std::string_view target);

}  // namespace petrel::http
