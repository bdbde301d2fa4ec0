// Files that are part of the program: the start page and MQTT.js with its licence. Threads: pure, any; the views never
// expire.
#pragma once

#include <string_view>

namespace petrel::http {

struct Asset {
  std::string_view path, content_type, bytes, etag;
  std::string_view gzip, gzip_etag;  // the same, compressed
};
// Null: there is none of that path.
const Asset* find_asset(std::string_view path);

}  // namespace petrel::http
