// What `petrel sub` prints for a message: mosquitto_sub's -F formats. Threads: pure.
#pragma once

#include <string>
#include <string_view>

#include "wire/packet.h"

namespace petrel::cli {

// %t topic, %p payload, %q QoS, %r retain, %d dup, %m packet id, %l payload length, %x %X payload in hex, %C content
// type, %D correlation data, %E expiry interval, %F payload format, %R response topic, %S subscription identifiers, %P
// user properties ("name:value", separated by blanks), %A topic alias, %U Unix time, %I ISO 8601 time, %%; \n \t \r \a
// \0 \e \\ as in C.
std::string format_message(std::string_view format, const wire::Publish& publish);

}  // namespace petrel::cli
