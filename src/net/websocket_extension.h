// The one extension of WebSocket that is spoken, permessage-deflate (RFC 7692): what a client offers, and what is
// agreed. What is not understood to the letter is declined, and the connection goes on without. Threads: pure, any.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace petrel::net {

struct DeflateTerms {
  int server_window_bits = 15, client_window_bits = 15;
  // Whether a message may refer to those before it.
  bool server_keeps = false, client_keeps = false;
  // Said in the answer only if the client has named it, which is how it tells that it understands.
  bool names_client_window = false, names_server_window = false;

  // The value of Sec-WebSocket-Extensions.
  std::string answer() const;
};

// `offers`: the values of all headers Sec-WebSocket-Extensions, in order. The first offer that can be met counts.
// `may_keep`: whether the server wants messages to refer to earlier ones.
std::optional<DeflateTerms> agree_on_deflate(std::span<const std::string_view> offers, bool may_keep);

}  // namespace petrel::net
