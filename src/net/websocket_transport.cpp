#include "net/websocket_transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/release_memory.h"
#include "net/gathering.h"

namespace petrel::net {

namespace {

constexpr std::size_t kReadOpeningBytes = 4096;
constexpr std::size_t kReadCompressedBytes = 16'384;
constexpr int kMessagesPerWrite = 8;
constexpr std::size_t kMaxPieces = 64;
constexpr std::size_t kMaxBetweenBytes = kMaxFrameHeaderBytes + 2 * (2 + kMaxControlPayloadBytes);

// One write: what has to come first, the rest of the frame under way, what stands between it and the next, and the
// next.
class Layout {
 public:
  void add(const char* data, std::size_t size) {
    if (size != 0) vectors_[count_++] = {const_cast<char*>(data), size};
  }
  // The pieces, cut in two after `first_bytes`, with `between` at the cut.
  void add(std::span<const iovec> pieces, std::size_t first_bytes, BytesView between) {
    bool cut = false;
    const auto cut_here = [&] {
      if (!cut) add(between.data(), between.size());
      cut = true;
    };
    for (const iovec& piece : pieces) {
      const char* const data = static_cast<const char*>(piece.iov_base);
      const std::size_t first = std::min(first_bytes, piece.iov_len);
      add(data, first);
      first_bytes -= first;
      if (first == piece.iov_len) continue;
      cut_here();
      add(data + first, piece.iov_len - first);
    }
    if (first_bytes == 0) cut_here();
  }
  std::span<const iovec> vectors() const { return {vectors_.data(), count_}; }

 private:
  std::array<iovec, kMaxPieces + 3> vectors_;
  std::size_t count_ = 0;
};

constexpr std::string_view kNotDeflate = "compressed data that cannot be read";

// What follows the first bytes.
std::span<iovec> after(std::span<iovec> pieces, std::size_t bytes) {
  while (!pieces.empty() && bytes >= pieces.front().iov_len) {
    bytes -= pieces.front().iov_len;
    pieces = pieces.subspan(1);
  }
  if (bytes != 0)
    pieces.front() = {static_cast<char*>(pieces.front().iov_base) + bytes, pieces.front().iov_len - bytes};
  return pieces;
}

std::size_t total_of(std::span<const iovec> pieces) {
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

}  // namespace

WebSocketTransport::WebSocketTransport(std::unique_ptr<Transport> below, const WebSocketSettings& settings,
                                       std::string received)
    : below_(std::move(below)),
      settings_(settings),
      decoder_(settings.max_frame_bytes),
      unread_opening_(!received.empty()) {
  if (unread_opening_) held().received = std::move(received);
}

WebSocketTransport::Held& WebSocketTransport::held() {
  if (held_ == nullptr) held_ = std::make_unique<Held>();
  return *held_;
}

void WebSocketTransport::release_held() {
  if (open_ && held_ != nullptr && held_->received.empty() && held_->next.empty() && held_->control.empty())
    held_.reset();
}

// --- reading

IoResult WebSocketTransport::read_some(std::span<const iovec> into) {
  if (end_ != End::kOpen) return ended();
  if (open_) return read_frames(into);
  const IoResult opened = read_opening();
  if (opened.status != IoStatus::kOk) return opened;
  return held_ != nullptr && !held_->received.empty() ? read_frames(into) : IoResult{0, IoStatus::kWouldBlock, 0};
}

// kOk: the request has been accepted.
IoResult WebSocketTransport::read_opening() {
  if (std::exchange(unread_opening_, false)) return take_opening();
  std::array<char, kReadOpeningBytes> room;
  const iovec piece{room.data(), room.size()};
  const IoResult read = below_->read_some({&piece, 1});
  if (read.status != IoStatus::kOk) return read;
  held().received.append(room.data(), read.bytes);
  return take_opening();
}

IoResult WebSocketTransport::take_opening() {
  Held& opening = held();
  const WebSocketHandshake::Outcome outcome = opening.handshake.take(opening.received, settings_);
  using Kind = WebSocketHandshake::Outcome::Kind;
  if (outcome.kind == Kind::kNeedMore) return {0, IoStatus::kWouldBlock, 0};
  if (!outcome.forwarded.empty())
    below_->tell_peer(
        forwarded_client(below_->peer_address(), settings_.forwarded_header, outcome.forwarded, settings_.trusted));
  opening.next = outcome.answer;
  if (outcome.kind == Kind::kRefused) {
    release_memory(opening.received);
    why_ = outcome.why;
    end_ = End::kFailed;
    end_below_ = true;
    (void)write_pending();
    return ended();
  }
  opening.received.erase(0, outcome.consumed);
  is_v31_ = outcome.subprotocol == "mqttv3.1";
  open_ = true;
  if (outcome.deflate) {
    deflate_ = std::make_unique<WebSocketDeflate>(settings_.compression, *outcome.deflate);
    decoder_.allow_compressed();
  }
  (void)write_pending();
  return {};
}

IoResult WebSocketTransport::read_frames(std::span<const iovec> into) {
  if (deflate_ != nullptr) return read_compressed(into);
  std::size_t bytes = take_unread(into);
  if (bytes == 0) {
    const IoResult read = below_->read_some(into);
    if (read.status != IoStatus::kOk) return read;
    bytes = read.bytes;
  }
  return after_reading(decode(into, bytes));
}

IoResult WebSocketTransport::after_reading(std::size_t payload_bytes) {
  // A failure to write shows when reading goes on.
  if (frame_left_ == 0 && has_control()) (void)write_pending();
  if (payload_bytes != 0) return {payload_bytes, IoStatus::kOk, 0};
  return end_ == End::kOpen ? IoResult{0, IoStatus::kWouldBlock, 0} : ended();
}

// Frames cannot be opened where they lie, since payload grows: they are read to a place of their own. What has been
// read and finds no room stays until the next call. Once the end is announced, only the peer's is looked for.
IoResult WebSocketTransport::read_compressed(std::span<const iovec> into) {
  Gathering out(into);
  if (close_queued_) deflate_->forget();
  if (!deflate_->drain(out)) fail(CloseCode::kInvalidPayload, kNotDeflate);
  if (end_ != End::kOpen || out.total() != 0) return after_reading(out.total());
  std::array<char, kReadCompressedBytes> room;
  std::string unread;
  std::span<char> bytes;
  if (held_ != nullptr && !held_->received.empty()) {
    unread = std::exchange(held_->received, {});
    bytes = unread;
  } else {
    const iovec piece{room.data(), std::min(room.size(), total_of(into))};
    const IoResult read = below_->read_some({&piece, 1});
    if (read.status != IoStatus::kOk) return read;
    bytes = std::span(room).first(read.bytes);
  }
  while (end_ == End::kOpen && !deflate_->has_input()) {
    const FrameDecoder::Step step = decoder_.next(bytes);
    bytes = bytes.subspan(step.consumed);
    if (step.event == FrameDecoder::Event::kNeedMore && bytes.empty()) break;
    if (step.event != FrameDecoder::Event::kData) {
      take_event(step);
    } else if (!close_queued_ && !deflate_->take({step.payload, step.compressed, step.ends}, out)) {
      fail(CloseCode::kInvalidPayload, kNotDeflate);
    }
  }
  if (end_ == End::kOpen && !bytes.empty()) held().received.assign(bytes.data(), bytes.size());
  release_held();
  return after_reading(out.total());
}

void WebSocketTransport::fail(CloseCode code, std::string_view why) {
  end_ = End::kFailed;
  why_ = why;
  queue_close(code, why);
}

std::size_t WebSocketTransport::take_unread(std::span<const iovec> into) {
  if (held_ == nullptr || held_->received.empty()) return 0;
  std::size_t taken = 0;
  for (const iovec& piece : into) {
    if (taken == held_->received.size()) break;
    taken += held_->received.copy(static_cast<char*>(piece.iov_base), piece.iov_len, taken);
  }
  held_->received.erase(0, taken);
  if (held_->received.empty()) release_memory(held_->received);
  release_held();
  return taken;
}

std::size_t WebSocketTransport::decode(std::span<const iovec> pieces, std::size_t bytes) {
  Gathering gathering(pieces);
  for (const iovec& piece : pieces) {
    std::span<char> chunk(static_cast<char*>(piece.iov_base), std::min(piece.iov_len, bytes));
    bytes -= chunk.size();
    while (end_ == End::kOpen) {
      const FrameDecoder::Step step = decoder_.next(chunk);
      chunk = chunk.subspan(step.consumed);
      if (step.event == FrameDecoder::Event::kNeedMore && chunk.empty()) break;
      if (step.event == FrameDecoder::Event::kData) {
        gathering.put(step.payload);
      } else {
        take_event(step);
      }
    }
  }
  return gathering.total();
}

void WebSocketTransport::take_event(const FrameDecoder::Step& step) {
  switch (step.event) {
    case FrameDecoder::Event::kPing:
      // Of several pings the last may be answered alone (RFC 6455, 5.5.3).
      if (!close_queued_) held().control = control_frame(Opcode::kPong, step.payload);
      return;
    case FrameDecoder::Event::kClose:
      end_ = End::kClosedByPeer;
      return queue_close(step.code, {});
    case FrameDecoder::Event::kFailed:
      return fail(step.code, step.why);
    case FrameDecoder::Event::kNeedMore:
    case FrameDecoder::Event::kData:
    case FrameDecoder::Event::kPong:
      return;
  }
}

void WebSocketTransport::queue_close(CloseCode code, std::string_view reason) {
  if (std::exchange(close_queued_, true)) return;
  held().control += close_frame(code, reason);
  end_below_ = true;
}

IoResult WebSocketTransport::ended() const {
  if (end_ == End::kFailed) return {0, IoStatus::kError, EPROTO};
  return {0, IoStatus::kEnd, 0};
}

bool WebSocketTransport::has_buffered() const {
  return end_ != End::kOpen || unread_opening_ || (open_ && held_ != nullptr && !held_->received.empty()) ||
         (deflate_ != nullptr && deflate_->has_input()) || below_->has_buffered();
}

// --- writing

IoResult WebSocketTransport::write_some(std::span<const iovec> from) {
  if (close_queued_ || end_ != End::kOpen) return {0, IoStatus::kError, EPIPE};
  if (!open_) return {0, IoStatus::kWouldBlock, 0};
  if (deflate_ != nullptr && frame_left_ == 0)
    if (const auto written = write_compressed(from)) return *written;
  from = from.first(std::min(from.size(), kMaxPieces));
  const std::size_t total = total_of(from);
  const auto rest = static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, total));
  const std::size_t next_frame = total - rest;
  // Between two frames control frames have their place.
  std::array<char, kMaxBetweenBytes> between;
  char* end = between.data();
  if (frame_left_ == rest && has_control()) end = put_bytes(end, held_->control);
  if (next_frame != 0) end = put_frame_header(end, Opcode::kBinary, next_frame);
  const auto between_bytes = static_cast<std::size_t>(end - between.data());

  Layout layout;
  if (has_next()) layout.add(held_->next.data(), held_->next.size());
  layout.add(from, rest, {between.data(), between_bytes});
  const IoResult written = below_->write_some(layout.vectors());
  if (written.status == IoStatus::kError) return written;

  std::size_t left = written.bytes;
  if (has_next()) {
    const std::size_t sent = std::min(left, held_->next.size());
    held_->next.erase(0, sent);
    left -= sent;
    if (!held_->next.empty()) return {0, IoStatus::kWouldBlock, 0};
  }
  std::size_t taken = std::min(left, rest);
  frame_left_ -= taken;
  left -= taken;
  if (left != 0) {
    // From its first byte on, the frame is promised.
    const std::size_t sent = std::min(left, between_bytes);
    if (has_control()) release_memory(held_->control);
    if (sent != between_bytes) held().next.assign(between.data() + sent, between_bytes - sent);
    frame_left_ = next_frame - (left - sent);
    taken += left - sent;
  }
  release_held();
  return {taken, taken == 0 ? IoStatus::kWouldBlock : IoStatus::kOk, 0};
}

// Compressed messages, whole: what the socket does not take of one waits here, and nothing follows it. Nothing: the
// bytes are better sent as they are.
std::optional<IoResult> WebSocketTransport::write_compressed(std::span<const iovec> from) {
  std::array<iovec, kMaxPieces> left;
  from = from.first(std::min(from.size(), left.size()));
  const std::size_t total = total_of(from);
  std::size_t taken = 0;
  std::copy(from.begin(), from.end(), left.begin());
  std::span<iovec> pieces(left.data(), from.size());
  for (int i = 0; i < kMessagesPerWrite && taken < total; ++i) {
    if (has_next()) {
      if (const IoResult written = write_pending(); written.status == IoStatus::kError) return written;
      if (has_next()) break;
    }
    auto message = deflate_->compress(pieces, total - taken);
    if (!message) {
      if (taken == 0) return std::nullopt;
      break;
    }
    if (has_control()) message->frame.insert(0, std::exchange(held_->control, {}));
    const iovec piece{message->frame.data(), message->frame.size()};
    const IoResult written = below_->write_some({&piece, 1});
    if (written.status == IoStatus::kError) return written;
    if (written.bytes != message->frame.size()) held().next = message->frame.substr(written.bytes);
    taken += message->taken;
    pieces = after(pieces, message->taken);
  }
  release_held();
  return IoResult{taken, taken == 0 ? IoStatus::kWouldBlock : IoStatus::kOk, 0};
}

bool WebSocketTransport::wants_write() const {
  return has_next() || (frame_left_ == 0 && has_control()) || below_->wants_write();
}

IoResult WebSocketTransport::write_pending() {
  if (below_->wants_write()) {
    const IoResult written = below_->write_pending();
    if (written.status != IoStatus::kOk) return written;
  }
  if (frame_left_ == 0 && has_control()) {
    held_->next += held_->control;
    release_memory(held_->control);
  }
  while (has_next()) {
    const iovec piece{held_->next.data(), held_->next.size()};
    const IoResult written = below_->write_some({&piece, 1});
    if (written.status == IoStatus::kError) return written;
    held_->next.erase(0, written.bytes);
    if (!held_->next.empty()) return {0, IoStatus::kWouldBlock, 0};
  }
  release_held();
  if (end_below_ && frame_left_ == 0) {
    end_below_ = false;
    below_->end_writing();
  }
  return {0, below_->wants_write() ? IoStatus::kWouldBlock : IoStatus::kOk, 0};
}

void WebSocketTransport::end_writing() {
  // In the middle of a frame that nobody will finish there is no place for a Close frame.
  if (!open_ || frame_left_ != 0) return below_->end_writing();
  queue_close(farewell_, {});
  (void)write_pending();
}

PeerIdentity WebSocketTransport::identity() const {
  PeerIdentity identity = below_->identity();
  if (open_) identity.subprotocol = is_v31_ ? "mqttv3.1" : "mqtt";
  return identity;
}

std::string WebSocketTransport::failure(const IoResult& result) const {
  if (end_ != End::kFailed) return below_->failure(result);
  return (open_ ? "WebSocket: " : "WebSocket handshake: ") + std::string(why_);
}

}  // namespace petrel::net
