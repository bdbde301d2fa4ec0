// What `petrel --version` says.
#pragma once

#include <string>
#include <string_view>

namespace petrel::cli {

inline constexpr std::string_view kVersion = PETREL_VERSION;

std::string version_text();  // version, build type, libraries

}  // namespace petrel::cli
