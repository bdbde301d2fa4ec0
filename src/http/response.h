// An HTTP answer: its head, and a body from memory or from a file. Threads: a value with one user.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/encoding.h"
#include "http/request.h"

namespace petrel::http {

// A descriptor with an owner.
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string headers;     // further ones, each with its line end
  std::string text;        // the body,
  std::string_view fixed;  // or a part of the program,
  File file;               // or a part of a file
  std::uint64_t offset = 0, size = 0;
  std::string etag;  // with quotation marks; empty: none
  Encoding encoding = Encoding::kIdentity;

  static Response of_text(int status, std::string text);
  static Response of_fixed(std::string_view content_type, std::string_view body);

  // `varies`: with other requests the answer comes in other encodings.
  void set_encoding(Encoding chosen, bool varies);
  // Makes 304, 206 or 416 of it where the request asks for that.
  void apply_conditions(const Request& request);
  std::uint64_t body_bytes() const;
  // The status line and all headers. Bodies of HEAD and 304 are announced and not sent.
  std::string head(bool keep_alive) const;
};

// Of the entity tag: each encoding has its own.
std::string_view etag_end(Encoding encoding);
// There is no encoding that the client takes.
Response not_acceptable();

std::string_view reason_phrase(int status);

}  // namespace petrel::http
