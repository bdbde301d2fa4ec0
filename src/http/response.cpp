#include "http/response.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace petrel::http {

namespace {

struct Range {
  std::uint64_t first = 0, size = 0;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

enum class RangeKind : std::uint8_t { kNone, kPart, kUnsatisfiable };

// One range (RFC 9110, 14.1.2). Several, and what is malformed, are answered with the whole.
RangeKind read_range(std::string_view text, std::uint64_t size, Range& range) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit) || text.find(',') != std::string_view::npos) return RangeKind::kNone;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return RangeKind::kNone;
  const auto first = number(text.substr(0, dash));
  const auto last = number(text.substr(dash + 1));
  if (dash == 0) {
    if (!last) return RangeKind::kNone;
    if (*last == 0 || size == 0) return RangeKind::kUnsatisfiable;
    range.size = std::min(*last, size);
    range.first = size - range.size;
    return RangeKind::kPart;
  }
  if (!first || (!last && dash + 1 != text.size()) || (last && *last < *first)) return RangeKind::kNone;
  if (*first >= size) return RangeKind::kUnsatisfiable;
  range.first = *first;
  range.size = (last ? std::min(*last, size - 1) : size - 1) - *first + 1;
  return RangeKind::kPart;
}

// Whether a list of entity tags holds the tag; both may be weak.
bool lists_tag(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view one = list.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == tag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

Response Response::of_text(int status, std::string text) {
  Response response;
  response.status = status;
  response.text = std::move(text);
  return response;
}

Response Response::of_fixed(std::string_view content_type, std::string_view body) {
  Response response;
  response.content_type = content_type;
  response.fixed = body;
  return response;
}

void Response::set_encoding(Encoding chosen, bool varies) {
  if (varies) headers += "Vary: Accept-Encoding\r\n";
  encoding = chosen;
}

std::string_view etag_end(Encoding encoding) {
  if (encoding == Encoding::kIdentity) return "";
  return encoding == Encoding::kGzip ? "-gz" : "-br";
}

Response not_acceptable() {
  Response response = Response::of_text(406, "there is no encoding that the client accepts\n");
  response.headers = "Vary: Accept-Encoding\r\n";
  return response;
}

std::uint64_t Response::body_bytes() const {
  if (file) return size;
  return fixed.empty() ? text.size() : fixed.size();
}

void Response::apply_conditions(const Request& request) {
  if (status != 200 || etag.empty()) return;
  if (const std::string* tags = request.header("if-none-match"); tags != nullptr && lists_tag(*tags, etag)) {
    status = 304;
    return;
  }
  const std::string* const asked = request.header("range");
  if (asked == nullptr || request.method != "GET") return;
  if (const std::string* tag = request.header("if-range"); tag != nullptr && *tag != etag) return;
  const std::uint64_t whole = body_bytes();
  Range range;
  switch (read_range(*asked, whole, range)) {
    case RangeKind::kNone:
      return;
    case RangeKind::kUnsatisfiable: {
      Response answer = of_text(416, "there is no such range\n");
      answer.headers = fmt::format("Content-Range: bytes */{}\r\n", whole);
      *this = std::move(answer);
      return;
    }
    case RangeKind::kPart:
      break;
  }
  status = 206;
  headers += fmt::format("Content-Range: bytes {}-{}/{}\r\n", range.first, range.first + range.size - 1, whole);
  if (file) {
    offset += range.first;
    size = range.size;
  } else {
    fixed = fixed.substr(range.first, range.size);
  }
}

std::string Response::head(bool keep_alive) const {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  if (status != 304) out += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", content_type, body_bytes());
  if (status != 304 && encoding != Encoding::kIdentity) out += fmt::format("Content-Encoding: {}\r\n", name(encoding));
  if (!etag.empty()) out += fmt::format("ETag: {}\r\nAccept-Ranges: bytes\r\n", etag);
  out += "X-Content-Type-Options: nosniff\r\n";
  out += headers;
  out += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  return out;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Bad Request";
  }
}

}  // namespace petrel::http
