// Tables of packets in hexadecimal for the tests of this folder, and what is expected of them.
//
// The notation, spaces being free: two digits are a byte; 'text' is a string with its length in two bytes in front;
// "text" is the text alone; ( ... ) is what it encloses with its length in front as a variable byte integer: a property
// list; ~ is the remaining length, of all that follows. "30 ~ 'a/b' "hi"" is a PUBLISH.
//
// With PETREL_WRITE_CORPUS=fuzz/corpus in the environment every packet of every table is also written there as a seed
// of the fuzz targets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/test_packet.h"

namespace petrel::wire::test {

std::string bytes_of(std::string_view notation);

enum class Versions { kV31, kV311, kV5, k3, kAll };  // k3: 3.1 and 3.1.1

struct Valid {
  Versions versions;
  Sender sender;
  const char* packet;   // in the notation above
  const char* content;  // as describe() tells it
};

struct Invalid {
  Versions versions;
  Sender sender;
  const char* rule;  // the statement of the specification that it breaks
  const char* packet;
  ReasonCode reason;
};

// Each packet, in a block of exactly its size: it decodes to its content in all its versions, encodes to no more bytes
// and to the same content again, and no part of it is taken for the whole.
void check(const std::vector<Valid>& table);
// Each is refused, with its reason code, by next_frame() or by the decoder.
void check(const std::vector<Invalid>& table);

// `bytes`, copied into a block of exactly their size, as one frame and decoded.
struct Decoded {
  std::unique_ptr<char[]> bytes;  // what the packet's views point into
  Result<AnyPacket, Error> packet = Error{};
};
Decoded decode_bytes(ProtocolVersion version, Sender sender, BytesView bytes);

}  // namespace petrel::wire::test
