// petrel sub: prints the messages of its subscriptions.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>

#include "cli/client_command.h"
#include "cli/message_format.h"
#include "cli/pub_sub.h"
#include "topics/topic.h"

namespace petrel::cli {

namespace {

constexpr int kTimeoutMs = 10'000;
volatile std::sig_atomic_t interrupted = 0;

struct SubOptions : ClientOptions {
  std::vector<std::string> unsubscribe, filter_out;
  std::string format;
  long count = 0;
  int wait_s = 0;
  bool verbose = false, no_newline = false, no_retained = false, retained_only = false, exit_after_subscribing = false;
};

std::optional<std::string> check(SubOptions& options) {
  if (auto mistake = complete(options)) return mistake;
  for (const auto* list : {&options.topics, &options.unsubscribe, &options.filter_out})
    for (const std::string& filter : *list)
      if (!topics::is_valid_filter(filter)) return fmt::format("\"{}\" is not a topic filter", filter);
  return std::nullopt;
}

void print(const SubOptions& options, const wire::Publish& publish) {
  std::string text;
  if (!options.format.empty()) {
    auto formatted = format_message(options.format, publish, Arrival::now());
    if (!formatted.has_value()) {
      fail(options, 0,
           fmt::format("the payload of a message on topic \"{}\" is not JSON: %j shows any", publish.topic));
      return;
    }
    text = std::move(*formatted);
  } else {
    if (options.verbose) text.append(publish.topic).append(" ");
    text += publish.payload;
  }
  if (!options.no_newline) text += '\n';
  std::fwrite(text.data(), 1, text.size(), stdout);
}

wire::Subscribe make_subscribe(const SubOptions& options, const PacketProperties& properties) {
  wire::Subscribe subscribe;
  subscribe.subscription_identifier = properties.subscription_identifier;
  subscribe.user_properties = properties.user_properties;
  for (const std::string& topic : options.topics) {
    wire::Subscription subscription;
    subscription.filter = topic;
    subscription.options.maximum_qos = static_cast<wire::Qos>(options.qos);
    subscribe.subscriptions.push_back(subscription);
  }
  return subscribe;
}

// Runs until enough has come, time is up, a signal comes or the connection ends.
int run(client::Client& client, const SubOptions& options, const wire::Connect& connect) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(options.wait_s);
  long printed = 0;
  std::size_t answered = 0, refused = 0;
  bool live = false;  // a message that is not retained has come
  const auto enough = [&] { return live || (options.count > 0 && printed >= options.count); };
  client.on_message = [&](const wire::Publish& publish) {
    // The retained ones come first: there are no more.
    if (options.retained_only && !publish.retain) live = true;
    if (enough()) return client.stop();
    if (options.no_retained && publish.retain) return;
    for (const std::string& filter : options.filter_out)
      if (topics::matches(filter, publish.topic)) return;
    print(options, publish);
    ++printed;
    // The next ones are for whoever comes next: acknowledged unprinted they would be lost.
    if (enough()) client.stop();
  };
  client.on_subscribed = [&](wire::ReasonCode reason) {
    ++answered;
    if (!wire::is_error(reason)) return;
    ++refused;
    fail(options, kRefused, fmt::format("subscription refused: {}", wire::name(reason)));
  };
  // Messages of an earlier session may come right behind CONNACK: the callbacks are in place.
  const bool hurried = options.wait_s > 0 && options.wait_s < kTimeoutMs / 1000;
  const int timeout_ms = hurried ? options.wait_s * 1000 : kTimeoutMs;
  if (const auto connected = client.connect(options.host, options.port, connect, timeout_ms); !connected.has_value())
    return fail(options, hurried && Clock::now() >= deadline ? kTimedOut : kRefused, connected.error().what);
  PacketProperties properties;
  read_properties(options, "subscribe", properties);
  client.subscribe(make_subscribe(options, properties));
  if (!options.unsubscribe.empty()) {
    wire::Unsubscribe unsubscribe;
    for (const std::string& filter : options.unsubscribe) unsubscribe.filters.push_back(filter);
    client.unsubscribe(std::move(unsubscribe));
  }
  int code = kOk;
  while (interrupted == 0 && !enough()) {
    if (answered >= options.topics.size() && refused == options.topics.size()) {
      code = kRefused;
      break;
    }
    if (options.exit_after_subscribing && answered >= options.topics.size()) break;
    int wait_ms = 1000;
    if (options.wait_s > 0) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) {
        code = kTimedOut;
        break;
      }
      wait_ms = static_cast<int>(std::min<long long>(left + 1, wait_ms));
    }
    if (const auto done = client.step(wait_ms); !done.has_value()) {
      std::fflush(stdout);
      return fail(options, kLost, done.error().what);
    }
    std::fflush(stdout);
  }
  wire::Disconnect disconnect;
  PacketProperties at_end;
  read_properties(options, "disconnect", at_end);
  disconnect.session_expiry_interval_s = at_end.session_expiry_interval_s;
  client.disconnect(disconnect);
  return code;
}

}  // namespace

int sub(const std::vector<std::string>& given) {
  SubOptions options;
  CLI::App app("Subscribe to topics and print the messages", "petrel sub");
  add_client_options(app, options);
  app.add_option("-C", options.count, "Exit after so many messages")->check(CLI::PositiveNumber);
  app.add_option("-W", options.wait_s, "Exit with code 27 after so many seconds")->check(CLI::PositiveNumber);
  app.add_option("-F", options.format,
                 "What to print of a message: %t topic, %p payload, %q QoS, %r retain, %l length, %x hex ...");
  app.add_option("-U,--unsubscribe", options.unsubscribe, "Topic filter to unsubscribe from")->take_all();
  app.add_option("-T,--filter-out", options.filter_out, "Do not print messages of these topics")->take_all();
  app.add_flag("-v,--verbose", options.verbose, "Print the topic before the payload");
  app.add_flag("-N", options.no_newline, "No line end behind a message");
  app.add_flag("-R", options.no_retained, "Do not print retained messages");
  app.add_flag("--retained-only", options.retained_only,
               "Print retained messages only, and exit at the first other one");
  app.add_flag("-E", options.exit_after_subscribing, "Exit once the subscriptions are acknowledged");
  app.footer(
      "-D, --property PACKET NAME VALUE sets a 5.0 property; PACKET is connect, subscribe, will or disconnect.\n"
      "Example: petrel sub -t 'home/#' -v -q 1\n"
      "Exit codes: 0 ended as asked, 1 wrong flags, 2 no connection or refused, 3 connection lost, 27 time is up "
      "(-W).");
  if (const auto code = parse(app, given, options)) return *code;
  if (const auto mistake = check(options)) return fail(options, kUsage, *mistake);

  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  ConnectPacket connect;
  make_connect(options, connect);
  client::Client client;
  show_packets(options, client);
  return run(client, options, connect.connect);
}

}  // namespace petrel::cli
