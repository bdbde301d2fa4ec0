// The flags that `petrel pub` and `petrel sub` share, named as mosquitto_pub and mosquitto_sub name them.
// Threads: one.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "wire/packet.h"

namespace petrel::cli {

// One -D/--property: which packet, which property, its value, and for user properties name and value.
struct PropertyOption {
  std::string packet, name, value, second;
};

struct ClientOptions {
  std::string command;  // "petrel pub"
  std::string host = "localhost";
  std::uint16_t port = 1883;
  std::string url, id, id_prefix, user, version = "mqttv311";
  std::optional<std::string> password;
  std::uint16_t keep_alive_s = 60;
  bool keep_session = false, debug = false, quiet = false;
  std::optional<std::uint32_t> session_expiry_s;
  std::string will_topic, will_payload;
  int qos = 0, will_qos = 0;
  bool will_retain = false;
  bool nodelay = true;
  std::vector<std::string> topics;
  std::vector<PropertyOption> properties;
};

// Exit codes of both commands. kTimedOut is mosquitto_sub's for -W.
enum ExitCode : int { kOk = 0, kUsage = 1, kRefused = 2, kLost = 3, kTimedOut = 27 };

void add_client_options(CLI::App& command, ClientOptions& options);
// -D takes three or four words; they are taken out of the arguments before the rest is parsed.
std::vector<std::string> take_properties(std::vector<std::string> arguments, std::vector<PropertyOption>& properties);
// What is wrong with the options, or nothing. Fills in host, port and topic from -L.
std::optional<std::string> complete(ClientOptions& options);

// The packets that the options describe. Views point into `options` and into `encoded`, which must stay.
struct ConnectPacket {
  wire::Connect connect;
  std::string user_properties, will_user_properties;
};
void make_connect(const ClientOptions& options, ConnectPacket& out);
// Properties of one packet kind ("publish", "subscribe"), applied to a packet's message properties.
struct PacketProperties {
  wire::MessageProperties message;
  std::string user_properties;
  std::optional<std::uint16_t> topic_alias;
  std::uint32_t subscription_identifier = 0;
  std::optional<std::uint32_t> session_expiry_interval_s;
};
void read_properties(const ClientOptions& options, std::string_view packet, PacketProperties& out);

}  // namespace petrel::cli
