#include "net/websocket_extension.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/deflate.h"

namespace petrel::net {

namespace {

// With kept context every connection has its own window; small ones do for chat.
constexpr int kKeptWindowBits = 12;

// Reads the grammar of RFC 6455, 9.1.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() {
    skip_space();
    return text_.empty();
  }
  bool take(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> token() {
    skip_space();
    const auto end =
        static_cast<std::size_t>(std::find_if_not(text_.begin(), text_.end(), is_token_char) - text_.begin());
    if (end == 0) return std::nullopt;
    std::string token(text_.substr(0, end));
    text_.remove_prefix(end);
    return token;
  }
  // A token, with or without quotation marks around it.
  std::optional<std::string> value() {
    if (!take('"')) return token();
    std::string value;
    for (;; text_.remove_prefix(1)) {
      if (text_.empty()) return std::nullopt;
      if (text_.front() == '"') break;
      if (text_.front() == '\\') text_.remove_prefix(1);
      if (text_.empty() || !is_token_char(text_.front())) return std::nullopt;
      value += text_.front();
    }
    text_.remove_prefix(1);
    return value.empty() ? std::nullopt : std::optional(value);
  }

 private:
  static bool is_token_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  }
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t"), text_.size())); }

  std::string_view text_;
};

struct Parameter {
  std::string name;
  std::optional<std::string> value;
};

// 8 to 15, without zeros in front (RFC 7692, 7.1.2); nothing: another value.
std::optional<int> window_bits(const std::string& value) {
  for (int bits = 8; bits <= kMaxWindowBits; ++bits)
    if (value == std::to_string(bits)) return bits;
  return std::nullopt;
}

// The terms while an offer's parameters are taken.
class Offer {
 public:
  explicit Offer(bool may_keep) : may_keep_(may_keep) {
    terms_.server_keeps = terms_.client_keeps = may_keep;
    if (may_keep) terms_.server_window_bits = kKeptWindowBits;
  }

  bool take(const Parameter& parameter) {
    const auto known = std::find(kNames.begin(), kNames.end(), parameter.name);
    if (known == kNames.end()) return false;
    if (std::exchange(seen_[static_cast<std::size_t>(known - kNames.begin())], true)) return false;
    const std::optional<int> bits = parameter.value ? window_bits(*parameter.value) : std::nullopt;
    if (parameter.value && !bits) return false;
    switch (known - kNames.begin()) {
      case 0:
        terms_.server_keeps = false;
        return !parameter.value;
      case 1:
        terms_.client_keeps = false;
        return !parameter.value;
      case 2:
        // zlib cannot keep within 256 bytes.
        if (!bits || *bits < kMinWindowBits) return false;
        terms_.server_window_bits = std::min(terms_.server_window_bits, *bits);
        terms_.names_server_window = true;
        return true;
      default:
        // Who says 8 may mean 9: zlib did.
        terms_.client_window_bits = std::max(bits.value_or(kMaxWindowBits), kMinWindowBits);
        if (may_keep_) terms_.client_window_bits = std::min(terms_.client_window_bits, kKeptWindowBits);
        terms_.names_client_window = true;
        return true;
    }
  }
  const DeflateTerms& terms() const { return terms_; }

 private:
  static constexpr std::array<std::string_view, 4> kNames{"server_no_context_takeover", "client_no_context_takeover",
                                                          "server_max_window_bits", "client_max_window_bits"};
  const bool may_keep_;
  DeflateTerms terms_;
  std::array<bool, kNames.size()> seen_{};
};

}  // namespace

std::string DeflateTerms::answer() const {
  std::string text = "permessage-deflate";
  if (!server_keeps) text += "; server_no_context_takeover";
  if (!client_keeps) text += "; client_no_context_takeover";
  if (names_server_window) text += fmt::format("; server_max_window_bits={}", server_window_bits);
  if (names_client_window) text += fmt::format("; client_max_window_bits={}", client_window_bits);
  return text;
}

std::optional<DeflateTerms> agree_on_deflate(std::span<const std::string_view> offers, bool may_keep) {
  std::optional<DeflateTerms> agreed;
  for (const std::string_view text : offers) {
    Reader reader(text);
    while (!reader.at_end()) {
      if (reader.take(',')) continue;
      const auto name = reader.token();
      if (!name) return std::nullopt;
      Offer offer(may_keep);
      bool good = *name == "permessage-deflate";
      while (reader.take(';')) {
        Parameter parameter;
        auto parameter_name = reader.token();
        if (!parameter_name) return std::nullopt;
        parameter.name = std::move(*parameter_name);
        if (reader.take('=')) {
          parameter.value = reader.value();
          if (!parameter.value) return std::nullopt;
        }
        good = good && offer.take(parameter);
      }
      if (!reader.at_end() && !reader.take(',')) return std::nullopt;
      if (good && !agreed) agreed = offer.terms();
    }
  }
  return agreed;
}

}  // namespace petrel::net
