// The session event stream of a broker whose clients mostly speak MQTT 3.1.1: broker_fuzz.h.
#include "fuzz/broker_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return petrel::fuzz::run_session_script(petrel::wire::ProtocolVersion::kV311, data, size);
}
