// `petrel bench`: a load test against any broker. Threads: one.
#pragma once

#include <string>
#include <vector>

namespace petrel::cli {

// The arguments behind the command's name. Returns 0, or 1 wrong flags, 2 refused or closed by the broker, 3 nothing
// came for too long, 4 messages were lost, came twice, out of order or damaged.
int bench(const std::vector<std::string>& arguments);

}  // namespace petrel::cli
