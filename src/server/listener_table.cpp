// The keys under [[listener]].
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "server/config_table.h"

namespace petrel::server {

namespace {

using Doors = ListenerKey::Doors;

constexpr std::array<std::string_view, 3> kVersions{"3.1", "3.1.1", "5.0"};
constexpr std::array<std::string_view, 3> kClientCertificates{"none", "optional", "required"};
constexpr std::array<std::string_view, 3> kIdentities{"cn", "san", "subject"};
constexpr std::array<std::string_view, 2> kTlsVersions{"1.2", "1.3"};
constexpr std::array<std::string_view, 2> kForwardedHeaders{"x-forwarded-for", "forwarded"};
constexpr std::int64_t kMaxCount = 1'000'000'000;
constexpr std::int64_t kMaxDeadLinkS = 86'400;
constexpr std::int64_t kMaxUnsentBytes = 1 << 30;

constexpr ListenerKey text(std::string_view name, Doors doors, std::string ListenerConfig::*member,
                           std::string_view description, std::span<const std::string_view> choices = {}) {
  ListenerKey key{name, doors, description};
  key.text = member;
  key.choices = choices;
  return key;
}

constexpr ListenerKey texts(std::string_view name, Doors doors, std::vector<std::string> ListenerConfig::*member,
                            std::string_view description, std::span<const std::string_view> choices = {}) {
  ListenerKey key{name, doors, description};
  key.texts = member;
  key.choices = choices;
  return key;
}

constexpr ListenerKey integer(std::string_view name, Doors doors, std::int64_t ListenerConfig::*member,
                              std::int64_t min, std::int64_t max, std::string_view description) {
  ListenerKey key{name, doors, description};
  key.integer = member;
  key.min = min;
  key.max = max;
  return key;
}

// The description says what is different; the rest stands under [limits].
constexpr ListenerKey limit(std::string_view name, std::optional<std::int64_t> ListenerConfig::*member,
                            std::int64_t min, std::int64_t max, std::string_view description) {
  ListenerKey key{name, Doors::kAll, description};
  key.limit = member;
  key.min = min;
  key.max = max;
  return key;
}

constexpr ListenerKey flag(std::string_view name, Doors doors, std::optional<bool> ListenerConfig::*member,
                           std::string_view description) {
  ListenerKey key{name, doors, description};
  key.flag = member;
  return key;
}

constexpr ListenerKey kKeys[] = {
    text("address", Doors::kAll, &ListenerConfig::address,
         "Must be given. SCHEME://HOST:PORT with tcp, tls, ws, wss, http or https; an IPv6 address stands in brackets. "
         "Or unix:///PATH."),
    flag("allow_anonymous", Doors::kAll, &ListenerConfig::allow_anonymous,
         "Whether clients may connect without authentication. Unset: yes on loopback addresses and Unix sockets; "
         "other addresses must say, unless clients prove who they are by a certificate or a pre-shared key."),
    integer("max_connections", Doors::kAll, &ListenerConfig::max_connections, 0, kMaxCount,
            "Connections through this listener; further ones are closed at once. 0: unlimited."),
    texts("versions", Doors::kAll, &ListenerConfig::versions,
          "The versions of MQTT that are spoken; others get return code 1 or reason code 0x84. Empty: all.", kVersions),
    integer("max_qos", Doors::kAll, &ListenerConfig::max_qos, 0, 2,
            "Highest QoS. Subscriptions are granted no more, MQTT 5 clients are told in CONNACK, and who publishes "
            "above it is disconnected."),
    text(
        "mount_point", Doors::kAll, &ListenerConfig::mount_point,
        "What stands in front of every topic of these clients, for example tenant-a/; they do not see it and reach "
        "nothing else. Their client identifiers and sessions are apart from those of other mount points. Empty: none."),
    limit("max_connect_bytes", &ListenerConfig::max_connect_bytes, 256, kMaxPacketBytes,
          "Largest CONNECT packet. Unset: limits.max_connect_bytes."),
    limit("max_packet_bytes", &ListenerConfig::max_packet_bytes, 1024, kMaxPacketBytes,
          "Largest packet accepted from a client, its header included. Unset: limits.max_packet_bytes."),
    limit("max_inflight_messages", &ListenerConfig::max_inflight_messages, 1, kMax16,
          "QoS 1 and 2 messages sent to a client and not yet acknowledged. Unset: limits.max_inflight_messages."),
    limit(
        "receive_maximum", &ListenerConfig::receive_maximum, 1, kMax16,
        "QoS 1 and 2 messages an MQTT 5 client may send before they are acknowledged. Unset: limits.receive_maximum."),
    limit("topic_alias_maximum", &ListenerConfig::topic_alias_maximum, 0, kMax16,
          "Topic aliases a client may use toward the broker. 0: none. Unset: limits.topic_alias_maximum."),
    limit("topic_alias_maximum_out", &ListenerConfig::topic_alias_maximum_out, 0, kMax16,
          "Topic aliases the broker uses toward a client. 0: none. Unset: limits.topic_alias_maximum_out."),
    limit("connect_timeout_s", &ListenerConfig::connect_timeout_s, 1, kMaxSeconds,
          "Seconds within which a new connection must have sent its CONNECT. Unset: limits.connect_timeout_s."),
    limit("keep_alive_max_s", &ListenerConfig::keep_alive_max_s, 0, kMax16,
          "Longest keep alive, in seconds; MQTT 5 clients that ask for more are told to use it. 0: as the client "
          "wishes. Unset: limits.keep_alive_max_s."),
    flag("proxy_protocol", Doors::kAll, &ListenerConfig::proxy_protocol,
         "Whether connections come from proxies, each with a header of the PROXY protocol (version 1 or 2) that tells "
         "whose it is. Others are closed. Unset: no."),
    texts("trusted", Doors::kAll, &ListenerConfig::trusted,
          "The proxies that are believed: ranges of addresses such as 10.0.0.0/8 or 2001:db8::/32, or unix. With "
          "proxy_protocol nobody else may connect; over WebSocket and HTTP their forwarded_header tells the client's "
          "address."),
    text("forwarded_header", Doors::kWeb, &ListenerConfig::forwarded_header,
         "The header by which the proxies in trusted tell the client's address. They must set or append to it.",
         kForwardedHeaders),
    integer(
        "dead_link_min_s", Doors::kTcp, &ListenerConfig::dead_link_min_s, 1, kMaxDeadLinkS,
        "A link counts as dead when what was sent has lain unacknowledged, or the client has taken nothing, for one "
        "and a half keep alives (TCP_USER_TIMEOUT), but never sooner than this."),
    integer("dead_link_max_s", Doors::kTcp, &ListenerConfig::dead_link_max_s, 0, kMaxDeadLinkS,
            "Nor later than this, which also is for clients without a keep alive; those are probed when they have been "
            "silent for half of it. 0: as the system has it, after about a quarter of an hour, and no probes."),
    flag("quick_resend", Doors::kTcp, &ListenerConfig::quick_resend,
         "Whether a connection with little under way sends again at a steady pace what got lost several times, rather "
         "than ever more slowly (TCP_THIN_LINEAR_TIMEOUTS). Unset: no."),
    integer("max_unsent_bytes", Doors::kTcp, &ListenerConfig::max_unsent_bytes, 0, kMaxUnsentBytes,
            "Bytes of a connection that the system takes beyond those on their way (TCP_NOTSENT_LOWAT); the rest waits "
            "in the broker, where limits count it. 0: as many as the system likes."),
    text("congestion_control", Doors::kTcp, &ListenerConfig::congestion_control,
         "How TCP finds the pace, for example bbr, which takes less notice of lost packets. One that the system does "
         "not have is a mistake. Empty: the system's."),
    integer("fast_open", Doors::kTcp, &ListenerConfig::fast_open, 0, 65535,
            "Connections under way that may send data with their first packet (TCP Fast Open). Such data may arrive "
            "twice. 0: none."),
    texts("certificate", Doors::kTls, &ListenerConfig::certificates,
          "PEM files: a certificate, then those that lead to its CA. With several, the name a client asks for (SNI) "
          "chooses; the first is for all others."),
    texts("key", Doors::kTls, &ListenerConfig::keys, "PEM files: the private key of each certificate, not encrypted."),
    texts("ocsp", Doors::kTls, &ListenerConfig::ocsp_files,
          "DER files: for each certificate its CA's word that it is not revoked, to be stapled."),
    text("client_certificates", Doors::kTls, &ListenerConfig::client_certificates,
         "Whether clients show a certificate. With proxy_protocol on a listener without TLS: whether the common name "
         "of the certificate that the proxy has verified is believed, or needed.",
         kClientCertificates),
    text("ca_file", Doors::kTls, &ListenerConfig::ca_file, "PEM file: the CAs that sign clients' certificates."),
    text("ca_folder", Doors::kTls, &ListenerConfig::ca_folder,
         "Folder: the same from all *.pem, *.crt and *.cer in it."),
    text("crl_file", Doors::kTls, &ListenerConfig::crl_file,
         "PEM file: the revoked certificates of every CA that signs clients' certificates. Those of the CAs above "
         "count, too, where they are there."),
    text("identity", Doors::kTls, &ListenerConfig::identity,
         "What of a client's certificate names the client: common name, first alternative name, or whole subject. A "
         "pre-shared key names by its identity.",
         kIdentities),
    text("psk_file", Doors::kTls, &ListenerConfig::psk_file,
         "Pre-shared keys, lines of IDENTITY:HEXKEY as Mosquitto has them. A client with one needs no certificate."),
    text("psk_hint", Doors::kTls, &ListenerConfig::psk_hint, "What TLS 1.2 clients are told to choose their key by."),
    text("min_tls", Doors::kTls, &ListenerConfig::min_tls, "Lowest version of TLS.", kTlsVersions),
    text("max_tls", Doors::kTls, &ListenerConfig::max_tls, "Highest version of TLS.", kTlsVersions),
    text("ciphers", Doors::kTls, &ListenerConfig::ciphers,
         "Ciphers of TLS 1.2, as OpenSSL names them. Empty: those with authenticated encryption and forward secrecy."),
    text("cipher_suites", Doors::kTls, &ListenerConfig::cipher_suites, "Cipher suites of TLS 1.3. Empty: all."),
    text("groups", Doors::kTls, &ListenerConfig::groups, "Groups of the key exchange. Empty: OpenSSL's."),
    texts("alpn", Doors::kTls, &ListenerConfig::alpn,
          "Application protocols (ALPN). A client that offers others only is refused, one that offers none is not. "
          "Empty: mqtt; for wss and https http/1.1."),
    flag("tickets", Doors::kTls, &ListenerConfig::tickets,
         "Whether clients get session tickets, with which a reconnect costs no signature. Unset: yes."),
    integer("max_handshakes", Doors::kTls, &ListenerConfig::max_handshakes, 0, kMaxCount,
            "TLS handshakes under way at once; further connections are closed at once. 0: unlimited."),
    flag("watch", Doors::kTls, &ListenerConfig::watch,
         "Whether files are read again when they change, as at SIGHUP. Unset: yes."),
    text("path", Doors::kWeb, &ListenerConfig::path, "Where MQTT over WebSocket is. Empty: at every path."),
    texts("origins", Doors::kWeb, &ListenerConfig::origins,
          "The pages whose scripts may connect, for example https://example.com, or * for all. Empty: on loopback "
          "addresses those of this machine (localhost, 127.0.0.1, [::1]), else all. Programs other than browsers are "
          "not held back by it. An http listener on a loopback address answers their hosts, beside this machine's."),
    flag("compression", Doors::kWeb, &ListenerConfig::compression,
         "Whether messages of 256 bytes and more are compressed where the client offers it (permessage-deflate): it "
         "helps those on a weak link, and costs computing time. Unset: yes."),
    flag("compression_context", Doors::kWeb, &ListenerConfig::compression_context,
         "Whether messages may refer to earlier ones of their connection: small ones shrink, too, and each connection "
         "that agrees holds up to 80 KiB. Unset: no, and a connection at rest holds nothing."),
    text("static", Doors::kHttp, &ListenerConfig::static_folder,
         "Folder whose files are served, index.html for a folder; names that begin with a dot and symbolic links are "
         "not. Empty: none."),
    flag("metrics", Doors::kHttp, &ListenerConfig::metrics,
         "Whether /metrics has the broker's counters for Prometheus. Unset: yes on loopback addresses."),
    flag("start_page", Doors::kHttp, &ListenerConfig::start_page,
         "Whether / has a page with live counters and a console to publish and subscribe. Unset: yes on loopback "
         "addresses."),
};

}  // namespace

std::span<const ListenerKey> listener_keys() { return kKeys; }

bool ListenerKey::is_default(const ListenerConfig& listener) const {
  const ListenerConfig defaults;
  if (text != nullptr) return listener.*text == defaults.*text;
  if (texts != nullptr) return listener.*texts == defaults.*texts;
  if (integer != nullptr) return listener.*integer == defaults.*integer;
  if (limit != nullptr) return listener.*limit == defaults.*limit;
  return listener.*flag == defaults.*flag;
}

std::string ListenerKey::value_text(const ListenerConfig& listener) const {
  if (text != nullptr) return toml_string(listener.*text);
  if (integer != nullptr) return std::to_string(listener.*integer);
  if (limit != nullptr) return listener.*limit ? std::to_string(*(listener.*limit)) : "unset";
  if (flag != nullptr) return !(listener.*flag) ? "unset" : *(listener.*flag) ? "true" : "false";
  std::vector<std::string> quoted;
  for (const std::string& value : listener.*texts) quoted.push_back(toml_string(value));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string ListenerKey::allowed_text() const {
  if (flag != nullptr) return "true or false";
  if (integer != nullptr || limit != nullptr) return fmt::format("an integer from {} to {}", min, max);
  const std::string_view form = texts != nullptr ? "a string or an array of strings" : "a string";
  if (choices.empty()) return std::string(form);
  const std::string choice = fmt::format("\"{}\"", fmt::join(choices, "\" or \""));
  return texts != nullptr ? fmt::format("an array of {}", choice) : choice;
}

bool ListenerKey::allows(std::string_view value) const {
  return choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end();
}

}  // namespace petrel::server
