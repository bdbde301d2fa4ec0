// `petrel pub` and `petrel sub`: flags to options, options to a run. Threads: one; both end on SIGINT and SIGTERM with
// DISCONNECT.
#pragma once

#include <string>
#include <vector>

namespace petrel::cli {

// The arguments behind the command's name. Return the exit code (ExitCode in client_options.h).
int pub(const std::vector<std::string>& arguments);
int sub(const std::vector<std::string>& arguments);

}  // namespace petrel::cli
