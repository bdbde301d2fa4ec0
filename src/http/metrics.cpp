#include "http/metrics.h"

#include <fmt/format.h>

#include "broker/shared_state.h"

namespace petrel::http {

namespace {

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    out_ += fmt::format("# HELP petrel_{0} {1}\n# TYPE petrel_{0} {2}\n", name, help, type);
  }
  void value(std::string_view name, std::uint64_t value) { out_ += fmt::format("petrel_{} {}\n", name, value); }
  void value(std::string_view name, std::string_view label, std::string_view is, std::uint64_t value) {
    out_ += fmt::format("petrel_{}{{{}=\"{}\"}} {}\n", name, label, escaped(is), value);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t count) {
    family(name, "counter", help);
    value(name, count);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t count) {
    family(name, "gauge", help);
    value(name, count);
  }
  // In seconds, whatever it was counted in.
  void histogram(std::string_view name, std::string_view help, std::string_view label,
                 std::span<const Histogram::Values> each) {
    family(name, "histogram", help);
    for (std::size_t i = 0; i < each.size(); ++i) {
      const std::string of = label.empty() ? std::string() : fmt::format("{}=\"{}\"", label, i);
      const std::string_view comma = label.empty() ? "" : ",";
      std::uint64_t below = 0;
      for (std::size_t k = 0; k < Histogram::kBoundsUs.size(); ++k) {
        below += each[i].counts[k];
        out_ += fmt::format("petrel_{}_bucket{{{}{}le=\"{}\"}} {}\n", name, of, comma, seconds(Histogram::kBoundsUs[k]),
                            below);
      }
      below += each[i].counts.back();
      out_ += fmt::format("petrel_{0}_bucket{{{1}{2}le=\"+Inf\"}} {3}\n", name, of, comma, below);
      const std::string labels = of.empty() ? std::string() : fmt::format("{{{}}}", of);
      out_ +=
          fmt::format("petrel_{0}_sum{1} {2}\npetrel_{0}_count{1} {3}\n", name, labels, seconds(each[i].sum_us), below);
    }
  }
  std::string take() { return std::move(out_); }

 private:
  static double seconds(std::uint64_t us) { return static_cast<double>(us) / 1e6; }
  static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n') {
        out += "\\n";
      } else {
        out += c;
      }
    }
    return out;
  }
  std::string out_;
};

void add_listeners(Text& text, std::span<const ListenerCounts> listeners) {
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto member) {
    text.family(name, type, help);
    for (const ListenerCounts& listener : listeners) text.value(name, "listener", listener.name, listener.*member);
  };
  each("listener_connections", "gauge", "Connections open now.", &ListenerCounts::connections);
  each("listener_handshakes", "gauge", "TLS handshakes under way now.", &ListenerCounts::handshakes);
  each("listener_accepted_total", "counter", "Connections accepted.", &ListenerCounts::accepted);
  each("listener_refused_total", "counter", "Connections closed at once because of a limit.", &ListenerCounts::refused);
  each("listener_received_bytes_total", "counter", "Bytes of MQTT from its clients, without the layers below.",
       &ListenerCounts::bytes_received);
  each("listener_sent_bytes_total", "counter", "Bytes of MQTT to its clients.", &ListenerCounts::bytes_sent);
  each("listener_messages_received_total", "counter", "PUBLISH packets from its clients.",
       &ListenerCounts::messages_received);
  each("listener_messages_sent_total", "counter", "PUBLISH packets to its clients.", &ListenerCounts::messages_sent);
  each("listener_compressing_connections", "gauge", "Connections that have agreed on compression.",
       &ListenerCounts::compressing);
  each("listener_compression_memory_bytes", "gauge", "Memory of zlib.", &ListenerCounts::compression_bytes);
  each("listener_inflate_wire_bytes_total", "counter", "Compressed messages from its clients, as they came.",
       &ListenerCounts::inflated_from);
  each("listener_inflate_plain_bytes_total", "counter", "The same, inflated.", &ListenerCounts::inflated_to);
  each("listener_deflate_plain_bytes_total", "counter", "What was compressed for its clients.",
       &ListenerCounts::deflated_from);
  each("listener_deflate_wire_bytes_total", "counter", "The same, compressed.", &ListenerCounts::deflated_to);
}

}  // namespace

Drops drops(const broker::SharedState& shared) {
  Drops sum;
  for (const broker::Counters& counters : shared.counters) {
    sum.slow_consumer += counters.dropped_slow_consumer.value();
    sum.queue_full += counters.dropped_queue_full.value();
    sum.expired += counters.dropped_expired.value();
    sum.too_large += counters.dropped_too_large.value();
    sum.refused += counters.publish_refused.value();
  }
  return sum;
}

std::string metrics_text(const broker::SysTotals& totals, const Drops& drops, std::span<const ListenerCounts> listeners,
                         const Timings& timings, std::string_view version, TimeMs uptime_ms) {
  Text text;
  text.family("info", "gauge", "The program.");
  text.value("info", "version", version, 1);
  text.gauge("uptime_seconds", "Time since the start.", static_cast<std::uint64_t>(uptime_ms / 1000));
  text.gauge("clients_connected", "Clients connected now.", totals.clients_connected);
  text.gauge("sessions", "Sessions, their clients connected or not.", totals.clients_total);
  text.counter("connects_total", "CONNECT packets.", totals.connects);
  text.counter("sockets_total", "Network connections, with or without a CONNECT.", totals.sockets);
  text.counter("sessions_expired_total", "Sessions whose time was over.", totals.clients_expired);
  text.gauge("subscriptions", "Subscriptions.", totals.subscriptions);
  text.gauge("shared_subscriptions", "Shared subscriptions among them.", totals.shared_subscriptions);
  text.gauge("retained_messages", "Retained messages.", totals.retained);
  text.gauge("stored_messages", "Messages in memory: queued, retained or in flight.", totals.stored_messages);
  text.gauge("stored_bytes", "Their bytes.", totals.stored_bytes);
  text.gauge("memory_bytes", "What limits.max_memory_bytes bounds.", totals.heap_bytes);
  text.counter("packets_received_total", "Packets of every type from clients.", totals.messages_received);
  text.counter("packets_sent_total", "Packets of every type to clients.", totals.messages_sent);
  text.counter("publish_received_total", "PUBLISH packets from clients.", totals.publish_received);
  text.counter("publish_sent_total", "PUBLISH packets to clients.", totals.publish_sent);
  text.counter("payload_received_bytes_total", "Payload of PUBLISH from clients.", totals.publish_bytes_received);
  text.counter("payload_sent_bytes_total", "Payload of PUBLISH to clients.", totals.publish_bytes_sent);
  text.counter("received_bytes_total", "Bytes of packets from clients.", totals.bytes_received);
  text.counter("sent_bytes_total", "Bytes of packets to clients.", totals.bytes_sent);
  text.family("dropped_total", "counter", "Messages dropped, by reason.");
  text.value("dropped_total", "reason", "slow_reader", drops.slow_consumer);
  text.value("dropped_total", "reason", "queue_full", drops.queue_full);
  text.value("dropped_total", "reason", "expired", drops.expired);
  text.value("dropped_total", "reason", "outstayed", totals.dropped_outstayed);
  text.value("dropped_total", "reason", "too_large", drops.too_large);
  text.value("dropped_total", "reason", "refused", drops.refused);
  text.family("limit_reached_total", "counter", "How often each limit was reached.");
  for (std::size_t i = 0; i < totals.limits.size(); ++i)
    text.value("limit_reached_total", "limit", broker::name(static_cast<broker::Limit>(i)), totals.limits[i]);
  text.gauge("backlog_messages", "Messages waiting in the store, counted for each session.", totals.backlog_messages);
  text.gauge("backlog_bytes", "Their bytes.", totals.backlog_bytes);
  text.gauge("store_writable", "1 while the store takes changes, 0 while it fails.", totals.store_writable);
  for (const storage::StoreMetric& metric : totals.store) {
    const std::string help = fmt::format("$SYS/broker/store/{} (docs/sys-topics.md).", metric.name);
    if (metric.grows) {
      text.counter(fmt::format("store_{}_total", metric.name), help, metric.value);
    } else {
      text.gauge(fmt::format("store_{}", metric.name), help, metric.value);
    }
  }
  text.histogram("loop_turn_seconds", "How long a thread served others before it looked for what had arrived.",
                 "thread", timings.turns);
  text.histogram("store_commit_seconds", "Group commits of the store.", "", {&timings.commits, 1});
  add_listeners(text, listeners);
  return text.take();
}

}  // namespace petrel::http
