// Who is behind the proxies that an HTTP request came through: X-Forwarded-For, or the Forwarded header of RFC 7239.
// Each proxy appends the address that it was reached from, so the list is read from its end: what a believed proxy has
// appended is believed, and the first address that is not a believed proxy's is the client's. What stands before it may
// be made up.
//
// Threads: pure, any.
#pragma once

#include <span>
#include <string_view>

#include "net/address.h"
#include "net/address_ranges.h"

namespace petrel::net {

enum class ForwardedHeader : std::uint8_t { kXForwardedFor, kForwarded };

// The header's name in small letters.
std::string_view name_of(ForwardedHeader header);

// `values`: of all headers of that name, in their order. The peer itself if it is not believed or nothing that can be
// read follows.
Address forwarded_client(const Address& peer, ForwardedHeader header, std::span<const std::string_view> values,
                         const AddressRanges& trusted);

}  // namespace petrel::net
