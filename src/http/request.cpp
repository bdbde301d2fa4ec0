// The one place that knows Boost.Beast; nothing of it leaves this file.
#include "http/request.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

namespace petrel::http {

namespace beast = boost::beast::http;

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool is_good_segment(std::string_view segment) { return segment != "." && segment != ".."; }

ParsedRequest refused(int status, std::string why) {
  ParsedRequest result;
  result.status = ParsedRequest::Status::kRefused;
  result.refusal = status;
  result.why = std::move(why);
  return result;
}

// Whether a request line ends as one of some version of HTTP.
bool names_a_version(std::string_view line) {
  constexpr std::string_view kName = " HTTP/", kDigits = "0123456789";
  if (line.size() < kName.size() + 3) return false;
  const std::string_view end = line.substr(line.size() - kName.size() - 3);
  return end.starts_with(kName) && kDigits.find(end[kName.size()]) != std::string_view::npos &&
         end[kName.size() + 1] == '.' && kDigits.find(end.back()) != std::string_view::npos;
}

}  // namespace

const std::string* Request::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& one) { return one.first == name; });
  return found == headers.end() ? nullptr : &found->second;
}

std::optional<std::string> decode_path(std::string_view target) {
  target = target.substr(0, target.find('?'));
  if (!target.starts_with('/')) return std::nullopt;
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '%') {
      const int high = i + 2 < target.size() ? hex_value(target[i + 1]) : -1;
      const int low = i + 2 < target.size() ? hex_value(target[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      // A slash in disguise makes another path of it.
      if (c == '/') return std::nullopt;
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return std::nullopt;
    path += c;
  }
  for (std::size_t start = 1; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (!is_good_segment(std::string_view(path).substr(start, end - start))) return std::nullopt;
    start = end + 1;
  }
  return path;
}

ParsedRequest parse_request(BytesView bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t end = bytes.substr(0, kMaxRequestBytes).find(kEnd);
  if (end == BytesView::npos) {
    if (bytes.size() >= kMaxRequestBytes) return refused(431, "the request is too long");
    // Another protocol is not waited for: its bytes may never make a line.
    const bool is_method = bytes.empty() || (bytes.front() >= 'A' && bytes.front() <= 'Z');
    return is_method ? ParsedRequest{} : refused(400, "not HTTP");
  }
  const BytesView lines = bytes.substr(0, end);
  if (lines.find("\r\n ") != BytesView::npos || lines.find("\r\n\t") != BytesView::npos)
    return refused(400, "a folded line");
  beast::request_parser<beast::empty_body> parser;
  parser.header_limit(kMaxRequestBytes);
  boost::system::error_code error;
  const std::size_t head = end + kEnd.size();
  parser.put(boost::asio::buffer(bytes.data(), head), error);
  if (error == beast::error::bad_version && names_a_version(lines.substr(0, lines.find("\r\n"))))
    return refused(505, "the version of HTTP must be 1.1 or 1.0");
  if (error) return refused(400, error.message());
  if (!parser.is_header_done()) return refused(400, "not a whole request");
  const auto& message = parser.get();
  const bool is_1_0 = message.version() == 10;
  // Load balancers ask for health over HTTP/1.0, mostly without a Host.
  const std::size_t hosts = message.count(beast::field::host);
  if (hosts > 1 || (hosts == 0 && !is_1_0)) return refused(400, "not one Host");
  if (message.count(beast::field::content_length) + message.count(beast::field::transfer_encoding) != 0)
    return refused(413, "a request with a body");
  const auto path = decode_path({message.target().data(), message.target().size()});
  if (!path) return refused(400, "not a path");
  ParsedRequest result;
  result.status = ParsedRequest::Status::kDone;
  result.consumed = head;
  result.request.method = std::string(message.method_string());
  result.request.path = *path;
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    result.request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  result.request.keep_alive = message.keep_alive();
  result.request.is_1_0 = is_1_0;
  result.request.is_upgrade = boost::beast::websocket::is_upgrade(message);
  return result;
}

}  // namespace petrel::http
