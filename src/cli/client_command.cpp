#include "cli/client_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace petrel::cli {

std::optional<int> parse(CLI::App& command, const std::vector<std::string>& given, ClientOptions& options) {
  options.command = command.get_name();
  std::vector<std::string> arguments = take_properties(given, options.properties);
  std::reverse(arguments.begin(), arguments.end());
  try {
    command.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return command.exit(error) == 0 ? kOk : kUsage;
  }
  return std::nullopt;
}

int fail(const ClientOptions& options, int code, std::string_view what) {
  if (!options.quiet) fmt::print(stderr, "{}: {}\n", options.command, what);
  return code;
}

void show_packets(const ClientOptions& options, client::Client& client) {
  if (!options.debug) return;
  client.on_packet = [who = options.id.empty() ? "Client" : "Client " + options.id](std::string_view line) {
    fmt::print("{} {}\n", who, line);
    std::fflush(stdout);
  };
}

}  // namespace petrel::cli
