#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace petrel {

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  // So few bytes come whole or not at all (getrandom(2)).
  while (getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value))
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
  return value;
}

}  // namespace petrel
