// What `petrel pub` and `petrel sub` do alike from their arguments to a client. Threads: one.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client_options.h"
#include "client/client.h"

namespace petrel::cli {

// Fills in the options that the command knows. An exit code when that ends the command: help, or wrong flags.
std::optional<int> parse(CLI::App& command, const std::vector<std::string>& given, ClientOptions& options);

// Tells what went wrong, unless nobody wants to know, and returns the code.
int fail(const ClientOptions& options, int code, std::string_view what);

// With -d: packets are told on standard output as they come and go.
void show_packets(const ClientOptions& options, client::Client& client);

}  // namespace petrel::cli
