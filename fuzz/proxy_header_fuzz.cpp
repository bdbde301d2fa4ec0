// Headers of the PROXY protocol, and the header of HTTP that names clients behind proxies. An input is a byte that
// chooses and sizes pieces, then what a peer sends:
//   even: a PROXY header. The judgement must not depend on how the bytes were cut, what follows a header must not
//   matter, and what was told can be printed. odd: the values of X-Forwarded-For or Forwarded. What a believed proxy
//   appends is believed whatever the client has written before it.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "net/forwarded.h"
#include "net/proxy_header.h"

namespace petrel::net {
namespace {

using Status = ParsedProxyHeader::Status;

void same(const ParsedProxyHeader& a, const ParsedProxyHeader& b) {
  PETREL_REQUIRE(a.status == b.status && a.why == b.why);
  if (a.status != Status::kDone) return;
  PETREL_REQUIRE(a.consumed == b.consumed && a.header.version == b.header.version);
  PETREL_REQUIRE(a.header.is_local == b.header.is_local && a.header.common_name == b.header.common_name);
  PETREL_REQUIRE(a.header.source.empty() == b.header.source.empty());
  if (!a.header.source.empty()) PETREL_REQUIRE(a.header.source.peer_text() == b.header.source.peer_text());
}

// As the gate reads: pieces of what lies there, cut to what belongs to the header.
ParsedProxyHeader by_pieces(std::string_view bytes, std::size_t most) {
  std::string received;
  for (;;) {
    const std::size_t before = received.size();
    if (before == bytes.size()) return parse_proxy_header(received);
    received += bytes.substr(before, most);
    const ParsedProxyHeader parsed = parse_proxy_header(received);
    if (parsed.status == Status::kRefused) return parsed;
    PETREL_REQUIRE(parsed.consumed > before && parsed.consumed <= received.size());
    if (parsed.status == Status::kDone) return parsed;
    PETREL_REQUIRE(parsed.consumed == received.size());
  }
}

void header(std::string_view bytes, std::size_t most) {
  // On the heap and of its exact size: a step beyond the end is seen.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const ParsedProxyHeader whole = parse_proxy_header({exact.data(), exact.size()});
  same(by_pieces(bytes, most), whole);
  if (whole.status == Status::kNeedMore) PETREL_REQUIRE(bytes.size() < kMaxProxyHeaderBytes);
  if (whole.status == Status::kRefused) PETREL_REQUIRE(!whole.why.empty());
  if (whole.status != Status::kDone) return;
  PETREL_REQUIRE(whole.consumed <= kMaxProxyHeaderBytes);
  same(parse_proxy_header(bytes.substr(0, whole.consumed)), whole);
  same(parse_proxy_header(std::string(bytes.substr(0, whole.consumed)) + "\x10\x0e"), whole);
  PETREL_REQUIRE(!whole.header.is_local || whole.header.source.empty());
}

void forwarded(std::string_view bytes, ForwardedHeader kind) {
  const AddressRanges trusted = *AddressRanges::parse({"10.0.0.0/8"});
  const Address proxy = *Address::parse_ip("10.0.0.1");
  const bool is_standard = kind == ForwardedHeader::kForwarded;
  const std::string client = is_standard ? "for=203.0.113.9" : "203.0.113.9";
  const std::string appended = std::string(bytes) + ", " + client;
  const std::string_view one[] = {appended};
  PETREL_REQUIRE(forwarded_client(proxy, kind, one, trusted).host() == "203.0.113.9");
  const std::string_view two[] = {bytes, client};
  PETREL_REQUIRE(forwarded_client(proxy, kind, two, trusted).host() == "203.0.113.9");
  const std::string_view alone[] = {bytes};
  PETREL_REQUIRE(!forwarded_client(proxy, kind, alone, trusted).empty());
  const Address stranger = *Address::parse_ip("198.51.100.1");
  PETREL_REQUIRE(forwarded_client(stranger, kind, alone, trusted).host() == "198.51.100.1");
}

}  // namespace
}  // namespace petrel::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t most = 1 + (data[0] >> 1);
  if ((data[0] & 1) != 0) {
    petrel::net::forwarded(bytes, (data[0] & 2) != 0 ? petrel::net::ForwardedHeader::kForwarded
                                                     : petrel::net::ForwardedHeader::kXForwardedFor);
  } else {
    petrel::net::header(bytes, most);
  }
  return 0;
}
