// WebSocket (RFC 6455) over another transport: the opening handshake, then payload of binary frames out of and into the
// stream. What one write_some() is given becomes one frame, sent together with its header in one write. Pings are
// answered; a Close frame is answered and then is the end.
//
// Where permessage-deflate is agreed on, write_some() may take bytes of which the socket has not taken the whole
// frame, up to some 24 KiB, which then wait here.
//
// Threads: one at a time. The settings outlive the transport. Holds no buffer but while a handshake is under way, a
// frame is cut by the socket, or a control frame waits.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "net/transport.h"
#include "net/websocket_deflate.h"
#include "net/websocket_frames.h"
#include "net/websocket_handshake.h"

namespace petrel::net {

class WebSocketTransport final : public Transport {
 public:
  // `received` has been read from below already: the opening request, or its beginning.
  WebSocketTransport(std::unique_ptr<Transport> below, const WebSocketSettings& settings, std::string received = {});

  IoResult read_some(std::span<const iovec> into) override;
  IoResult write_some(std::span<const iovec> from) override;
  void end_writing() override;
  void announce_shutdown() override { farewell_ = CloseCode::kGoingAway; }
  int fd() const override { return below_->fd(); }
  bool wants_write() const override;
  IoResult write_pending() override;
  bool has_buffered() const override;
  bool established() const override { return open_; }
  PeerIdentity identity() const override;
  Address peer_address() const override { return below_->peer_address(); }
  std::string peer_name() const override { return below_->peer_name(); }
  std::string failure(const IoResult& result) const override;

 private:
  enum class End : std::uint8_t { kOpen, kClosedByPeer, kFailed };
  // What an idle connection does without.
  struct Held {
    WebSocketHandshake handshake;
    std::string received;  // of the opening request; after it, what came with it and has not been read
    std::string next;      // to be sent before any payload: the answer to the request, control frames, a frame's header
    std::string control;   // control frames that wait for the end of the frame under way
  };

  IoResult read_opening();
  IoResult take_opening();
  IoResult read_frames(std::span<const iovec> into);
  IoResult read_compressed(std::span<const iovec> into);
  IoResult after_reading(std::size_t payload_bytes);
  std::optional<IoResult> write_compressed(std::span<const iovec> from);
  std::size_t take_unread(std::span<const iovec> into);
  std::size_t decode(std::span<const iovec> pieces, std::size_t bytes);
  void take_event(const FrameDecoder::Step& step);
  void fail(CloseCode code, std::string_view why);
  void queue_close(CloseCode code, std::string_view reason);
  IoResult ended() const;
  Held& held();
  void release_held();
  bool has_control() const { return held_ != nullptr && !held_->control.empty(); }
  bool has_next() const { return held_ != nullptr && !held_->next.empty(); }

  std::unique_ptr<Transport> below_;
  const WebSocketSettings& settings_;
  std::unique_ptr<Held> held_;
  std::unique_ptr<WebSocketDeflate> deflate_;  // when agreed on
  FrameDecoder decoder_;
  std::uint64_t frame_left_ = 0;  // bytes of payload that the frame under way has announced and not sent
  std::string_view why_;          // the peer failed; a literal
  End end_ = End::kOpen;
  bool open_ = false;          // the request has been accepted
  bool close_queued_ = false;  // our Close frame is sent, or will be
  bool end_below_ = false;     // once nothing is held, no more is written below
  bool is_v31_ = false;
  bool unread_opening_ = false;  // the request's bytes came with the construction
  CloseCode farewell_ = CloseCode::kNormal;
};

}  // namespace petrel::net
