// Files of one folder as answers: with content type, entity tag and index.html for folders. Symbolic links are not
// followed and names that begin with a dot are not found, so that nothing outside leaks. Threads: pure, any.
#pragma once

#include <optional>
#include <string>

#include "http/response.h"

namespace petrel::http {

// `path` as decode_path() leaves it. Nothing: there is no such file.
std::optional<Response> serve_file(const std::string& folder, const std::string& path);

std::string_view content_type_of(std::string_view path);

}  // namespace petrel::http
