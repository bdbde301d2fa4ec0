// Files of one folder as answers: with content type, entity tag and index.html for folders. Beside a file may lie the
// same compressed, NAME.gz and NAME.br, for clients that take it; one that is older than the file is passed over.
// Symbolic links are not
// followed and names that begin with a dot are not found, so that nothing outside leaks. Threads: pure, any.
#pragma once

#include <optional>
#include <string>

#include "http/encoding.h"
#include "http/response.h"

namespace petrel::http {

// `path` as decode_path() leaves it. Nothing: there is no such file.
std::optional<Response> serve_file(const std::string& folder, const std::string& path,
                                   const AcceptedEncodings& accepted = {});

std::string_view content_type_of(std::string_view path);

}  // namespace petrel::http
