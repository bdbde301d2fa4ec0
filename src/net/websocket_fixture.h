// For tests of WebSocket: a server's transport over Below, opened, read from and written to. Apart from
// websocket_test_support.h, which the fuzz targets use, too. Threads: the test's.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/websocket_test_support.h"
#include "net/websocket_transport.h"

namespace petrel::net {

class WebSocketFixture : public testing::Test {
 protected:
  WebSocketFixture() { connect(); }
  // A client comes; what is read of the last one stays in got_.
  void connect() {
    auto owned = std::make_unique<Below>();
    below_ = owned.get();
    transport_ = std::make_unique<WebSocketTransport>(std::move(owned), settings_);
  }
  // Takes the client's request, with further lines of it, and returns the answer.
  std::string open(const std::string& lines = "") {
    below_->input = kRequest;
    below_->input.insert(below_->input.size() - 2, lines);
    EXPECT_EQ(read().status, IoStatus::kWouldBlock);
    EXPECT_TRUE(transport_->established());
    EXPECT_TRUE(below_->output.starts_with("HTTP/1.1 101 ")) << below_->output;
    below_->writes = 0;
    return std::exchange(below_->output, {});
  }
  IoResult read(std::size_t most = 1 << 16) {
    std::string room(most, '.');
    const iovec piece{room.data(), room.size()};
    const IoResult result = transport_->read_some({&piece, 1});
    got_.append(room, 0, result.bytes);
    return result;
  }
  IoResult write(std::string text) {
    const iovec piece{text.data(), text.size()};
    return transport_->write_some({&piece, 1});
  }
  // `bytes` in pieces of some sizes, as a session hands them down.
  template <class Random>
  static std::vector<iovec> cut(std::string& bytes, std::size_t most, Random& random) {
    std::vector<iovec> pieces;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % most);
      pieces.push_back({bytes.data() + at, size});
      at += size;
    }
    return pieces;
  }
  struct Frame {
    std::uint8_t first_byte;
    std::string_view payload;
  };
  // What `output` consists of: whole frames.
  static std::vector<Frame> frames_of(std::string_view output) {
    std::vector<Frame> frames;
    while (!output.empty()) {
      const std::uint8_t length = byte_at(output, 1);
      const std::size_t header = length == 127 ? 10 : length == 126 ? 4 : 2;
      const std::size_t size = length == 127   ? get_u32(output.data() + 6)
                               : length == 126 ? get_u16(output.data() + 2)
                                               : std::size_t{length};
      EXPECT_LE(header + size, output.size()) << "a frame is cut";
      frames.push_back({byte_at(output, 0), output.substr(header, size)});
      output.remove_prefix(std::min(output.size(), header + size));
    }
    return frames;
  }

  WebSocketSettings settings_;
  Below* below_ = nullptr;
  std::unique_ptr<WebSocketTransport> transport_;
  std::string got_;
};

}  // namespace petrel::net
