// Packets as people read them: "PUBLISH (dup 0, QoS 1, retain 0, id 7, 'home/lamp', 2 bytes)". Threads: pure.
#pragma once

#include <string>

#include "wire/packet.h"

namespace petrel::client {

std::string describe(const wire::Connect& packet);
std::string describe(const wire::Connack& packet);
std::string describe(const wire::Publish& packet);
std::string describe(const wire::Ack& packet);
std::string describe(const wire::Subscribe& packet);
std::string describe(const wire::Unsubscribe& packet);
std::string describe(const wire::Suback& packet);
std::string describe(const wire::Disconnect& packet);

}  // namespace petrel::client
