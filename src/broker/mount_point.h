// Mount points: what clients of a listener with one publish and subscribe to lies below it, and is shown to them
// without it. Topics of the broker itself and other names that begin with `$` are not there. Client identifiers belong
// to the mount point, too: the same one through another listener is another client, so that nobody comes by another's
// session.
//
// Threads: pure, any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace petrel::broker {

// What may stand in front of topics: whole levels without wildcards, and no `$` in front.
bool is_valid_mount_point(std::string_view mount_point);

// A client identifier as sessions know it. No client can send one with U+0000 in it [MQTT-1.5.4-2].
std::string mounted_client_id(std::string_view mount_point, std::string_view client_id);
// As the client knows it.
std::string_view visible_client_id(std::string_view mount_point, std::string_view client_id);

// Whether a valid filter, shared or not, asks for what is not below a mount point.
bool is_out_of_mount(std::string_view filter);
// Precondition: is_valid_filter(filter). Of a shared one the share name stays in front and gets an addition that no
// client can send [MQTT-1.5.4-2]: the groups of a mount point are its own, and nobody behind it joins those of others
// and takes away what is theirs.
std::string mounted_filter(std::string_view mount_point, std::string_view filter);

// What a client behind the mount point sees of a topic; nothing of those that it does not see.
std::optional<std::string_view> visible_topic(std::string_view mount_point, std::string_view topic);

}  // namespace petrel::broker
