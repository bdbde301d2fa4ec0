#include "net/websocket_handshake.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "net/local_pages.h"

namespace petrel::net {

namespace {

using Kind = WebSocketHandshake::Outcome::Kind;

struct Refusal {
  int status = 400;
  std::string_view why;
};

struct Header {
  std::string_view name, value;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
// RFC 9110, 5.6.2.
bool is_token_char(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_visible(char c) { return c > ' ' && c < '\x7f'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the next element off a list with commas.
std::string_view next_element(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view element = trimmed(list.substr(0, comma));
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  return element;
}

class Request {
 public:
  std::optional<Refusal> read(std::string_view head);
  std::optional<Refusal> judge(const WebSocketSettings& settings);
  std::string_view key() const { return key_; }
  std::vector<std::string_view> values(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const Header& header : headers_)
      if (same_word(header.name, name)) values.push_back(header.value);
    return values;
  }
  std::string_view subprotocol() const { return subprotocol_; }
  std::optional<DeflateTerms> deflate(const WebSocketSettings& settings) const;

 private:
  std::optional<Refusal> read_request_line(std::string_view line);
  std::optional<Refusal> read_header(std::string_view line);
  std::size_t count(std::string_view name) const {
    return static_cast<std::size_t>(
        std::count_if(headers_.begin(), headers_.end(), [&](const Header& h) { return same_word(h.name, name); }));
  }
  std::string_view value(std::string_view name) const {
    for (const Header& header : headers_)
      if (same_word(header.name, name)) return header.value;
    return {};
  }
  // Whether the lists under this name hold the word, in whatever case.
  bool lists(std::string_view name, std::string_view word) const;
  std::optional<Refusal> choose_subprotocol();
  static bool is_key(std::string_view key);
  static bool admits(const WebSocketSettings& settings, std::string_view origin);

  std::string_view method_, target_, key_, subprotocol_;
  std::vector<Header> headers_;
};

// `head` ends with the line before the empty one; every line ends in CR LF.
std::optional<Refusal> Request::read(std::string_view head) {
  bool first = true;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (auto refusal = first ? read_request_line(line) : read_header(line)) return refusal;
    first = false;
  }
  return first ? std::optional<Refusal>({400, "an empty request"}) : std::nullopt;
}

std::optional<Refusal> Request::read_request_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (space == std::string_view::npos || last == space) return Refusal{400, "not a request line"};
  method_ = line.substr(0, space);
  target_ = line.substr(space + 1, last - space - 1);
  const std::string_view version = line.substr(last + 1);
  if (method_.empty() || !std::all_of(method_.begin(), method_.end(), is_token_char))
    return Refusal{400, "not a request line"};
  if (!target_.starts_with('/') || !std::all_of(target_.begin(), target_.end(), is_visible))
    return Refusal{400, "not a path"};
  if (version != "HTTP/1.1") return Refusal{505, "WebSocket needs HTTP/1.1"};
  return std::nullopt;
}

std::optional<Refusal> Request::read_header(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return Refusal{400, "a folded line"};
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Refusal{400, "a header without a colon"};
  const Header header{line.substr(0, colon), trimmed(line.substr(colon + 1))};
  if (header.name.empty() || !std::all_of(header.name.begin(), header.name.end(), is_token_char))
    return Refusal{400, "a malformed header name"};
  const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
  if (std::any_of(header.value.begin(), header.value.end(), is_control))
    return Refusal{400, "a control character in a header"};
  if (headers_.size() == WebSocketSettings::kMaxHeaders) return Refusal{431, "too many headers"};
  headers_.push_back(header);
  return std::nullopt;
}

bool Request::lists(std::string_view name, std::string_view word) const {
  for (const Header& header : headers_) {
    if (!same_word(header.name, name)) continue;
    for (std::string_view list = header.value; !list.empty();)
      if (same_word(next_element(list), word)) return true;
  }
  return false;
}

// Sixteen bytes in base64: 22 digits, the last of which carries four bits that are zero, and two signs of padding.
bool Request::is_key(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  const std::string_view digits = key.substr(0, 22);
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '/'; }) &&
         std::string_view("AQgw").find(digits.back()) != std::string_view::npos;
}

// The client must offer "mqtt" [MQTT-6.0.0-3]; MQTT 3.1 had a name of its own. The server's answer is one of those
// offered [MQTT-6.0.0-4].
std::optional<Refusal> Request::choose_subprotocol() {
  for (const std::string_view known : {"mqtt", "mqttv3.1"}) {
    for (const Header& header : headers_) {
      if (!same_word(header.name, "Sec-WebSocket-Protocol")) continue;
      for (std::string_view list = header.value; !list.empty() && subprotocol_.empty();)
        if (next_element(list) == known) subprotocol_ = known;
    }
  }
  if (subprotocol_.empty()) return Refusal{400, "the subprotocol mqtt is not offered"};
  return std::nullopt;
}

bool Request::admits(const WebSocketSettings& settings, std::string_view origin) {
  if (settings.origins.empty()) return !settings.local_pages_only || is_origin_of_this_machine(origin);
  return std::any_of(settings.origins.begin(), settings.origins.end(),
                     [&](const std::string& one) { return one == "*" || same_word(one, origin); });
}

std::optional<Refusal> Request::judge(const WebSocketSettings& settings) {
  if (count("Host") != 1) return Refusal{400, "not one Host"};
  if (count("Content-Length") + count("Transfer-Encoding") != 0) return Refusal{400, "a request with a body"};
  for (const std::string_view once : {"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Origin"})
    if (count(once) > 1) return Refusal{400, "a header twice that may come once"};
  if (method_ != "GET") return Refusal{405, "not GET"};
  if (!settings.path.empty() && target_.substr(0, target_.find('?')) != settings.path)
    return Refusal{404, "another path; WebSocket is at the listener's path, by default /mqtt"};
  if (!lists("Upgrade", "websocket") || !lists("Connection", "upgrade"))
    return Refusal{426, "not an upgrade to WebSocket"};
  if (value("Sec-WebSocket-Version") != "13") return Refusal{426, "not version 13 of WebSocket"};
  key_ = value("Sec-WebSocket-Key");
  if (!is_key(key_)) return Refusal{400, "Sec-WebSocket-Key is not 16 bytes in base64"};
  if (count("Origin") != 0 && !admits(settings, value("Origin")))
    return Refusal{403, "pages of this origin may not connect"};
  return choose_subprotocol();
}

std::optional<DeflateTerms> Request::deflate(const WebSocketSettings& settings) const {
  if (settings.compression == nullptr) return std::nullopt;
  std::vector<std::string_view> offers;
  for (const Header& header : headers_)
    if (same_word(header.name, "Sec-WebSocket-Extensions")) offers.push_back(header.value);
  return agree_on_deflate(offers, settings.compression->keeps_context());
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Bad Request";
  }
}

WebSocketHandshake::Outcome refused(const Refusal& refusal) {
  WebSocketHandshake::Outcome outcome;
  outcome.kind = Kind::kRefused;
  outcome.status = refusal.status;
  outcome.why = refusal.why;
  std::string_view more;
  if (refusal.status == 405) more = "Allow: GET\r\n";
  if (refusal.status == 426) more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  outcome.answer = fmt::format(
      "HTTP/1.1 {} {}\r\nConnection: {}close\r\n{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}\n",
      refusal.status, reason_phrase(refusal.status), refusal.status == 426 ? "upgrade, " : "", more,
      refusal.why.size() + 1, refusal.why);
  return outcome;
}

}  // namespace

std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) return {};
  std::array<unsigned char, 64> encoded;
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

WebSocketHandshake::Outcome WebSocketHandshake::take(BytesView received, const WebSocketSettings& settings) {
  // Another protocol is not waited for: its bytes may never make a line.
  if (!received.empty() && !is_token_char(received.front())) return refused({400, "not HTTP"});
  const BytesView within = received.substr(0, WebSocketSettings::kMaxRequestBytes);
  for (; scanned_ < within.size(); ++scanned_) {
    if (within[scanned_] != '\n') continue;
    if (scanned_ == line_start_ || within[scanned_ - 1] != '\r') return refused({400, "a line that ends without CR"});
    const bool is_empty = scanned_ == line_start_ + 1;
    if (!is_empty) {
      line_start_ = scanned_ + 1;
      continue;
    }
    Request request;
    if (const auto refusal = request.read(within.substr(0, line_start_))) return refused(*refusal);
    const auto refusal = request.judge(settings);
    Outcome outcome = refusal ? refused(*refusal) : Outcome{};
    if (!settings.trusted.empty()) outcome.forwarded = request.values(name_of(settings.forwarded_header));
    if (refusal) return outcome;
    outcome.kind = Kind::kAccepted;
    outcome.consumed = scanned_ + 1;
    outcome.status = 101;
    outcome.subprotocol = request.subprotocol();
    outcome.deflate = request.deflate(settings);
    const std::string extensions =
        outcome.deflate ? fmt::format("Sec-WebSocket-Extensions: {}\r\n", outcome.deflate->answer()) : std::string();
    outcome.answer = fmt::format(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        "{}\r\nSec-WebSocket-Protocol: {}\r\n{}\r\n",
        websocket_accept(request.key()), outcome.subprotocol, extensions);
    return outcome;
  }
  if (received.size() >= WebSocketSettings::kMaxRequestBytes) return refused({431, "the request is too long"});
  return {};
}

}  // namespace petrel::net
