#include "net/websocket_frames.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace petrel::net {

namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kCompressed = 0x40;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;
constexpr std::size_t kMaskBytes = 4;

std::uint64_t get_u64(const char* in) { return (static_cast<std::uint64_t>(get_u32(in)) << 32) | get_u32(in + 4); }

// Section 7.4: the codes of the protocol that may travel (with those registered since), and those of applications.
bool may_be_sent(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = utf8_sequence(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace

FrameDecoder::Step FrameDecoder::next(std::span<char> bytes) {
  if (!in_payload_) return take_header(bytes);
  if (is_control()) return take_control(bytes);
  if (bytes.empty()) return {};
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
  unmask(bytes.data(), taken);
  remaining_ -= taken;
  in_payload_ = remaining_ != 0;
  return data(taken, {bytes.data(), taken});
}

FrameDecoder::Step FrameDecoder::data(std::size_t consumed, BytesView payload) const {
  return {Event::kData, consumed, payload, CloseCode::kNoStatus, {}, compressed_, !in_payload_ && !in_message_};
}

std::size_t FrameDecoder::header_size() const {
  if (header_bytes_ < 2) return 2;
  const std::uint8_t length = byte_at({header_.data(), 2}, 1) & 0x7f;
  const std::size_t extended = length == kLength64 ? 8 : length == kLength16 ? 2 : 0;
  return 2 + extended + kMaskBytes;
}

FrameDecoder::Step FrameDecoder::take_header(std::span<char> bytes) {
  control_.reset();
  std::size_t consumed = 0;
  // The first two bytes tell how long the header is.
  while (header_bytes_ < header_size()) {
    if (consumed == bytes.size()) return {Event::kNeedMore, consumed, {}, CloseCode::kNoStatus, {}};
    const std::size_t taken = std::min(header_size() - header_bytes_, bytes.size() - consumed);
    std::memcpy(header_.data() + header_bytes_, bytes.data() + consumed, taken);
    header_bytes_ = static_cast<std::uint8_t>(header_bytes_ + taken);
    consumed += taken;
    if (header_bytes_ != 2) continue;
    // What is wrong already shows here: a peer that does not mask sends no mask to wait for.
    CloseCode code{};
    if (const std::string_view why = breach(code); !why.empty()) return {Event::kFailed, consumed, {}, code, why};
  }
  return header_complete(consumed);
}

// What the first two bytes of a header show, or nothing.
std::string_view FrameDecoder::breach(CloseCode& code) const {
  const std::uint8_t first = byte_at({header_.data(), 2}, 0), second = byte_at({header_.data(), 2}, 1);
  code = CloseCode::kProtocolError;
  // 5.2; the first frame of a message may have one (RFC 7692, 6).
  const bool may_be_compressed = allows_compressed_ && !is_control() && opcode() != Opcode::kContinuation;
  if ((first & kReserved & ~(may_be_compressed ? kCompressed : 0)) != 0) return "a reserved bit is set";
  if ((second & kMasked) == 0) return "a frame is not masked";  // 5.1
  if (is_control()) {
    if (opcode() > Opcode::kPong) return "an unknown kind of control frame";              // 5.2
    if ((first & kFinal) == 0) return "a control frame is fragmented";                    // 5.5
    if ((second & 0x7f) > kMaxControlPayloadBytes) return "a control frame is too long";  // 5.5
    return {};
  }
  if (opcode() > Opcode::kBinary) return "an unknown kind of frame";                             // 5.2
  if (opcode() == Opcode::kContinuation) return in_message_ ? "" : "a continuation of nothing";  // 5.4
  if (in_message_) return "a message inside of another";                                         // 5.4
  if (opcode() == Opcode::kBinary) return {};
  code = CloseCode::kUnsupportedData;
  return "a text frame";  // [MQTT-6.0.0-1]
}

FrameDecoder::Step FrameDecoder::header_complete(std::size_t consumed) {
  const auto failed = [&](CloseCode code, std::string_view why) {
    return Step{Event::kFailed, consumed, {}, code, why};
  };
  const std::uint8_t length = byte_at({header_.data(), 2}, 1) & 0x7f;
  remaining_ = length;
  std::uint64_t least = 0;
  if (length == kLength16) {
    remaining_ = get_u16(header_.data() + 2);
    least = kLength16;
  } else if (length == kLength64) {
    remaining_ = get_u64(header_.data() + 2);
    least = 0x10000;
    if ((remaining_ >> 63) != 0) return failed(CloseCode::kProtocolError, "a length beyond 63 bits");  // 5.2
  }
  if (remaining_ < least) return failed(CloseCode::kProtocolError, "a length written with more bytes than it needs");
  if (!is_control() && remaining_ > max_frame_bytes_) return failed(CloseCode::kMessageTooBig, "a frame is too big");
  std::memcpy(mask_.data(), header_.data() + header_bytes_ - kMaskBytes, kMaskBytes);
  header_bytes_ = 0;
  in_payload_ = remaining_ != 0;
  if (is_control()) {
    if (remaining_ == 0) return control_complete(consumed);
    return {Event::kData, consumed, {}, CloseCode::kNoStatus, {}};
  }
  if (opcode() != Opcode::kContinuation) compressed_ = (byte_at({header_.data(), 1}, 0) & kCompressed) != 0;
  in_message_ = (byte_at({header_.data(), 1}, 0) & kFinal) == 0;
  return data(consumed, {});
}

FrameDecoder::Step FrameDecoder::take_control(std::span<char> bytes) {
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
  unmask(bytes.data(), taken);
  if (control_ == nullptr) control_ = std::make_unique<std::string>();
  control_->append(bytes.data(), taken);
  remaining_ -= taken;
  if (remaining_ != 0) return {Event::kNeedMore, taken, {}, CloseCode::kNoStatus, {}};
  in_payload_ = false;
  return control_complete(taken);
}

FrameDecoder::Step FrameDecoder::control_complete(std::size_t consumed) {
  const BytesView payload = control_ == nullptr ? BytesView{} : BytesView(*control_);
  if (opcode() == Opcode::kPing) return {Event::kPing, consumed, payload, CloseCode::kNoStatus, {}};
  if (opcode() == Opcode::kPong) return {Event::kPong, consumed, payload, CloseCode::kNoStatus, {}};
  if (payload.empty()) return {Event::kClose, consumed, {}, CloseCode::kNoStatus, {}};
  const auto failed = [&](CloseCode code, std::string_view why) {
    return Step{Event::kFailed, consumed, {}, code, why};
  };
  // Section 5.5.1.
  if (payload.size() < 2) return failed(CloseCode::kProtocolError, "half a close code");
  const std::uint16_t code = get_u16(payload.data());
  if (!may_be_sent(code)) return failed(CloseCode::kProtocolError, "a close code that may not be sent");
  const BytesView reason = payload.substr(2);
  if (!is_utf8(reason)) return failed(CloseCode::kInvalidPayload, "a reason to close that is not UTF-8");
  return {Event::kClose, consumed, reason, static_cast<CloseCode>(code), {}};
}

// Section 5.3, eight bytes at a time.
void FrameDecoder::unmask(char* data, std::size_t size) {
  std::array<char, 8> twice;
  std::memcpy(twice.data(), mask_.data(), kMaskBytes);
  std::memcpy(twice.data() + kMaskBytes, mask_.data(), kMaskBytes);
  std::uint64_t mask = 0;
  std::memcpy(&mask, twice.data(), sizeof mask);
  std::size_t at = 0;
  for (; size - at >= sizeof mask; at += sizeof mask) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + at, sizeof word);
    word ^= mask;
    std::memcpy(data + at, &word, sizeof word);
  }
  for (std::size_t i = at; i < size; ++i) data[i] = static_cast<char>(data[i] ^ mask_[i % kMaskBytes]);
  std::rotate(mask_.begin(), mask_.begin() + static_cast<std::ptrdiff_t>(size % kMaskBytes), mask_.end());
}

char* put_frame_header(char* out, Opcode opcode, std::uint64_t payload_bytes) {
  out = put_u8(out, static_cast<std::uint8_t>(kFinal | static_cast<std::uint8_t>(opcode)));
  if (payload_bytes < kLength16) return put_u8(out, static_cast<std::uint8_t>(payload_bytes));
  if (payload_bytes <= 0xffff) return put_u16(put_u8(out, kLength16), static_cast<std::uint16_t>(payload_bytes));
  out = put_u32(put_u8(out, kLength64), static_cast<std::uint32_t>(payload_bytes >> 32));
  return put_u32(out, static_cast<std::uint32_t>(payload_bytes & 0xffffffff));
}

std::string control_frame(Opcode opcode, BytesView payload) {
  std::array<char, kMaxFrameHeaderBytes> header;
  payload = payload.substr(0, kMaxControlPayloadBytes);
  const char* const end = put_frame_header(header.data(), opcode, payload.size());
  return std::string(header.data(), static_cast<std::size_t>(end - header.data())).append(payload);
}

std::string close_frame(CloseCode code, std::string_view reason) {
  if (code == CloseCode::kNoStatus) return control_frame(Opcode::kClose, {});
  std::array<char, 2> number;
  put_u16(number.data(), static_cast<std::uint16_t>(code));
  return control_frame(Opcode::kClose, std::string(number.data(), number.size()).append(reason));
}

}  // namespace petrel::net
