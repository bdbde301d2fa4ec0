// WebSocket: the frames decoder and the parser of the opening request. An input is a byte that chooses and sizes
// pieces, then what a client sends:
//   even: an opening request. The judgement must not depend on how the bytes were cut, and an answer must be
//   well-formed. odd: frames. The payload and the end must not depend on how the bytes were cut; and what is decoded,
//   framed again and decoded once more, is the same. The same frames are given to a transport that has agreed on
//   permessage-deflate: the plain bytes and the end must not depend on how little is read at a time.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "net/websocket_frames.h"
#include "net/websocket_handshake.h"
#include "net/websocket_test_support.h"
#include "net/websocket_transport.h"

namespace petrel::net {
namespace {

using Event = FrameDecoder::Event;

struct Decoded {
  std::string data, controls;
  Event end = Event::kNeedMore;
  CloseCode code = CloseCode::kNoStatus;
  std::string why;
  bool operator==(const Decoded&) const = default;
};

constexpr std::uint64_t kMaxFrameBytes = 5000;

Decoded decode(std::string_view bytes, std::size_t most) {
  FrameDecoder decoder(kMaxFrameBytes);
  Decoded decoded;
  for (std::size_t at = 0; at < bytes.size(); at += most) {
    // On the heap and of its exact size: a step beyond either end is seen.
    std::vector<char> piece(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                            bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + most)));
    std::span<char> rest(piece);
    for (;;) {
      const FrameDecoder::Step step = decoder.next(rest);
      PETREL_REQUIRE(step.consumed <= rest.size());
      PETREL_REQUIRE(step.consumed > 0 || step.event == Event::kNeedMore);
      rest = rest.subspan(step.consumed);
      if (step.event == Event::kNeedMore && rest.empty()) break;
      if (step.event == Event::kData) decoded.data += step.payload;
      if (step.event == Event::kPing || step.event == Event::kPong) {
        PETREL_REQUIRE(step.payload.size() <= kMaxControlPayloadBytes);
        decoded.controls.append(step.event == Event::kPing ? "i" : "o").append(step.payload);
      }
      if (step.event != Event::kClose && step.event != Event::kFailed) continue;
      PETREL_REQUIRE(step.event == Event::kClose || !step.why.empty());
      decoded.end = step.event;
      decoded.code = step.code;
      decoded.why = step.event == Event::kClose ? step.payload : step.why;
      return decoded;
    }
  }
  return decoded;
}

void frames(std::string_view bytes, std::size_t most) {
  const Decoded whole = decode(bytes, bytes.size() + 1);
  PETREL_REQUIRE(decode(bytes, most) == whole);
  std::string again;
  for (std::size_t at = 0; at < whole.data.size(); at += kMaxFrameBytes)
    again += client_frame(std::string_view(whole.data).substr(at, kMaxFrameBytes));
  PETREL_REQUIRE(decode(again, most).data == whole.data);
}

struct Inflated {
  std::string data, failure;
  IoStatus end = IoStatus::kWouldBlock;
};

// As far as `kMostInflated`: a few bytes may stand for very many.
constexpr std::size_t kMostInflated = 200'000;

Inflated inflate(std::string_view bytes, std::size_t most, const WebSocketSettings& settings) {
  auto owned = std::make_unique<Below>();
  Below& below = *owned;
  below.input = kRequest;
  below.input.insert(below.input.size() - 2, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  WebSocketTransport transport(std::move(owned), settings);
  std::vector<char> room(most);
  const iovec piece{room.data(), room.size()};
  PETREL_REQUIRE(transport.read_some({&piece, 1}).status == IoStatus::kWouldBlock && transport.established());
  below.input = bytes;
  below.most_read = most;
  Inflated inflated;
  while (inflated.data.size() < kMostInflated && (!below.input.empty() || transport.has_buffered())) {
    const IoResult result = transport.read_some({&piece, 1});
    PETREL_REQUIRE(result.bytes <= room.size());
    inflated.data.append(room.data(), result.bytes);
    inflated.end = result.status == IoStatus::kOk ? IoStatus::kWouldBlock : result.status;
    if (result.status == IoStatus::kError) inflated.failure = transport.failure(result);
    if (result.status == IoStatus::kError || result.status == IoStatus::kEnd) break;
  }
  inflated.data.resize(std::min(inflated.data.size(), kMostInflated));
  return inflated;
}

void compressed(std::string_view bytes, std::size_t most) {
  WebSocketSettings settings;
  settings.compression = std::make_shared<CompressionPool>();
  const Inflated whole = inflate(bytes, bytes.size() + 4096, settings), cut = inflate(bytes, most, settings);
  PETREL_REQUIRE(whole.data == cut.data);
  if (whole.data.size() < kMostInflated) PETREL_REQUIRE(whole.end == cut.end && whole.failure == cut.failure);
}

void handshake(std::string_view bytes, std::size_t most) {
  using Kind = WebSocketHandshake::Outcome::Kind;
  WebSocketSettings settings;
  settings.origins = {"https://app.example"};
  settings.compression = std::make_shared<CompressionPool>();
  const auto whole = WebSocketHandshake().take(bytes, settings);
  WebSocketHandshake by_pieces;
  WebSocketHandshake::Outcome outcome;
  for (std::size_t size = 0; outcome.kind == Kind::kNeedMore && size < bytes.size();) {
    size = std::min(bytes.size(), size + most);
    outcome = by_pieces.take(bytes.substr(0, size), settings);
  }
  PETREL_REQUIRE(outcome.kind == whole.kind && outcome.answer == whole.answer && outcome.consumed == whole.consumed);
  if (whole.kind == Kind::kNeedMore) {
    PETREL_REQUIRE(bytes.size() < WebSocketSettings::kMaxRequestBytes);
    return;
  }
  PETREL_REQUIRE(whole.answer.starts_with("HTTP/1.1 " + std::to_string(whole.status) + " "));
  PETREL_REQUIRE(whole.answer.find("\r\n\r\n") != std::string::npos);
  PETREL_REQUIRE((whole.kind == Kind::kAccepted) == (whole.status == 101));
  if (whole.kind == Kind::kRefused) return;
  PETREL_REQUIRE(whole.consumed <= bytes.size() && bytes.substr(0, whole.consumed).ends_with("\r\n\r\n"));
  PETREL_REQUIRE(whole.subprotocol == "mqtt" || whole.subprotocol == "mqttv3.1");
}

}  // namespace
}  // namespace petrel::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t most = 1 + (data[0] >> 1);
  if ((data[0] & 1) != 0) {
    petrel::net::frames(bytes, most);
    petrel::net::compressed(bytes, most);
  } else {
    petrel::net::handshake(bytes, most);
  }
  return 0;
}
