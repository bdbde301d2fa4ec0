// petrel pub: publishes what it is told, line by line if asked, with the receiver's pace.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/client_command.h"
#include "cli/pub_sub.h"
#include "topics/topic.h"

namespace petrel::cli {

namespace {

constexpr int kTimeoutMs = 10'000;
constexpr int kStepMs = 1000;

struct PubOptions : ClientOptions {
  std::optional<std::string> message;
  std::string file;
  bool empty = false, lines = false, whole_input = false, retain = false;
  int repeat = 1;
  double repeat_delay_s = 0;
};

std::string read_all(std::istream& in) { return {std::istreambuf_iterator<char>(in), {}}; }

std::optional<std::string> check(PubOptions& options) {
  if (auto mistake = complete(options)) return mistake;
  if (options.topics.size() != 1) return "one topic only";
  if (!topics::is_valid_name(options.topics[0]))
    return fmt::format("\"{}\" is not a topic name to publish to", options.topics[0]);
  const int sources = (options.message ? 1 : 0) + (options.file.empty() ? 0 : 1) + (options.empty ? 1 : 0) +
                      (options.lines ? 1 : 0) + (options.whole_input ? 1 : 0);
  if (sources != 1) return "say what to publish with one of -m MESSAGE, -f FILE, -n, -l and -s";
  return std::nullopt;
}

// Publishes one payload as soon as the window allows.
Result<void, client::ClientError> send(client::Client& client, const PubOptions& options,
                                       const PacketProperties& properties, std::string_view payload) {
  while (!client.may_publish())
    if (auto done = client.step(kStepMs); !done.has_value()) return done;
  wire::Publish publish;
  publish.topic = options.topics[0];
  publish.payload = payload;
  publish.qos = static_cast<wire::Qos>(options.qos);
  publish.retain = options.retain;
  publish.properties = properties.message;
  publish.topic_alias = properties.topic_alias;
  client.publish(publish);
  return client.step(0);
}

// Publishes each line of standard input as it comes. However long that takes, the connection is kept alive.
Result<void, client::ClientError> send_lines(client::Client& client, const PubOptions& options,
                                             const PacketProperties& properties) {
  std::string text;  // of a line whose end has not come yet
  std::array<char, 65536> block;
  for (;;) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) <= 0) {
      if (auto done = client.step(kStepMs, STDIN_FILENO); !done.has_value()) return done;
      continue;
    }
    const ssize_t bytes = read(STDIN_FILENO, block.data(), block.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    std::string_view rest(block.data(), static_cast<std::size_t>(bytes));
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      text += rest.substr(0, end);
      rest.remove_prefix(end + 1);
      if (auto sent = send(client, options, properties, text); !sent.has_value()) return sent;
      text.clear();
    }
    text += rest;
  }
  return text.empty() ? Result<void, client::ClientError>{} : send(client, options, properties, text);
}

// Between two repetitions the connection is kept alive, too.
Result<void, client::ClientError> wait_for_turn(client::Client& client, double delay_s) {
  using Clock = std::chrono::steady_clock;
  const auto due = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(delay_s));
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    if (left <= 0) return {};
    if (auto done = client.step(static_cast<int>(std::min<long long>(left, kStepMs))); !done.has_value()) return done;
  }
}

Result<void, client::ClientError> send_all(client::Client& client, const PubOptions& options,
                                           std::string_view payload) {
  PacketProperties properties;
  read_properties(options, "publish", properties);
  if (options.lines) {
    if (auto sent = send_lines(client, options, properties); !sent.has_value()) return sent;
  } else {
    for (int i = 0; i < options.repeat; ++i) {
      if (i > 0 && options.repeat_delay_s > 0)
        if (auto waited = wait_for_turn(client, options.repeat_delay_s); !waited.has_value()) return waited;
      if (auto sent = send(client, options, properties, payload); !sent.has_value()) return sent;
    }
  }
  while (!client.idle())
    if (auto done = client.step(kStepMs); !done.has_value()) return done;
  return {};
}

// The payload of -m, -s and -f; nothing if it cannot be read.
std::optional<std::string> read_payload(const PubOptions& options) {
  if (options.whole_input) return read_all(std::cin);
  if (options.file.empty()) return options.message.value_or("");
  std::ifstream file(options.file, std::ios::binary);
  std::string payload = read_all(file);
  if (!file.is_open() || file.bad()) return std::nullopt;
  return payload;
}

}  // namespace

int pub(const std::vector<std::string>& given) {
  PubOptions options;
  CLI::App app("Publish messages to a topic", "petrel pub");
  add_client_options(app, options);
  app.add_option("-m,--message", options.message, "Payload");
  app.add_option("-f,--file", options.file, "Payload: the contents of a file");
  app.add_flag("-n,--null-message", options.empty, "Payload: nothing");
  app.add_flag("-l,--stdin-line", options.lines, "A message for each line of standard input");
  app.add_flag("-s,--stdin-file", options.whole_input, "Payload: all of standard input");
  app.add_flag("-r,--retain", options.retain, "Retain the message");
  app.add_option("--repeat", options.repeat, "How often to publish it")->check(CLI::PositiveNumber);
  app.add_option("--repeat-delay", options.repeat_delay_s, "Seconds between repetitions")
      ->check(CLI::NonNegativeNumber);
  app.footer(
      "-D, --property PACKET NAME VALUE sets a 5.0 property; PACKET is connect, publish or will.\n"
      "Example: petrel pub -t home/lamp -m on -q 1\n"
      "Exit codes: 0 published (and acknowledged for QoS 1 and 2), 1 wrong flags, 2 no connection or refused, 3 "
      "connection lost.");
  if (const auto code = parse(app, given, options)) return *code;
  if (const auto mistake = check(options)) return fail(options, kUsage, *mistake);
  const std::optional<std::string> payload = read_payload(options);
  if (!payload) return fail(options, kUsage, fmt::format("cannot read {}", options.file));

  ConnectPacket connect;
  make_connect(options, connect);
  client::Client client;
  show_packets(options, client);
  wire::ReasonCode refused = wire::ReasonCode::kSuccess;
  client.on_published = [&](wire::ReasonCode reason) {
    if (wire::is_error(reason)) refused = reason;
  };
  if (const auto connected = client.connect(options.host, options.port, connect.connect, kTimeoutMs);
      !connected.has_value())
    return fail(options, kRefused, connected.error().what);
  if (const auto sent = send_all(client, options, *payload); !sent.has_value())
    return fail(options, kLost, sent.error().what);
  client.disconnect({});
  if (refused != wire::ReasonCode::kSuccess)
    return fail(options, kRefused, fmt::format("refused: {}", wire::name(refused)));
  return kOk;
}

}  // namespace petrel::cli
