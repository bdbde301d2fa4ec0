// What `petrel sub` prints for a message: the formats of mosquitto_sub's -F. Threads: pure.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/packet.h"

namespace petrel::cli {

// When a message arrived. Local time, as TZ says, is what is printed of it.
struct Arrival {
  std::time_t seconds = 0;  // since 1970
  long nanoseconds = 0;     // of that second

  static Arrival now();
};

enum class FormatError { kPayloadIsNotJson };

// %t topic, %p payload, %q QoS, %r retain, %d dup, %m packet id, %l payload length, %x %X payload in hex, %C content
// type, %D correlation data, %E expiry interval, %F payload format, %R response topic, %S subscription identifiers, %P
// user properties ("name:value", separated by blanks), %A topic alias, %U Unix time, %I ISO 8601 time, %j the whole
// message as one JSON object, %J the same with the payload as a JSON value of its own, %%. Between the % and the letter
// may stand flags and widths as printf has them: "-" (left aligned), "0" (padded with zeros), least width, "." and most
// width. @X is strftime's %X, @N the nanoseconds, @@ an @. \n \t \r \v \a \0 \e \\ are as in C.
//
Result<std::string, FormatError> format_message(std::string_view format, const wire::Publish& publish, Arrival arrival);

// The object of %j: "tst", "topic", "qos", "retain", "payloadlen", "mid" (QoS 1 and 2), "properties" (when there are
// any) and "payload". Bytes that are not UTF-8 become U+FFFD in it: JSON has no other strings.
Result<std::string, FormatError> message_as_json(const wire::Publish& publish, Arrival arrival, bool payload_is_json);

}  // namespace petrel::cli
