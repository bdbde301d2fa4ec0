#include "cli/version.h"

#include <fmt/core.h>

#include <boost/version.hpp>

namespace petrel::cli {

std::string_view version() { return PETREL_VERSION; }

std::string version_text() {
  return fmt::format("petrel {} ({})\nMQTT 3.1, 3.1.1 and 5.0; built with {}, Boost {}.{}, fmt {}", version(),
                     PETREL_BUILD_TYPE,
#ifdef __clang__
                     fmt::format("clang {}", __clang_major__),
#else
                     fmt::format("GCC {}", __GNUC__),
#endif
                     BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, FMT_VERSION / 10000);
}

}  // namespace petrel::cli
