#include "http/static_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace petrel::http {

namespace {

struct ContentType {
  std::string_view ending, type;
};
constexpr ContentType kTypes[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".wasm", "application/wasm"},
    {".pdf", "application/pdf"},
    {".mp4", "video/mp4"},
    {".mp3", "audio/mpeg"},
    {".gz", "application/gzip"},
};

// Opens `path` below `folder` segment by segment; none may be a link.
File open_below(const std::string& folder, std::string_view path) {
  File at(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (at) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    if (path.empty()) return at;
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string segment(path.substr(0, end));
    if (segment.starts_with('.')) return {};
    const bool is_last = end == path.size();
    // O_NONBLOCK: opening a pipe must not wait for its writer.
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (is_last ? 0 : O_DIRECTORY);
    at = File(openat(at.fd(), segment.c_str(), flags));
    path.remove_prefix(end);
  }
  return at;
}

struct OpenFile {
  OpenFile() = default;
  explicit OpenFile(File opened) : file(std::move(opened)) {
    if (file && fstat(file.fd(), &status) != 0) file = File();
  }
  explicit operator bool() const { return static_cast<bool>(file); }

  File file;
  struct stat status {};
};

bool is_older(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

// The compressed form beside a file, if it is one of this file.
OpenFile open_encoded(const std::string& folder, const std::string& path, Encoding encoding, const OpenFile& plain) {
  OpenFile encoded(open_below(folder, path + std::string(file_ending(encoding))));
  if (!encoded || !S_ISREG(encoded.status.st_mode) || is_older(encoded.status.st_mtim, plain.status.st_mtim)) return {};
  return encoded;
}

std::string encode_path(std::string_view path) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._~-";
  std::string out;
  for (const char c : path) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

std::string_view content_type_of(std::string_view path) {
  for (const ContentType& known : kTypes)
    if (path.ends_with(known.ending)) return known.type;
  return "application/octet-stream";
}

std::optional<Response> serve_file(const std::string& folder, const std::string& path,
                                   const AcceptedEncodings& accepted) {
  OpenFile file(open_below(folder, path));
  if (!file) return std::nullopt;
  const struct stat& status = file.status;
  if (S_ISDIR(status.st_mode)) {
    if (path.ends_with('/')) return serve_file(folder, path + "index.html", accepted);
    // A path that begins with two slashes would name another host.
    if (path.starts_with("//")) return std::nullopt;
    Response elsewhere = Response::of_text(301, "");
    elsewhere.headers = fmt::format("Location: {}/\r\n", encode_path(path));
    return elsewhere;
  }
  if (!S_ISREG(status.st_mode) || path.ends_with('/')) return std::nullopt;
  OpenFile gzip = open_encoded(folder, path, Encoding::kGzip, file);
  OpenFile brotli = open_encoded(folder, path, Encoding::kBrotli, file);
  const bool varies = gzip || brotli;
  const std::optional<Encoding> chosen = accepted.choose(static_cast<bool>(gzip), static_cast<bool>(brotli));
  if (!chosen) return not_acceptable();
  if (*chosen == Encoding::kGzip) file = std::move(gzip);
  if (*chosen == Encoding::kBrotli) file = std::move(brotli);
  Response response;
  response.content_type = content_type_of(path);
  response.size = static_cast<std::uint64_t>(file.status.st_size);
  const timespec& time = file.status.st_mtim;
  response.etag =
      fmt::format("\"{:x}-{:x}-{:x}{}\"", time.tv_sec, time.tv_nsec, file.status.st_size, etag_end(*chosen));
  response.headers = "Cache-Control: no-cache\r\n";
  response.set_encoding(*chosen, varies);
  response.file = std::move(file.file);
  return response;
}

}  // namespace petrel::http
