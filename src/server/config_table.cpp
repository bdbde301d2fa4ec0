#include "server/config_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>

namespace petrel::server {
namespace {

using broker::Settings;
using broker::SysSettings;

constexpr std::array<std::string_view, 4> kLogLevels{"error", "warning", "info", "debug"};
constexpr std::array<std::string_view, 2> kLogFormats{"human", "json"};
constexpr std::array<std::string_view, 3> kSyncs{"always", "interval", "os"};
constexpr std::array<std::string_view, 3> kQueuePolicies{"drop-newest", "drop-oldest", "reject"};
constexpr std::array<std::string_view, 3> kSysAccess{"loopback", "all", "none"};

constexpr std::int64_t kMaxCount = 1'000'000'000;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 40;
constexpr std::int64_t kMax32 = std::numeric_limits<std::uint32_t>::max();

template <class T>
void assign(T& to, std::int64_t value) {
  to = static_cast<T>(value);
}

template <auto Member, std::int64_t Scale = 1>
constexpr ConfigKey limit(std::string_view name, std::string_view unit, std::int64_t min, std::int64_t max,
                          std::string_view description) {
  ConfigKey key{"limits", name, KeyKind::kInteger, unit, description, min, max};
  key.number = [](const Config& config) { return static_cast<std::int64_t>(config.settings.*Member) / Scale; };
  key.set_number = [](Config& config, std::int64_t value) { assign(config.settings.*Member, value * Scale); };
  return key;
}

template <auto Member, std::int64_t Scale = 1>
constexpr ConfigKey integer(std::string_view section, std::string_view name, std::string_view unit, std::int64_t min,
                            std::int64_t max, std::string_view description) {
  ConfigKey key{section, name, KeyKind::kInteger, unit, description, min, max};
  key.number = [](const Config& config) { return static_cast<std::int64_t>(config.*Member) / Scale; };
  key.set_number = [](Config& config, std::int64_t value) { assign(config.*Member, value * Scale); };
  return key;
}

template <auto Member>
constexpr ConfigKey choice(std::string_view section, std::string_view name, std::span<const std::string_view> choices,
                           std::string_view description) {
  ConfigKey key = integer<Member>(section, name, "", 0, 0, description);
  key.kind = KeyKind::kChoice;
  key.choices = choices;
  return key;
}

constexpr ConfigKey queue_qos0() {
  ConfigKey key = limit<&Settings::queue_qos0>(
      "queue_qos0", "", 0, 1,
      "Whether QoS 0 messages are queued for sessions that outlive their connection while their clients are away.");
  key.kind = KeyKind::kBoolean;
  return key;
}

constexpr ConfigKey queue_policy() {
  ConfigKey key =
      limit<&Settings::queue_policy>("queue_policy", "", 0, 0,
                                     "What happens when a session's queue is full: the message that arrives is "
                                     "dropped, or the oldest one waiting, or publications for the session "
                                     "are refused with Quota Exceeded (3.x: not acknowledged, closed a second later).");
  key.kind = KeyKind::kChoice;
  key.choices = kQueuePolicies;
  return key;
}

template <auto Member, std::int64_t Scale = 1>
constexpr ConfigKey sys(std::string_view name, KeyKind kind, std::string_view unit, std::int64_t min, std::int64_t max,
                        std::string_view description) {
  ConfigKey key{"sys", name, kind, unit, description, min, max};
  key.number = [](const Config& config) { return static_cast<std::int64_t>(config.settings.sys.*Member) / Scale; };
  key.set_number = [](Config& config, std::int64_t value) { assign(config.settings.sys.*Member, value * Scale); };
  return key;
}

constexpr ConfigKey sys_access() {
  ConfigKey key = sys<&SysSettings::access>(
      "access", KeyKind::kChoice, "", 0, 0,
      "Who may subscribe to $SYS: those who come through listeners on loopback addresses, all, or none.");
  key.choices = kSysAccess;
  return key;
}

constexpr ConfigKey sys_id() {
  ConfigKey key{"sys", "id", KeyKind::kText, "", "Names this broker in the topics of events; one topic level."};
  key.text = &Config::sys_id;
  return key;
}

constexpr ConfigKey store() {
  ConfigKey key{"", "store", KeyKind::kText, "",
                "Where sessions and messages are kept: \"rocksdb:DIRECTORY\", on disk; \"rocksdb\", on disk in "
                "$STATE_DIRECTORY, /var/lib/petrel (root, or where it can be written), $XDG_STATE_HOME/petrel or "
                "~/.local/state/petrel, without a home petrel-data where it was started; \"memory\", for as long as "
                "the process lives."};
  key.text = &Config::store;
  return key;
}

constexpr ConfigKey kKeys[] = {
    integer<&Config::threads>("", "threads", "", 0, 256, "Threads that serve clients. 0: one per core."),
    store(),

    choice<&Config::sync>("storage", "sync", kSyncs,
                          "When what is acknowledged survives a power failure: always, at once; interval, within a "
                          "second; os, when the system writes it, within half a minute. A killed broker loses nothing "
                          "in any of them."),

    choice<&Config::log_level>("log", "level", kLogLevels, "The least important kind of line that is still written."),
    choice<&Config::log_format>("log", "format", kLogFormats,
                                "Lines for people, or one JSON object per line for programs."),

    limit<&Settings::max_connections>(
        "max_connections", "connections", 0, kMaxCount,
        "Clients connected to the whole broker; one more is refused with Quota Exceeded (3.x: return code 3). "
        "Connections without a CONNECT may be 64 more, further ones are closed. 0: as many as files may be open."),
    limit<&Settings::max_sessions>("max_sessions", "sessions", 0, kMaxCount,
                                   "Sessions of the whole broker, their clients connected or not; a client that would "
                                   "need another is refused with Quota Exceeded (3.x: return code 3). 0: unlimited."),
    limit<&Settings::max_connect_bytes>("max_connect_bytes", "bytes", 256, kMaxPacketBytes,
                                        "Largest CONNECT packet; a connection that sends a larger one is closed."),
    limit<&Settings::max_packet_bytes>("max_packet_bytes", "bytes", 1024, kMaxPacketBytes,
                                       "Largest packet accepted from a client, its header included."),
    limit<&Settings::max_user_properties>(
        "max_user_properties", "properties", 0, kMaxCount,
        "User properties of one packet; what has more is refused with Quota Exceeded. 0: unlimited."),
    limit<&Settings::max_user_property_bytes>("max_user_property_bytes", "bytes", 0, kMaxBytes,
                                              "Bytes of the user properties of one packet. 0: unlimited."),
    limit<&Settings::max_inflight_messages>(
        "max_inflight_messages", "messages", 1, kMax16,
        "QoS 1 and 2 messages sent to a client and not yet acknowledged, however large its Receive Maximum."),
    limit<&Settings::receive_maximum>("receive_maximum", "messages", 1, kMax16,
                                      "QoS 1 and 2 messages a client may send before they are acknowledged "
                                      "(Receive Maximum)."),
    limit<&Settings::topic_alias_maximum>("topic_alias_maximum", "aliases", 0, kMax16,
                                          "Topic aliases a client may use toward the broker. 0: none."),
    limit<&Settings::topic_alias_maximum_out>(
        "topic_alias_maximum_out", "aliases", 0, kMax16,
        "Topic aliases the broker uses toward a client that allows as many. 0: none."),
    limit<&Settings::max_queued_messages>("max_queued_messages", "messages", 1, kMaxCount,
                                          "Messages waiting for one session."),
    limit<&Settings::max_queued_bytes>("max_queued_bytes", "bytes", 1024, kMaxBytes,
                                       "Bytes of messages waiting in memory for one session."),
    limit<&Settings::max_backlog_bytes>("max_backlog_bytes", "bytes", 1024, kMaxBytes,
                                        "Bytes of messages waiting in the store for one session."),
    limit<&Settings::max_backlog_messages_total>(
        "max_backlog_messages_total", "messages", 0, kMaxCount,
        "Messages waiting in the store, counted once for each session they wait for. 0: unlimited."),
    limit<&Settings::max_backlog_bytes_total>("max_backlog_bytes_total", "bytes", 0, kMaxBytes,
                                              "Their bytes, counted in the same way. 0: unlimited."),
    queue_policy(),
    queue_qos0(),
    limit<&Settings::message_ttl_qos0_ms, 1000>(
        "message_ttl_qos0_s", "seconds", 0, kMax32,
        "How long a queued message of QoS 0 waits for a client that has left; counted from when it left, or from when "
        "the message came. 0: as long as the session."),
    limit<&Settings::message_ttl_qos1_ms, 1000>("message_ttl_qos1_s", "seconds", 0, kMax32, "The same for QoS 1."),
    limit<&Settings::message_ttl_qos2_ms, 1000>("message_ttl_qos2_s", "seconds", 0, kMax32, "The same for QoS 2."),
    limit<&Settings::subscription_ttl_ms, 1000>(
        "subscription_ttl_s", "seconds", 0, kMax32,
        "How long after its client has left a session keeps its subscriptions. 0: as long as it lives."),
    limit<&Settings::max_output_bytes>(
        "max_output_bytes", "bytes", 1024, kMaxBytes,
        "Unsent bytes of one connection beyond which QoS 0 messages are dropped; one "
        "larger message does not count. A client that does not read is itself not read beyond twice as many."),
    limit<&Settings::connect_timeout_ms, 1000>("connect_timeout_s", "seconds", 1, kMaxSeconds,
                                               "A new connection that has sent no complete CONNECT by then is closed."),
    limit<&Settings::write_timeout_ms, 1000>("write_timeout_s", "seconds", 1, kMaxSeconds,
                                             "A client that takes no byte for so long is disconnected."),
    limit<&Settings::keep_alive_max_s>("keep_alive_max_s", "seconds", 0, kMax16,
                                       "Longest keep alive; MQTT 5 clients that ask for more are told to use it. "
                                       "0: as the client wishes."),
    limit<&Settings::session_expiry_max_s>("session_expiry_max_s", "seconds", 0, kMax32,
                                           "Longest time a session outlives its connection. 4294967295: no limit."),
    limit<&Settings::session_expiry_default_s>(
        "session_expiry_default_s", "seconds", 0, kMax32,
        "The same for MQTT 3.1.1 clients with Clean Session 0, which cannot say. 4294967295: for ever."),
    limit<&Settings::max_subscriptions_per_client>(
        "max_subscriptions_per_client", "subscriptions", 0, kMaxCount,
        "Subscriptions of one session; one more is refused with Quota Exceeded. "
        "0: unlimited."),
    limit<&Settings::max_subscriptions>("max_subscriptions", "subscriptions", 0, kMaxCount,
                                        "Subscriptions of the whole broker; one more is refused with Quota Exceeded. "
                                        "0: unlimited."),
    limit<&Settings::max_topic_levels>("max_topic_levels", "levels", 1, 65536, "Levels of a topic name."),
    limit<&Settings::max_topic_bytes>("max_topic_bytes", "bytes", 1, kMax16, "Bytes of a topic name."),
    limit<&Settings::max_filter_levels>("max_filter_levels", "levels", 1, 65536,
                                        "Levels of a topic filter, those of $share/NAME/ not counted."),
    limit<&Settings::max_filter_bytes>("max_filter_bytes", "bytes", 1, kMax16, "Bytes of a topic filter."),
    limit<&Settings::max_retained_messages>(
        "max_retained_messages", "messages", 0, kMaxCount,
        "Retained messages of the whole broker; a publication beyond is refused with Quota Exceeded, or delivered and "
        "not kept where it cannot be refused (QoS 0, 3.x). 0: unlimited."),
    limit<&Settings::max_retained_bytes>("max_retained_bytes", "bytes", 0, kMaxBytes,
                                         "Bytes of all retained messages, with the same consequences. 0: unlimited."),
    limit<&Settings::max_memory_bytes>(
        "max_memory_bytes", "bytes", 0, kMaxBytes,
        "Memory for messages, queues, output, incomplete packets, wills, filters and topic aliases of the whole "
        "broker. Once it is used up, new clients are refused, what would have to wait is refused with Quota Exceeded "
        "or (3.x) not read, and slow "
        "readers lose QoS 0. 0: three quarters of the memory that the system or the container has."),
    limit<&Settings::match_cache_topics>("match_cache_topics", "topics", 0, kMaxCount,
                                         "Topics whose subscribers each thread remembers."),
    limit<&Settings::match_cache_bytes>("match_cache_bytes", "bytes", 0, kMaxBytes,
                                        "Memory each thread spends on remembering them."),

    sys<&SysSettings::enabled>("enabled", KeyKind::kBoolean, "", 0, 1,
                               "Whether the broker publishes values about itself under $SYS/broker/."),
    sys<&SysSettings::interval_ms, 1000>("interval_s", KeyKind::kInteger, "seconds", 1, kMaxSeconds,
                                         "How often. Nothing is done while nobody subscribes to $SYS."),
    sys<&SysSettings::events>("events", KeyKind::kBoolean, "", 0, 1,
                              "Whether new and gone clients and subscriptions are told under $SYS/ID/: new/clients, "
                              "disconnect/clients, new/subscribes, new/unsubscribes."),
    sys_access(),
    sys_id(),

    integer<&Config::shutdown_grace_ms, 1000>("shutdown", "grace_s", "seconds", 0, 3600,
                                              "Time for clients to take their last bytes when the broker stops."),
};

constexpr ConfigSection kSections[] = {
    {"", ""},
    {"storage", "How a store on disk works (see store)."},
    {"log", "What is written about the broker's work, on standard error."},
    {"limits", "What one client, and all of them together, may use."},
    {"sys", "What the broker tells about itself in topics of its own."},
    {"shutdown", "How the broker ends."},
};

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }
std::span<const ConfigSection> config_sections() { return kSections; }

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string ConfigKey::full_name() const {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

std::string ConfigKey::value_text(const Config& config) const {
  if (kind == KeyKind::kText) return toml_string(config.*text);
  const std::int64_t value = number(config);
  if (kind == KeyKind::kBoolean) return value != 0 ? "true" : "false";
  if (kind == KeyKind::kChoice) return toml_string(choices[static_cast<std::size_t>(value)]);
  return std::to_string(value);
}

std::string ConfigKey::allowed_text() const {
  if (kind == KeyKind::kText) return "a string";
  if (kind == KeyKind::kBoolean) return "true or false";
  if (kind == KeyKind::kInteger) return fmt::format("an integer from {} to {}", min, max);
  return fmt::format("\"{}\"", fmt::join(choices, "\" or \""));
}

}  // namespace petrel::server
