// What `petrel --version` says.
#pragma once

#include <string>
#include <string_view>

namespace petrel::cli {

std::string_view version();  // "0.1.0"
std::string version_text();  // version, build type, libraries

}  // namespace petrel::cli
