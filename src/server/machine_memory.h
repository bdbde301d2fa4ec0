// How much memory this process may hope for. Threads: any.
#pragma once

#include <cstddef>
#include <string>

namespace petrel::server {

// The machine's memory, or less if a control group (a container, a service unit) allows less. 0: unknown.
std::size_t machine_memory_bytes();

// The least of the limits of a control group of version 2 and those it lies in. `root` is where groups are mounted,
// `group` the path below it; SIZE_MAX without a limit.
std::size_t control_group_limit(const std::string& root, std::string group);

}  // namespace petrel::server
