// `petrel serve`: options, configuration, server, signals.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace petrel::cli {

struct ServeOptions {
  std::optional<std::string> config_file;
  std::vector<std::string> listen;
  std::optional<std::string> certificate, key;
  std::optional<std::string> store, log_level, log_format;
  std::optional<unsigned> threads;
  bool allow_anonymous = false;
  bool print_config = false;
};

// Exit codes: 0 after a shutdown by signal, 1 for a mistake in flags or configuration, 2 when the broker cannot start.
int serve(const ServeOptions& options);

// `petrel check-config FILE`: 0 when the file is right, 1 and all mistakes otherwise.
int check_config_file(const std::string& path);

}  // namespace petrel::cli
