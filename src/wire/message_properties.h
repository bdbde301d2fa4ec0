// The message properties that PUBLISH and the will share. Internal to wire/.
#pragma once

#include "wire/property_reader.h"

namespace petrel::wire {

// True if `property` is one of them (and stored, or refused through the reader).
bool take_message_property(PropertyReader& reader, const Property& property, MessageProperties& properties);

// A topic name in a packet: not empty, no wildcards; well-formed UTF-8 without U+0000.
std::optional<Error> check_topic_name(std::string_view topic);

}  // namespace petrel::wire
