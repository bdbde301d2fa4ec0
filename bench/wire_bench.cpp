// What the codec costs: one packet from a received buffer to its struct, and from its struct to an output buffer.
#include <benchmark/benchmark.h>

#include <string>

#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/property.h"
#include "wire/publish_encoder.h"

namespace {

using namespace petrel;
using namespace petrel::wire;

constexpr ProtocolVersion kV311 = ProtocolVersion::kV311, kV5 = ProtocolVersion::kV5;

// Views in the packets point into constants.
const std::string kPayload(1024, 'x');

enum Properties : std::int64_t { kNone = 0, kForwarded = 1 };

Publish make_publish(const benchmark::State& state) {
  static const std::string properties = encode_user_property("trace", "4bf92f3577b34da6");
  Publish publish;
  publish.topic = "sensors/region7/device4711/temperature";
  publish.qos = static_cast<Qos>(state.range(0));
  publish.packet_id = publish.qos == Qos::k0 ? 0 : 4711;
  publish.payload = BytesView(kPayload).substr(0, static_cast<std::size_t>(state.range(1)));
  if (state.range(2) != kForwarded) return publish;
  publish.properties.message_expiry_interval_s = 3600;
  publish.forwarded_properties = properties;
  return publish;
}

Connect make_connect(ProtocolVersion version) {
  Connect connect;
  connect.version = version;
  connect.keep_alive_s = 60;
  connect.client_id = "device4711";
  connect.user_name = "device";
  connect.password = "secret";
  connect.will.emplace().topic = "sensors/region7/device4711/online";
  connect.will->payload = "0";
  if (version == kV5) connect.session_expiry_interval_s = 86'400;
  if (version == kV5) connect.receive_maximum = 100;
  return connect;
}

Subscribe make_subscribe() {
  Subscribe subscribe;
  subscribe.packet_id = 1;
  for (const char* filter : {"sensors/+/device4711/#", "chat/user/4711", "$share/workers/jobs/#"})
    subscribe.subscriptions.push_back({filter, {.maximum_qos = Qos::k1}});
  return subscribe;
}

template <class Packet>
std::string encoded(ProtocolVersion version, const Packet& packet) {
  std::string bytes(encoded_size(version, packet), '\0');
  encode(version, packet, bytes.data());
  return bytes;
}

// Cuts the frame and gives it to `decode`, again and again.
template <class Decode>
void decode_loop(benchmark::State& state, ProtocolVersion version, const std::string& bytes, Decode&& decode) {
  for (auto _ : state) {
    BytesView input = bytes;
    benchmark::DoNotOptimize(input);
    const auto frame = next_frame(version, input, 1 << 20);
    benchmark::DoNotOptimize(decode(frame->frame));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}

template <class Packet>
void encode_loop(benchmark::State& state, ProtocolVersion version, const Packet& packet) {
  std::string out(encoded_size(version, packet), '\0');
  for (auto _ : state) {
    benchmark::DoNotOptimize(encoded_size(version, packet));
    benchmark::DoNotOptimize(encode(version, packet, out.data()));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}

void decode_publish(benchmark::State& state, ProtocolVersion version) {
  decode_loop(state, version, encoded(version, make_publish(state)), [&](const Frame& frame) {
    return wire::decode_publish(version, Sender::kClient, frame.flags, frame.body);
  });
}
void encode_publish(benchmark::State& state, ProtocolVersion version) {
  encode_loop(state, version, make_publish(state));
}
// As a server writes to its receivers.
void encode_to_receiver(benchmark::State& state, ProtocolVersion version) {
  const Publish publish = make_publish(state);
  const PublishParts parts{publish.topic, publish.forwarded_properties, publish.payload,
                           publish.properties.message_expiry_interval_s.has_value(), 3600};
  std::string out(encoded_size(version, publish), '\0');
  for (auto _ : state) {
    const PublishEncoder encoder(parts, version == kV5, publish.qos != Qos::k0);
    benchmark::DoNotOptimize(encoder.size());
    benchmark::DoNotOptimize(encoder.write(out.data(), publish.qos, false, publish.packet_id));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}

void arguments_311(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"qos", "payload", "properties"})->ArgsProduct({{0, 1}, {16, 1024}, {kNone}});
}
void arguments_5(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"qos", "payload", "properties"})->ArgsProduct({{0, 1}, {16, 1024}, {kNone, kForwarded}});
}

BENCHMARK_CAPTURE(decode_publish, v311, kV311)->Apply(arguments_311);
BENCHMARK_CAPTURE(decode_publish, v5, kV5)->Apply(arguments_5);
BENCHMARK_CAPTURE(encode_publish, v311, kV311)->Apply(arguments_311);
BENCHMARK_CAPTURE(encode_publish, v5, kV5)->Apply(arguments_5);
BENCHMARK_CAPTURE(encode_to_receiver, v311, kV311)->Apply(arguments_311);
BENCHMARK_CAPTURE(encode_to_receiver, v5, kV5)->Apply(arguments_5);

void decode_connect(benchmark::State& state, ProtocolVersion version) {
  decode_loop(state, version, encoded(version, make_connect(version)),
              [](const Frame& frame) { return wire::decode_connect(frame.body); });
}
void encode_connect(benchmark::State& state, ProtocolVersion version) {
  encode_loop(state, version, make_connect(version));
}
BENCHMARK_CAPTURE(decode_connect, v311, kV311);
BENCHMARK_CAPTURE(decode_connect, v5, kV5);
BENCHMARK_CAPTURE(encode_connect, v311, kV311);
BENCHMARK_CAPTURE(encode_connect, v5, kV5);

void decode_subscribe(benchmark::State& state, ProtocolVersion version) {
  decode_loop(state, version, encoded(version, make_subscribe()), [&](const Frame& frame) {
    const auto head = decode_filters_head(version, frame.type, frame.body);
    for (BytesView filters = head->filters; !filters.empty();)
      benchmark::DoNotOptimize(decode_filter(version, frame.type, filters));
    return head->packet_id;
  });
}
void encode_subscribe(benchmark::State& state, ProtocolVersion version) {
  encode_loop(state, version, make_subscribe());
}
BENCHMARK_CAPTURE(decode_subscribe, v311, kV311);
BENCHMARK_CAPTURE(decode_subscribe, v5, kV5);
BENCHMARK_CAPTURE(encode_subscribe, v311, kV311);
BENCHMARK_CAPTURE(encode_subscribe, v5, kV5);

void decode_puback(benchmark::State& state) {
  Ack ack;
  ack.packet_id = 4711;
  decode_loop(state, kV5, encoded(kV5, ack),
              [](const Frame& frame) { return decode_ack(kV5, frame.type, frame.body); });
}
void encode_puback(benchmark::State& state) {
  Ack ack;
  ack.packet_id = 4711;
  encode_loop(state, kV5, ack);
}
BENCHMARK(decode_puback);
BENCHMARK(encode_puback);

}  // namespace
