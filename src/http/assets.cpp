#include "http/assets.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "base/hash.h"
#include "http/response.h"

// The assembler puts the files into the program as they are.
#define PETREL_EMBED(name, file)                                                                           \
  __asm__(".pushsection .rodata\n.global petrel_asset_" #name "\npetrel_asset_" #name ":\n.incbin \"" file \
          "\"\n.global petrel_asset_" #name "_end\npetrel_asset_" #name "_end:\n.byte 0\n.popsection\n");  \
  extern "C" const char petrel_asset_##name[], petrel_asset_##name##_end[]

#define PETREL_EMBED_BOTH(name, file) \
  PETREL_EMBED(name, file);           \
  PETREL_EMBED(name##_gzip, file ".gz")

PETREL_EMBED_BOTH(index, PETREL_ASSETS "/index.html");
PETREL_EMBED_BOTH(script, PETREL_ASSETS "/start.js");
PETREL_EMBED_BOTH(style, PETREL_ASSETS "/start.css");
PETREL_EMBED_BOTH(mqtt, PETREL_ASSETS "/mqtt.js");

#define PETREL_ASSET(name) \
  {petrel_asset_##name, petrel_asset_##name##_end}, { petrel_asset_##name##_gzip, petrel_asset_##name##_gzip_end }

namespace petrel::http {

namespace {

constexpr std::string_view kHtml = "text/html; charset=utf-8", kScript = "text/javascript; charset=utf-8",
                           kStyle = "text/css; charset=utf-8";

struct Part {
  const char *begin, *end;
  std::string_view bytes() const { return {begin, static_cast<std::size_t>(end - begin)}; }
};

struct Table {
  std::array<std::string, 4> etags, gzip_etags;
  std::array<Asset, 4> assets;

  Table() {
    put(0, "/", kHtml, PETREL_ASSET(index));
    put(1, "/start.js", kScript, PETREL_ASSET(script));
    put(2, "/start.css", kStyle, PETREL_ASSET(style));
    put(3, "/mqtt.js", kScript, PETREL_ASSET(mqtt));
  }
  void put(std::size_t i, std::string_view path, std::string_view type, Part plain, Part gzip) {
    const std::uint64_t hash = hash_bytes(plain.bytes(), 0);
    etags[i] = fmt::format("\"{:016x}\"", hash);
    gzip_etags[i] = fmt::format("\"{:016x}{}\"", hash, etag_end(Encoding::kGzip));
    assets[i] = {path, type, plain.bytes(), etags[i], gzip.bytes(), gzip_etags[i]};
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
