// WebSocket frames (RFC 6455, section 5) for the server's side of a stream of binary data: bytes in, pieces of payload
// out. Nothing is gathered: payload is unmasked where it lies and handed on, however it is cut into frames; only an
// incomplete header and an incomplete control frame are kept.
//
// Threads: pure; an object has one user.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace petrel::net {

enum class Opcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xa,
};

// Section 7.4.1.
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kNoStatus = 1005,  // never sent: a Close frame without a code
  kInvalidPayload = 1007,
  kMessageTooBig = 1009,
};

class FrameDecoder {
 public:
  explicit FrameDecoder(std::uint64_t max_frame_bytes) : max_frame_bytes_(max_frame_bytes) {}
  // permessage-deflate has been agreed on: messages may be marked as compressed (RFC 7692, 6).
  void allow_compressed() { allows_compressed_ = true; }

  enum class Event : std::uint8_t {
    kNeedMore,  // all is consumed
    kData,      // payload of a binary message, maybe none yet
    kPing,
    kPong,
    kClose,   // the peer closes; code and payload (the reason) say why
    kFailed,  // the peer broke the rules: close with `code`
  };
  struct Step {
    Event event = Event::kNeedMore;
    std::size_t consumed = 0;
    BytesView payload;  // in the bytes given, or in the decoder until the next call
    CloseCode code = CloseCode::kNoStatus;
    std::string_view why;                   // with kFailed
    bool compressed = false, ends = false;  // with kData: the message is; the message is over
  };
  // One step from the front of `bytes`, which it unmasks in place; to be repeated with the rest until kNeedMore, when
  // nothing is held but half a header or half a control frame. After kClose or kFailed nothing more may be given.
  Step next(std::span<char> bytes);

 private:
  Step take_header(std::span<char> bytes);
  Step header_complete(std::size_t consumed);
  Step take_control(std::span<char> bytes);
  Step control_complete(std::size_t consumed);
  std::size_t header_size() const;
  std::string_view breach(CloseCode& code) const;
  Opcode opcode() const { return static_cast<Opcode>(byte_at({header_.data(), 1}, 0) & 0x0f); }
  bool is_control() const { return (byte_at({header_.data(), 1}, 0) & 0x08) != 0; }
  Step data(std::size_t consumed, BytesView payload) const;
  void unmask(char* data, std::size_t size);

  std::uint64_t max_frame_bytes_;
  std::uint64_t remaining_ = 0;           // of the frame's payload
  std::unique_ptr<std::string> control_;  // the payload of a control frame under way
  std::array<char, 4> mask_{};            // turned so that its first byte is the next to be used
  std::array<char, 14> header_{};
  std::uint8_t header_bytes_ = 0;
  bool in_payload_ = false;
  bool in_message_ = false;  // a fragmented message is under way
  bool allows_compressed_ = false;
  bool compressed_ = false;  // the message under way is
};

// Headers of frames to a client: final, not masked (section 5.1).
inline constexpr std::size_t kMaxFrameHeaderBytes = 10;
char* put_frame_header(char* out, Opcode opcode, std::uint64_t payload_bytes);
// Whole control frames; the payload is at most 125 bytes.
inline constexpr std::size_t kMaxControlPayloadBytes = 125;
std::string control_frame(Opcode opcode, BytesView payload);
std::string close_frame(CloseCode code, std::string_view reason);

}  // namespace petrel::net
