#include "http/assets.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "base/hash.h"

// The assembler puts the files into the program as they are.
#define PETREL_EMBED(name, file)                                                                           \
  __asm__(".pushsection .rodata\n.global petrel_asset_" #name "\npetrel_asset_" #name ":\n.incbin \"" file \
          "\"\n.global petrel_asset_" #name "_end\npetrel_asset_" #name "_end:\n.byte 0\n.popsection\n");  \
  extern "C" const char petrel_asset_##name[], petrel_asset_##name##_end[]

PETREL_EMBED(index, PETREL_ASSETS "/index.html");
PETREL_EMBED(script, PETREL_ASSETS "/start.js");
PETREL_EMBED(style, PETREL_ASSETS "/start.css");
PETREL_EMBED(mqtt, PETREL_ASSETS "/mqtt.js");

namespace petrel::http {

namespace {

constexpr std::string_view kHtml = "text/html; charset=utf-8", kScript = "text/javascript; charset=utf-8",
                           kStyle = "text/css; charset=utf-8";

struct Table {
  std::array<std::string, 4> etags;
  std::array<Asset, 4> assets;

  Table() {
    put(0, "/", kHtml, petrel_asset_index, petrel_asset_index_end);
    put(1, "/start.js", kScript, petrel_asset_script, petrel_asset_script_end);
    put(2, "/start.css", kStyle, petrel_asset_style, petrel_asset_style_end);
    put(3, "/mqtt.js", kScript, petrel_asset_mqtt, petrel_asset_mqtt_end);
  }
  void put(std::size_t i, std::string_view path, std::string_view type, const char* begin, const char* end) {
    const std::string_view bytes(begin, static_cast<std::size_t>(end - begin));
    etags[i] = fmt::format("\"{:016x}\"", hash_bytes(bytes, 0));
    assets[i] = {path, type, bytes, etags[i]};
  }
};

}  // namespace

const Asset* find_asset(std::string_view path) {
  static const Table kTable;
  for (const Asset& asset : kTable.assets)
    if (asset.path == path) return asset.bytes.empty() ? nullptr : &asset;
  return nullptr;
}

}  // namespace petrel::http
