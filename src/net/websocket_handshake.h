// The opening handshake of WebSocket (RFC 6455, section 4) on the server's side: an HTTP/1.1 request is gathered,
// judged and answered. Strict, for what parsers understand differently is what attacks are made of: one Host, no body,
// no folded lines, lines that end in CR LF.
//
// Threads: pure; an object has one user.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "net/address_ranges.h"
#include "net/deflate.h"
#include "net/forwarded.h"
#include "net/websocket_extension.h"

namespace petrel::net {

struct WebSocketSettings {
  std::string path = "/mqtt";  // without a query; empty: any
  // Pages that may connect ("https://example.com", or "*" for any). Clients other than browsers send no origin and are
  // not held back by this.
  std::vector<std::string> origins;
  // Without origins: whether only pages of this machine may, rather than any. Whoever listens for this machine's
  // programs alone does not mean the pages of foreign sites that its browser shows.
  bool local_pages_only = false;
  std::uint64_t max_frame_bytes = 268'435'460;  // the largest MQTT packet in one frame
  // Proxies whose header is believed; none: no such header is looked at.
  AddressRanges trusted;
  ForwardedHeader forwarded_header = ForwardedHeader::kXForwardedFor;
  std::shared_ptr<CompressionPool> compression;  // null: permessage-deflate is declined

  static constexpr std::size_t kMaxRequestBytes = 8192;
  static constexpr std::size_t kMaxHeaders = 64;
};

class WebSocketHandshake {
 public:
  struct Outcome {
    enum class Kind : std::uint8_t { kNeedMore, kAccepted, kRefused };
    Kind kind = Kind::kNeedMore;
    std::size_t consumed = 0;                 // what follows belongs to the frames
    int status = 0;                           // 101, or that of the refusal
    std::string answer;                       // to be sent
    std::string subprotocol;                  // when accepted
    std::optional<DeflateTerms> deflate;      // when accepted, and agreed on
    std::string_view why;                     // when refused
    std::vector<std::string_view> forwarded;  // values of the forwarded header; views into what was received
  };
  // Looks at all that has come so far, which may only have grown since the last call.
  Outcome take(BytesView received, const WebSocketSettings& settings);

 private:
  std::size_t scanned_ = 0;
  std::size_t line_start_ = 0;
};

// The answer to a client's key (section 4.2.2, step 5.4).
std::string websocket_accept(std::string_view key);

}  // namespace petrel::net
