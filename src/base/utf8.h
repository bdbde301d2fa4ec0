// UTF-8 as MQTT asks for it (5.0, 1.5.4): well-formed [MQTT-1.5.4-1], without surrogates and without U+0000
// [MQTT-1.5.4-2]. Threads: pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace petrel {

// Length in bytes of the well-formed sequence at the front (U+0000 included), 0 if there is none.
std::size_t utf8_sequence(std::string_view text);

bool is_mqtt_utf8(std::string_view text);

}  // namespace petrel
