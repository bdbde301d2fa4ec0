// Every configuration key, once: where it stands, what it may hold, where it is kept and what it means.
//
// Threads: any; the table is immutable and lives as long as the program. Views into it never expire.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "server/config.h"
#include "wire/cursor.h"

namespace petrel::server {

// Of keys that stand both under [limits] and under [[listener]].
inline constexpr std::int64_t kMaxPacketBytes = wire::kMaxPacketBytes;
inline constexpr std::int64_t kMaxSeconds = 86'400;
inline constexpr std::int64_t kMax16 = 0xffff;

enum class KeyKind : std::uint8_t { kInteger, kBoolean, kChoice, kText };

struct ConfigKey {
  std::string_view section;  // "": before the first section
  std::string_view name;
  KeyKind kind;
  std::string_view unit;  // "": a count, or no number
  std::string_view description;
  std::int64_t min = 0, max = 0;                // integers
  std::span<const std::string_view> choices{};  // by the number of the enumerator
  // A number is the integer in the key's own unit, 0 or 1, or the place in `choices`.
  std::int64_t (*number)(const Config&) = nullptr;
  void (*set_number)(Config&, std::int64_t) = nullptr;
  std::string Config::*text = nullptr;

  std::string full_name() const;                       // "limits.receive_maximum"
  std::string value_text(const Config& config) const;  // as TOML
  std::string allowed_text() const;                    // "an integer from 1 to 65535"
};

// In the order of the sections.
std::span<const ConfigKey> config_keys();

struct ConfigSection {
  std::string_view name;
  std::string_view description;
};
std::span<const ConfigSection> config_sections();

inline constexpr std::string_view kListenerSection = "listener";

// A key under [[listener]]. Exactly one of the members is set.
struct ListenerKey {
  // Which listeners it says something about.
  enum class Doors : std::uint8_t { kAll, kTcp, kTls, kWeb, kHttp };
  std::string_view name;
  Doors doors;
  std::string_view description;
  std::string ListenerConfig::*text = nullptr;
  std::vector<std::string> ListenerConfig::*texts = nullptr;  // in TOML a string or an array of strings
  std::int64_t ListenerConfig::*integer = nullptr;
  std::optional<bool> ListenerConfig::*flag = nullptr;
  std::optional<std::int64_t> ListenerConfig::*limit = nullptr;  // instead of the key of that name under [limits]
  std::span<const std::string_view> choices{};                   // of texts; empty: any
  std::int64_t min = 0, max = 0;

  bool is_default(const ListenerConfig& listener) const;
  std::string value_text(const ListenerConfig& listener) const;  // as TOML
  std::string allowed_text() const;
  bool allows(std::string_view value) const;
};
std::span<const ListenerKey> listener_keys();

std::string toml_string(std::string_view text);  // quoted and escaped

}  // namespace petrel::server
