#include "server/config.h"
namespace petrel::server {
std::string ConfigMistake::to_string() const { return source + ": " + what; }
ConfigMistakes read_config(std::string_view, std::string_view, Config&) { return {}; }
ConfigMistakes read_config_file(const std::string&, Config&) { return {}; }
ConfigMistakes check_config(const Config&) { return {}; }
std::string to_toml(const Config&) { return {}; }
std::string configuration_markdown() { return {}; }
}  // namespace petrel::server
