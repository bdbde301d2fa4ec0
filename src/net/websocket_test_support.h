// For tests of WebSocket: the transport below, and frames as clients and servers send them. Threads: one.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/transport.h"
#include "net/websocket_frames.h"

namespace petrel::net {

// The transport below: takes and gives as many bytes a call as the test allows.
class Below final : public Transport {
 public:
  IoResult read_some(std::span<const iovec> into) override {
    std::size_t taken = 0;
    for (const iovec& piece : into) {
      const std::size_t size = std::min({piece.iov_len, input.size(), most_read - taken});
      input.copy(static_cast<char*>(piece.iov_base), size);
      input.erase(0, size);
      taken += size;
    }
    if (taken != 0) return {taken, IoStatus::kOk, 0};
    return {0, input_ended ? IoStatus::kEnd : IoStatus::kWouldBlock, 0};
  }
  IoResult write_some(std::span<const iovec> from) override {
    ++writes;
    if (broken) return {0, IoStatus::kError, EPIPE};
    std::size_t taken = 0;
    for (const iovec& piece : from) {
      const std::size_t size = std::min(piece.iov_len, most_written - taken);
      output.append(static_cast<const char*>(piece.iov_base), size);
      taken += size;
    }
    return {taken, taken == 0 ? IoStatus::kWouldBlock : IoStatus::kOk, 0};
  }
  void end_writing() override { ended = true; }
  int fd() const override { return 7; }

  std::string input, output;
  std::size_t most_read = 1 << 20, most_written = 1 << 20;
  int writes = 0;
  bool input_ended = false, ended = false, broken = false;
};

inline std::string masked(std::string frame, std::string_view mask = "key!") {
  const std::uint8_t length = byte_at(frame, 1);
  const std::size_t header = length == 127 ? 10 : length == 126 ? 4 : 2;
  frame[1] = static_cast<char>(length | 0x80);
  for (std::size_t i = header; i < frame.size(); ++i) frame[i] = static_cast<char>(frame[i] ^ mask[(i - header) % 4]);
  return frame.insert(header, mask);
}

inline std::string server_frame(BytesView payload) {
  std::array<char, kMaxFrameHeaderBytes> header;
  const char* const end = put_frame_header(header.data(), Opcode::kBinary, payload.size());
  return std::string(header.data(), static_cast<std::size_t>(end - header.data())).append(payload);
}
inline std::string client_frame(BytesView payload) { return masked(server_frame(payload)); }

inline const std::string kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

}  // namespace petrel::net
