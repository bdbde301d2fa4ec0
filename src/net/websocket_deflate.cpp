#include "net/websocket_deflate.h"

#include <array>
#include <utility>

#include "base/release_memory.h"
#include "net/websocket_frames.h"

namespace petrel::net {

namespace {

// RFC 7692, 7.2.2.
constexpr BytesView kTail("\x00\x00\xff\xff", 4);
constexpr char kCompressed = 0x40;
// Smaller ones fit into a packet anyway and gain little. Where earlier messages help, all do.
constexpr std::size_t kLeastBytes = 256, kLeastKeptBytes = 32;
// What is compressed may have to wait here for the socket.
constexpr std::size_t kMessageBytes = 16'384;

}  // namespace

WebSocketDeflate::WebSocketDeflate(std::shared_ptr<CompressionPool> pool, const DeflateTerms& terms)
    : pool_(std::move(pool)), terms_(terms) {
  pool_->counts.connections.fetch_add(1, std::memory_order_relaxed);
}

WebSocketDeflate::~WebSocketDeflate() {
  pool_->counts.connections.fetch_sub(1, std::memory_order_relaxed);
  if (inflater_ != nullptr) pool_->give_back(std::move(inflater_));
}

bool WebSocketDeflate::take(const Payload& payload, Gathering& out) {
  compressed_ = payload.compressed;
  ends_ = payload.ends;
  if (compressed_) pool_->counts.in_wire.fetch_add(payload.bytes.size(), std::memory_order_relaxed);
  return run(payload.bytes, out);
}

bool WebSocketDeflate::drain(Gathering& out) {
  if (!busy_) return true;
  const std::string held = std::exchange(pending_, {});
  return run(held, out);
}

void WebSocketDeflate::forget() {
  release_memory(pending_);
  busy_ = false;
}

bool WebSocketDeflate::run(BytesView input, Gathering& out) {
  const std::size_t before = out.total();
  busy_ = true;
  if (compressed_) {
    if (inflater_ == nullptr) inflater_ = pool_->inflater(terms_.client_window_bits);
    const bool good = run_inflater(input, out);
    pool_->counts.in_plain.fetch_add(out.total() - before, std::memory_order_relaxed);
    return good;
  }
  input.remove_prefix(out.put(input));
  busy_ = !input.empty();
  pending_ = input;
  return true;
}

bool WebSocketDeflate::run_inflater(BytesView input, Gathering& out) {
  for (;;) {
    switch (inflater_->run(input, out)) {
      case Inflater::Status::kBad:
        return false;
      case Inflater::Status::kFull:
        pending_ = input;
        return true;
      case Inflater::Status::kTookAll:
        break;
    }
    if (ends_ && !in_tail_) {
      in_tail_ = true;
      input = kTail;
      continue;
    }
    busy_ = false;
    if (!std::exchange(in_tail_, false)) return true;
    const bool whole = inflater_->at_boundary();
    end_message();
    return whole;
  }
}

void WebSocketDeflate::end_message() {
  if (!terms_.client_keeps) pool_->give_back(std::move(inflater_));
}

std::optional<WebSocketDeflate::Message> WebSocketDeflate::compress(std::span<const iovec> pieces, std::size_t bytes) {
  if (bytes < (terms_.server_keeps ? kLeastKeptBytes : kLeastBytes)) return std::nullopt;
  // No small end is left over.
  if (bytes > kMessageBytes + kMessageBytes / 2) bytes = kMessageBytes;
  std::unique_ptr<Deflater> deflater = std::move(deflater_);
  if (deflater == nullptr) deflater = pool_->deflater(terms_.server_window_bits);
  std::optional<Message> message;
  if (deflater->compress(pieces, bytes, terms_.server_keeps)) {
    const BytesView output = deflater->output();
    std::array<char, kMaxFrameHeaderBytes> header;
    const char* const end = put_frame_header(header.data(), Opcode::kBinary, output.size());
    header[0] = static_cast<char>(header[0] | kCompressed);
    message.emplace();
    message->taken = bytes;
    message->frame.reserve(header.size() + output.size());
    message->frame.append(header.data(), static_cast<std::size_t>(end - header.data())).append(output);
    pool_->counts.out_plain.fetch_add(bytes, std::memory_order_relaxed);
    pool_->counts.out_wire.fetch_add(output.size(), std::memory_order_relaxed);
  }
  if (terms_.server_keeps) {
    deflater->drop_output();
    deflater_ = std::move(deflater);
  } else {
    pool_->give_back(std::move(deflater));
  }
  return message;
}

}  // namespace petrel::net
