#include "cli/client_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "topics/topic.h"
#include "wire/property.h"

namespace petrel::cli {

namespace {

std::optional<wire::ProtocolVersion> version_of(std::string_view name) {
  if (name == "mqttv31" || name == "31") return wire::ProtocolVersion::kV31;
  if (name == "mqttv311" || name == "311") return wire::ProtocolVersion::kV311;
  if (name == "mqttv5" || name == "5") return wire::ProtocolVersion::kV5;
  return std::nullopt;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool takes_number(std::string_view name) {
  for (const std::string_view known :
       {"payload-format-indicator", "message-expiry-interval", "topic-alias", "subscription-identifier",
        "session-expiry-interval", "receive-maximum", "maximum-packet-size", "topic-alias-maximum",
        "will-delay-interval", "request-problem-information", "request-response-information"})
    if (name == known) return true;
  return false;
}

bool takes_text(std::string_view name) {
  return name == "content-type" || name == "response-topic" || name == "correlation-data" || name == "user-property";
}

// The largest value of a property that takes a number.
std::uint32_t largest(std::string_view name) {
  if (name == "payload-format-indicator" || name.starts_with("request-")) return 1;
  if (name == "topic-alias" || name == "topic-alias-maximum" || name == "receive-maximum") return 65535;
  return name == "subscription-identifier" ? 268'435'455 : 0xffffffff;
}

std::optional<std::string> mistake_of(const PropertyOption& property) {
  static constexpr std::string_view kPackets[] = {"connect",     "publish", "subscribe",
                                                  "unsubscribe", "will",    "disconnect"};
  if (std::find(std::begin(kPackets), std::end(kPackets), property.packet) == std::end(kPackets))
    return fmt::format("-D: no packet \"{}\"; write one of {}", property.packet, fmt::join(kPackets, ", "));
  if (takes_text(property.name)) return std::nullopt;
  if (!takes_number(property.name)) return fmt::format("-D: no property \"{}\"", property.name);
  const auto value = number(property.value);
  if (value && *value <= largest(property.name)) return std::nullopt;
  return fmt::format("-D {} {}: \"{}\" is not a number from 0 to {}", property.packet, property.name, property.value,
                     largest(property.name));
}

// mqtt://[user[:password]@]host[:port]/topic
std::optional<std::string> read_url(ClientOptions& options) {
  constexpr std::string_view kScheme = "mqtt://";
  if (!options.url.starts_with(kScheme)) return "-L takes mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC";
  std::string rest = options.url.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string::npos || slash + 1 == rest.size()) return "-L: the topic is missing";
  options.topics.push_back(rest.substr(slash + 1));
  rest.resize(slash);
  if (const std::size_t at = rest.rfind('@'); at != std::string::npos) {
    const std::string who = rest.substr(0, at);
    rest.erase(0, at + 1);
    const std::size_t colon = who.find(':');
    options.user = who.substr(0, colon);
    if (colon != std::string::npos) options.password = who.substr(colon + 1);
  }
  // An address of IPv6 stands in brackets and has colons of its own.
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string::npos;
  const std::size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    const auto port = number(rest.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) return "-L: the port is not a number from 1 to 65535";
    options.port = static_cast<std::uint16_t>(*port);
    rest.resize(colon);
  }
  if (bracket != std::string::npos && bracket + 1 == rest.size()) rest = rest.substr(1, bracket - 1);
  if (!rest.empty()) options.host = rest;
  return std::nullopt;
}

}  // namespace

void add_client_options(CLI::App& command, ClientOptions& options) {
  // -h is the host, as in mosquitto's clients.
  command.set_help_flag("--help", "Print this help and exit");
  command.add_option("-h,--host", options.host, "Host to connect to")->capture_default_str();
  command.add_option("-p,--port", options.port, "Port to connect to")->capture_default_str();
  command.add_option("-L,--url", options.url,
                     "mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, instead of -h, -p, -u, -P and -t");
  command.add_option("-i,--id", options.id, "Client identifier (default: made up)");
  command.add_option("-I,--id-prefix", options.id_prefix, "Client identifier: this and the process number");
  command.add_option("-t,--topic", options.topics, "Topic")->take_all();
  command.add_option("-q,--qos", options.qos, "Quality of service, 0, 1 or 2")->check(CLI::Range(0, 2));
  command.add_option("-u,--username", options.user, "User name");
  command.add_option("-P,--pw", options.password, "Password");
  command.add_option("-k,--keepalive", options.keep_alive_s, "Keep alive in seconds")->capture_default_str();
  command.add_option("-V,--protocol-version", options.version, "mqttv31, mqttv311 or mqttv5 (31, 311, 5)")
      ->capture_default_str();
  command.add_flag("-c,--disable-clean-session", options.keep_session,
                   "Keep the session when the connection ends; needs -i");
  command.add_option("-x,--session-expiry-interval", options.session_expiry_s, "Seconds the session is kept (5.0)");
  command.add_option("--will-topic", options.will_topic, "Topic of the will");
  command.add_option("--will-payload", options.will_payload, "Payload of the will");
  command.add_option("--will-qos", options.will_qos, "QoS of the will")->check(CLI::Range(0, 2));
  command.add_flag("--will-retain", options.will_retain, "Retain the will");
  command.add_flag("-d,--debug", options.debug, "Print the packets that are sent and received");
  command.add_flag("--quiet", options.quiet, "Print no errors");
  command.add_flag("--nodelay", options.nodelay, "Accepted for mosquitto's sake: petrel never delays");
}

std::vector<std::string> take_properties(std::vector<std::string> arguments, std::vector<PropertyOption>& properties) {
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] != "-D" && arguments[i] != "--property") {
      rest.push_back(std::move(arguments[i]));
      continue;
    }
    const auto word = [&](std::size_t offset) {
      return i + offset < arguments.size() ? arguments[i + offset] : std::string();
    };
    PropertyOption property{word(1), word(2), word(3), {}};
    i += 3;
    if (property.name == "user-property") property.second = word(1), i += 1;
    properties.push_back(std::move(property));
  }
  return rest;
}

std::optional<std::string> complete(ClientOptions& options) {
  if (!options.url.empty()) {
    if (auto mistake = read_url(options)) return mistake;
  }
  const auto version = version_of(options.version);
  if (!version) return fmt::format("-V {}: write mqttv31, mqttv311 or mqttv5", options.version);
  if (options.topics.empty()) return "no topic: write -t TOPIC";
  if (!options.id_prefix.empty()) options.id = fmt::format("{}{}", options.id_prefix, getpid());
  if (options.keep_session && options.id.empty()) return "-c needs a client identifier: write -i ID";
  // MQTT 3.1 knows no empty client identifier (3.1, 3.1).
  if (options.id.empty() && *version == wire::ProtocolVersion::kV31) options.id = fmt::format("petrel-{}", getpid());
  if (options.password && options.user.empty() && *version != wire::ProtocolVersion::kV5) return "-P needs -u";
  if (!options.will_topic.empty() && !topics::is_valid_name(options.will_topic))
    return "--will-topic is not a topic name";
  if (options.will_topic.empty() && (!options.will_payload.empty() || options.will_retain))
    return "a will needs --will-topic";
  if (options.session_expiry_s && *version != wire::ProtocolVersion::kV5) return "-x needs -V mqttv5";
  if (!options.properties.empty() && *version != wire::ProtocolVersion::kV5) return "-D needs -V mqttv5";
  for (const PropertyOption& property : options.properties)
    if (auto mistake = mistake_of(property)) return mistake;
  return std::nullopt;
}

void read_properties(const ClientOptions& options, std::string_view packet, PacketProperties& out) {
  for (const PropertyOption& property : options.properties) {
    if (property.packet != packet) continue;
    const std::uint32_t value = number(property.value).value_or(0);
    if (property.name == "user-property")
      out.user_properties += wire::encode_user_property(property.value, property.second);
    if (property.name == "payload-format-indicator")
      out.message.payload_format_indicator = static_cast<std::uint8_t>(value);
    if (property.name == "message-expiry-interval") out.message.message_expiry_interval_s = value;
    if (property.name == "content-type") out.message.content_type = property.value;
    if (property.name == "response-topic") out.message.response_topic = property.value;
    if (property.name == "correlation-data") out.message.correlation_data = property.value;
    if (property.name == "topic-alias") out.topic_alias = static_cast<std::uint16_t>(value);
    if (property.name == "subscription-identifier") out.subscription_identifier = value;
    if (property.name == "session-expiry-interval") out.session_expiry_interval_s = value;
  }
  out.message.user_properties = out.user_properties;
}

void make_connect(const ClientOptions& options, ConnectPacket& out) {
  wire::Connect& connect = out.connect;
  connect.version = version_of(options.version).value_or(wire::ProtocolVersion::kV311);
  connect.client_id = options.id;
  connect.clean_start = !options.keep_session;
  connect.keep_alive_s = options.keep_alive_s;
  if (!options.user.empty()) connect.user_name = options.user;
  if (options.password) connect.password = *options.password;
  if (!options.will_topic.empty()) {
    wire::Will will;
    will.topic = options.will_topic;
    will.payload = options.will_payload;
    will.qos = static_cast<wire::Qos>(options.will_qos);
    will.retain = options.will_retain;
    connect.will = will;
  }
  if (connect.version != wire::ProtocolVersion::kV5) return;
  if (options.keep_session) connect.session_expiry_interval_s = 0xffffffff;
  if (options.session_expiry_s) connect.session_expiry_interval_s = *options.session_expiry_s;
  for (const PropertyOption& property : options.properties) {
    const std::uint32_t value = number(property.value).value_or(0);
    if (property.packet == "will" && connect.will) {
      if (property.name == "will-delay-interval") connect.will->delay_interval_s = value;
      if (property.name == "message-expiry-interval") connect.will->properties.message_expiry_interval_s = value;
      if (property.name == "content-type") connect.will->properties.content_type = property.value;
      if (property.name == "response-topic") connect.will->properties.response_topic = property.value;
      if (property.name == "correlation-data") connect.will->properties.correlation_data = property.value;
      if (property.name == "user-property")
        out.will_user_properties += wire::encode_user_property(property.value, property.second);
    }
    if (property.packet != "connect") continue;
    if (property.name == "session-expiry-interval") connect.session_expiry_interval_s = value;
    if (property.name == "receive-maximum") connect.receive_maximum = static_cast<std::uint16_t>(value);
    if (property.name == "maximum-packet-size") connect.maximum_packet_size_bytes = value;
    if (property.name == "topic-alias-maximum") connect.topic_alias_maximum = static_cast<std::uint16_t>(value);
    if (property.name == "user-property")
      out.user_properties += wire::encode_user_property(property.value, property.second);
  }
  connect.user_properties = out.user_properties;
  if (connect.will) connect.will->properties.user_properties = out.will_user_properties;
}

}  // namespace petrel::cli
