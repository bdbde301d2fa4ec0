// Packets to bytes, in two steps: encoded_size() tells how many bytes a packet takes in a protocol version, encode()
// writes exactly so many at `out` and returns the end. The caller provides the room (OutputBuffer::prepare), so nothing
// is copied twice.
//
// Precondition of both: strings are valid and at most 65 535 bytes, the packet fits the 268 435 455 bytes of a
// remaining length. Threads: pure, any.
#pragma once

#include "wire/packet.h"

namespace petrel::wire {

std::size_t encoded_size(ProtocolVersion version, const Connect& packet);  // packet.version wins
char* encode(ProtocolVersion version, const Connect& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Connack& packet);
char* encode(ProtocolVersion version, const Connack& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Publish& packet);
char* encode(ProtocolVersion version, const Publish& packet, char* out);
// The same but for the payload, which is to follow from where it is.
char* encode_without_payload(ProtocolVersion version, const Publish& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Ack& packet);
char* encode(ProtocolVersion version, const Ack& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Subscribe& packet);
char* encode(ProtocolVersion version, const Subscribe& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Unsubscribe& packet);
char* encode(ProtocolVersion version, const Unsubscribe& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Suback& packet);
char* encode(ProtocolVersion version, const Suback& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Disconnect& packet);
char* encode(ProtocolVersion version, const Disconnect& packet, char* out);

std::size_t encoded_size(ProtocolVersion version, const Auth& packet);
char* encode(ProtocolVersion version, const Auth& packet, char* out);

inline constexpr BytesView kPingreq{"\xc0\x00", 2};
inline constexpr BytesView kPingresp{"\xd0\x00", 2};

}  // namespace petrel::wire
