#include "server/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

namespace petrel::server {

std::size_t control_group_limit(const std::string& root, std::string group) {
  std::size_t least = SIZE_MAX;
  for (;;) {
    std::ifstream file(root + group + "/memory.max");
    // "max" is no number: nothing is read.
    if (std::size_t bytes = 0; file >> bytes) least = std::min(least, bytes);
    if (group.empty()) return least;
    group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

std::size_t machine_memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGE_SIZE);
  std::size_t bytes = 0;
  if (pages > 0 && page_bytes > 0) bytes = static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    std::string group = line.substr(3);
    if (group == "/") group.clear();
    const std::size_t limit = control_group_limit("/sys/fs/cgroup", group);
    bytes = bytes == 0 && limit != SIZE_MAX ? limit : std::min(bytes, limit);
  }
  return bytes;
}

}  // namespace petrel::server
