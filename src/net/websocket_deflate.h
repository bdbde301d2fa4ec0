// permessage-deflate for one connection: payload of frames in, plain bytes out as there is room for them, and the other
// way. A message under way is inflated no further than what the reader takes, so a small message that stands for an
// enormous one costs what is read of it, and the limits for packets hold as they do for others.
//
// Between messages nothing is held, unless context is kept.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "net/deflate.h"
#include "net/gathering.h"
#include "net/websocket_extension.h"

namespace petrel::net {

class WebSocketDeflate {
 public:
  WebSocketDeflate(std::shared_ptr<CompressionPool> pool, const DeflateTerms& terms);
  ~WebSocketDeflate();
  WebSocketDeflate(const WebSocketDeflate&) = delete;
  WebSocketDeflate& operator=(const WebSocketDeflate&) = delete;

  struct Payload {
    BytesView bytes;
    bool compressed = false;
    bool ends = false;  // the message is over
  };
  // Hands the payload on; what does not fit is kept, and must be drained before more is given. False: it is no
  // DEFLATE.
  [[nodiscard]] bool take(const Payload& payload, Gathering& out);
  [[nodiscard]] bool drain(Gathering& out);
  bool has_input() const { return busy_; }
  // Nobody wants what the message under way still holds.
  void forget();

  // The next message, of the pieces' first bytes: how many, and what it is made into. Nothing: better sent as it is.
  struct Message {
    std::size_t taken = 0;
    std::string frame;
  };
  std::optional<Message> compress(std::span<const iovec> pieces, std::size_t bytes);

 private:
  bool run(BytesView input, Gathering& out);
  bool run_inflater(BytesView input, Gathering& out);
  void end_message();

  const std::shared_ptr<CompressionPool> pool_;
  const DeflateTerms terms_;
  std::unique_ptr<Inflater> inflater_;  // while a message is under way, or always
  std::unique_ptr<Deflater> deflater_;  // always, or never
  std::string pending_;                 // what there was no room for
  bool busy_ = false;                   // there is, or may be, something to drain
  bool compressed_ = false, ends_ = false;
  bool in_tail_ = false;  // pending_ is of the message's end, which is not sent
};

}  // namespace petrel::net
