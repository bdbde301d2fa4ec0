// Which packet may carry which reason code, from whom (MQTT 5.0, table 2-6 and the table of each packet). Internal to
// wire/.
#pragma once

#include "wire/decode.h"

namespace petrel::wire {

bool is_valid_reason(PacketType type, Sender sender, ReasonCode reason);

}  // namespace petrel::wire
