// The configuration of `petrel serve`: defaults, the TOML file, the command line. Every key stands once, in the table
// of config.cpp, from which parsing, --print-config and docs/configuration.md are made.
//
// Threads: values, made before anything starts.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "broker/settings.h"
#include "storage/rocksdb/sync.h"

namespace petrel::server {

// Where a value comes from: a place in a file, or a flag (line 0).
struct ConfigPlace {
  std::string source;  // file name, or the flag
  std::size_t line = 0, column = 0;
};
using ConfigPlaces = std::map<std::string, ConfigPlace, std::less<>>;  // by key

// What the keys mean stands in the table of listener_table.cpp.
struct ListenerConfig {
  std::string address{};                  // "tcp://127.0.0.1:1883"
  std::optional<bool> allow_anonymous{};  // unset: yes on loopback addresses; others must be told (check_listeners)
  std::int64_t max_connections = 0;
  std::vector<std::string> versions{};  // empty: all
  std::int64_t max_qos = 2;
  std::string mount_point{};
  // Limits; unset: those of `settings`.
  std::optional<std::int64_t> max_connect_bytes{}, max_packet_bytes{};
  std::optional<std::int64_t> max_inflight_messages{}, receive_maximum{};
  std::optional<std::int64_t> topic_alias_maximum{}, topic_alias_maximum_out{};
  std::optional<std::int64_t> connect_timeout_s{}, keep_alive_max_s{};
  // Proxies
  std::optional<bool> proxy_protocol{};  // unset: no
  std::vector<std::string> trusted{};
  std::string forwarded_header = "x-forwarded-for";
  // TCP
  std::int64_t dead_link_min_s = 30, dead_link_max_s = 300;
  std::optional<bool> quick_resend{};  // unset: no
  std::int64_t max_unsent_bytes = 0;
  std::string congestion_control{};
  std::int64_t fast_open = 0;
  // TLS
  std::vector<std::string> certificates{}, keys{}, ocsp_files{};  // the first belong together, and so on
  std::string client_certificates = "none";
  std::string ca_file{}, ca_folder{}, crl_file{}, psk_file{}, psk_hint{};
  std::string identity = "cn";
  std::string min_tls = "1.2", max_tls = "1.3";
  std::string ciphers{}, cipher_suites{}, groups{};
  std::vector<std::string> alpn{};
  std::optional<bool> tickets{};  // unset: yes
  std::int64_t max_handshakes = 1000;
  std::optional<bool> watch{};  // unset: yes
  // WebSocket
  std::string path = "/mqtt";
  std::vector<std::string> origins{};
  std::optional<bool> compression{}, compression_context{};  // unset: yes; no
  // HTTP
  std::string static_folder{};
  std::optional<bool> metrics{}, start_page{};
  ConfigPlaces places{};  // of the keys that were given
};

struct Config {
  // None: tcp://127.0.0.1:1883 and, if nobody else has it, http://127.0.0.1:8080.
  std::vector<ListenerConfig> listeners;
  unsigned threads = 0;           // shards; 0: one per core
  std::string store = "rocksdb";  // see store_choice.h
  storage::Sync sync = storage::Sync::kInterval;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kHuman;
  TimeMs shutdown_grace_ms = 5'000;  // for clients to take their last bytes
  std::string sys_id = "petrel";     // settings.sys.id
  broker::Settings settings;
  ConfigPlaces places;  // of the keys that were given outside [[listener]]: "sys.id"
};

// One mistake, where it is and what to do about it. `line` 0: not from a file.
struct ConfigMistake {
  std::string source;  // file name, or the flag
  std::size_t line = 0, column = 0;
  std::string what;
  std::string to_string() const;  // "petrel.toml:3:1: ..."
};
using ConfigMistakes = std::vector<ConfigMistake>;

// Reads a TOML text over `config`; all mistakes are collected, nothing is thrown.
ConfigMistakes read_config(std::string_view text, std::string_view source, Config& config);
ConfigMistakes read_config_file(const std::string& path, Config& config);
// What must hold between the parts: addresses parse, anonymous access off loopback is explicit, the store exists.
ConfigMistakes check_config(const Config& config);

// The whole configuration as TOML, each key with its unit and meaning; reading it again gives the same Config.
std::string to_toml(const Config& config);
// docs/configuration.md, from the same table.
std::string configuration_markdown();

}  // namespace petrel::server
