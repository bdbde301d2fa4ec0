#include "server/config.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>

#include "net/address.h"
#include "server/config_table.h"
#include "server/listener_settings.h"
#include "server/store_choice.h"

namespace petrel::server {
namespace {

constexpr std::string_view kSource = "configuration";

// Where the first of these keys stands that was given.
ConfigMistake mistake(const ConfigPlaces& places, std::initializer_list<std::string_view> keys, std::string what) {
  for (const std::string_view key : keys)
    if (const auto found = places.find(key); found != places.end())
      return {found->second.source, found->second.line, found->second.column, std::move(what)};
  return {std::string(kSource), 0, 0, std::move(what)};
}

}  // namespace

std::string ConfigMistake::to_string() const {
  return line == 0 ? fmt::format("{}: {}", source, what) : fmt::format("{}:{}:{}: {}", source, line, column, what);
}

ConfigMistakes read_config_file(const std::string& path, Config& config) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return {{path, 0, 0, fmt::format("cannot open: {}", std::strerror(errno))}};
  std::string text;
  char block[4096];
  while (const std::size_t bytes = std::fread(block, 1, sizeof block, file.get())) text.append(block, bytes);
  if (std::ferror(file.get()) != 0) return {{path, 0, 0, fmt::format("cannot read: {}", std::strerror(errno))}};
  return read_config(text, path, config);
}

ConfigMistakes check_config(const Config& config) {
  ConfigMistakes mistakes;
  std::set<std::string> seen;
  for (const ListenerConfig& listener : config.listeners) {
    const auto endpoint = net::parse_endpoint(listener.address);
    if (!endpoint) {
      mistakes.push_back(mistake(listener.places, {"address"}, endpoint.error().what));
      continue;
    }
    for (ListenerMistake& wrong : listener_mistakes(listener, *endpoint))
      mistakes.push_back(mistake(listener.places, {wrong.key, "address"}, std::move(wrong.what)));
    const bool has_port_0 = !endpoint->address.is_unix() && endpoint->address.port() == 0;
    if (!has_port_0 && !seen.insert(endpoint->address.to_string()).second)
      mistakes.push_back(
          mistake(listener.places, {"address"}, fmt::format("listener {} stands twice; remove one", listener.address)));
  }
  if (config.sys_id.empty() || config.sys_id.find_first_of("+#/") != std::string::npos)
    mistakes.push_back(mistake(
        config.places, {"sys.id"},
        fmt::format("sys.id {} is not one topic level; write a name without +, # and /", toml_string(config.sys_id))));
  if (const auto store = parse_store(config.store); !store.has_value())
    mistakes.push_back(mistake(config.places, {"store"}, store.error().what));
  return mistakes;
}

std::string to_toml(const Config& config) {
  std::string out;
  for (const ConfigSection& section : config_sections()) {
    if (!section.name.empty()) out += fmt::format("# {}\n[{}]\n", section.description, section.name);
    for (const ConfigKey& key : config_keys()) {
      if (key.section != section.name) continue;
      const std::string allowed = key.kind == KeyKind::kText ? "" : fmt::format(" ({})", key.allowed_text());
      const std::string unit = key.unit.empty() ? "" : fmt::format(" Unit: {}.", key.unit);
      out += fmt::format("# {}{}{}\n{} = {}\n", key.description, unit, allowed, key.name, key.value_text(config));
    }
    out += '\n';
  }
  out += "# Where clients connect; docs/configuration.md explains the keys.\n";
  for (const ListenerConfig& listener : config.listeners) {
    out += fmt::format("[[{}]]\n", kListenerSection);
    for (const ListenerKey& key : listener_keys())
      if (!key.is_default(listener)) out += fmt::format("{} = {}\n", key.name, key.value_text(listener));
    out += '\n';
  }
  return out;
}

std::string configuration_markdown() {
  const Config defaults;
  std::string out =
      "# Configuration\n\n"
      "`petrel serve` reads a TOML file. Every key has a default; a key that is not listed here, a value of the wrong\n"
      "kind and a value out of range are mistakes, and the broker does not start with one; nor with values that do "
      "not\n"
      "fit together or name what is not there. `petrel check-config FILE` tells all of them by line and column. The\n"
      "table of src/server/config_table.cpp makes this page.\n\n"
      "## [[listener]]\n\n"
      "One such section for each address to listen on; [listeners.md](listeners.md) has examples. Without any,\n"
      "`tcp://127.0.0.1:1883` and, if nobody else has it, `http://127.0.0.1:8080`. Keys for TLS belong to `tls`, "
      "`wss`\n"
      "and `https`, keys for WebSocket to `ws`, `wss`, `http` and `https`, keys for HTTP to `http` and `https`;\n"
      "elsewhere they are mistakes. Keys for TCP belong to all but `unix`.\n\n"
      "| Key | For | Value | Default | Meaning |\n|---|---|---|---|---|\n";
  constexpr std::string_view kDoors[] = {"all", "TCP", "TLS", "WebSocket", "HTTP"};
  for (const ListenerKey& key : listener_keys())
    out +=
        fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, kDoors[static_cast<std::size_t>(key.doors)],
                    key.allowed_text(), key.name == "address" ? "" : '`' + key.value_text({}) + '`', key.description);
  for (const ConfigSection& section : config_sections()) {
    out += section.name.empty() ? "\n## Before the first section\n\n"
                                : fmt::format("\n## [{}]\n\n{}\n\n", section.name, section.description);
    out += "| Key | Value | Unit | Default | Meaning |\n|---|---|---|---|---|\n";
    for (const ConfigKey& key : config_keys())
      if (key.section == section.name)
        out += fmt::format("| `{}` | {} | {} | `{}` | {} |\n", key.name, key.allowed_text(), key.unit,
                           key.value_text(defaults), key.description);
  }
  return out;
}

}  // namespace petrel::server
