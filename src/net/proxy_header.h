// The header that a proxy sends before anything else, to tell whose connection it is: the PROXY protocol, versions 1
// and 2, as HAProxy's proxy-protocol.txt has it ("the specification" below; its names are used here).
//
// Threads: pure, any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/address.h"

namespace petrel::net {

struct ProxyHeader {
  int version = 2;
  // The proxy's own connection (LOCAL), such as a check whether we live: its address is the peer's own.
  bool is_local = false;
  // Empty: the proxy does not tell (LOCAL, UNKNOWN, UNSPEC), and the peer's own address holds. A Unix socket has a path
  // or none.
  Address source;
  // PP2_TYPE_SSL: what the proxy knows of the client's TLS.
  std::string common_name;  // of a certificate that it has verified; empty: none
  std::string tls_version;  // "TLSv1.3"
  std::string cipher;
};

struct ParsedProxyHeader {
  enum class Status : std::uint8_t { kNeedMore, kDone, kRefused } status = Status::kNeedMore;
  // How many of the bytes belong to the header: all of them unless it is done.
  std::size_t consumed = 0;
  ProxyHeader header;    // when done
  std::string_view why;  // when refused; a literal
};

// Of version 2, with all that may follow the addresses. Larger ones are refused.
inline constexpr std::size_t kMaxProxyHeaderBytes = 8192;
// Of version 1, with its line end (section 2.1).
inline constexpr std::size_t kMaxProxyLineBytes = 107;

// Looks at all that has come since the connection began.
ParsedProxyHeader parse_proxy_header(BytesView bytes);

}  // namespace petrel::net
