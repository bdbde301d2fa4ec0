#include "fuzz/decode_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return petrel::fuzz::decode_stream(petrel::wire::ProtocolVersion::kV5, data, size);
}
