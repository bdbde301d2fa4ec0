#include "server/listener_settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "broker/mount_point.h"
#include "server/config_table.h"

namespace petrel::server {

namespace {

using Doors = ListenerKey::Doors;

net::ClientCertificates client_certificates(const ListenerConfig& listener) {
  if (listener.client_certificates == "required") return net::ClientCertificates::kRequired;
  return listener.client_certificates == "optional" ? net::ClientCertificates::kOptional
                                                    : net::ClientCertificates::kNone;
}

net::TlsVersion tls_version(std::string_view text) {
  return text == "1.2" ? net::TlsVersion::k12 : net::TlsVersion::k13;
}

// A proxy that ends TLS tells about certificates in its header.
bool is_told_by_proxy(const ListenerKey& key, const ListenerConfig& listener) {
  return speaks_proxy(listener) && (key.name == "client_certificates" || key.name == "identity");
}

bool belongs(const ListenerKey& key, const net::Endpoint& endpoint) {
  switch (key.doors) {
    case Doors::kAll:
      return true;
    case Doors::kTcp:
      return !endpoint.address.is_unix();
    case Doors::kTls:
      return endpoint.is_tls();
    case Doors::kWeb:
      return endpoint.is_websocket() || endpoint.is_http();
    case Doors::kHttp:
      return endpoint.is_http();
  }
  return false;
}

std::string_view schemes_of(Doors doors) {
  if (doors == Doors::kTcp) return "all but unix";
  if (doors == Doors::kTls) return "tls, wss and https";
  return doors == Doors::kHttp ? "http and https" : "ws, wss, http and https";
}

// Whether only this machine's programs come in. Behind a proxy there may be anybody.
bool is_local(const ListenerConfig& listener, const net::Endpoint& endpoint) {
  return endpoint.address.is_loopback() && listener.trusted.empty();
}

// Whether there are clients that prove who they are.
bool identifies(const ListenerConfig& listener) {
  return listener.client_certificates != "none" || !listener.psk_file.empty();
}

// Precondition: the value is within its key's range.
template <class Number>
void take(std::optional<Number>& to, std::optional<std::int64_t> from, std::int64_t scale = 1) {
  if (from) to = static_cast<Number>(*from * scale);
}

broker::ListenerLimits listener_limits(const ListenerConfig& listener) {
  broker::ListenerLimits limits;
  take(limits.max_connect_bytes, listener.max_connect_bytes);
  take(limits.max_packet_bytes, listener.max_packet_bytes);
  take(limits.max_inflight_messages, listener.max_inflight_messages);
  take(limits.receive_maximum, listener.receive_maximum);
  take(limits.topic_alias_maximum, listener.topic_alias_maximum);
  take(limits.topic_alias_maximum_out, listener.topic_alias_maximum_out);
  take(limits.connect_timeout_ms, listener.connect_timeout_s, 1000);
  take(limits.keep_alive_max_s, listener.keep_alive_max_s);
  return limits;
}

template <class Mistake>
void proxy_mistakes(const ListenerConfig& listener, const net::Endpoint& endpoint, const Mistake& mistake) {
  const bool is_web = endpoint.is_websocket() || endpoint.is_http();
  if (const auto ranges = net::AddressRanges::parse(listener.trusted); !ranges.has_value())
    mistake("trusted", ranges.error().what);
  if (speaks_proxy(listener) && listener.trusted.empty())
    mistake("proxy_protocol",
            "proxy_protocol needs trusted; write the proxies' addresses, for example trusted = [\"10.0.0.0/8\"]");
  if (!listener.trusted.empty() && !speaks_proxy(listener) && !is_web)
    mistake("trusted", "trusted has no meaning there without proxy_protocol = true");
  if (speaks_proxy(listener) && !endpoint.is_tls() && listener.identity != "cn")
    mistake("identity", "a proxy tells the common name alone; write identity = \"cn\"");
}

// What this machine is called: by the system, whole and without its domain, and by the address that is listened on.
std::vector<std::string> own_names(const ListenerConfig& listener) {
  std::array<char, 256> name{};
  std::vector<std::string> names;
  if (gethostname(name.data(), name.size() - 1) == 0 && name.front() != '\0') {
    names.emplace_back(name.data());
    names.push_back(names.front().substr(0, names.front().find('.')));
  }
  const std::size_t scheme = listener.address.find("://");
  if (scheme != std::string::npos)
    names.emplace_back(net::host_of(std::string_view(listener.address).substr(scheme + 3)));
  return names;
}

// What would be taken without a word and do nothing.
template <class Mistake>
void silent_mistakes(const ListenerConfig& listener, const net::Endpoint& endpoint, const Mistake& mistake) {
  const bool has_authorities = !listener.ca_file.empty() || !listener.ca_folder.empty() || !listener.crl_file.empty();
  if (endpoint.is_tls() && has_authorities && listener.client_certificates == "none")
    mistake(
        !listener.ca_file.empty()     ? "ca_file"
        : !listener.ca_folder.empty() ? "ca_folder"
                                      : "crl_file",
        "nobody is asked for a certificate, so CAs and CRLs have no meaning; write client_certificates = \"required\" "
        "or \"optional\"");
  for (const std::string& origin : listener.origins)
    if (origin != "*" && origin != "null" && origin.find("://") == std::string::npos)
      mistake("origins",
              fmt::format("\"{}\" is no origin; browsers send the scheme, too: write \"https://{}\"", origin, origin));
}

std::string_view key_of(net::TlsSetting setting, const ListenerConfig& listener) {
  using enum net::TlsSetting;
  switch (setting) {
    case kCertificate:
      return "certificate";
    case kKey:
      return "key";
    case kOcsp:
      return "ocsp";
    case kClientCertificates:
      return "client_certificates";
    case kCaFile:
      return "ca_file";
    case kCaFolder:
      return "ca_folder";
    case kCrlFile:
      return "crl_file";
    case kPskFile:
      return "psk_file";
    case kPskHint:
      return "psk_hint";
    case kVersions:
      return listener.places.contains("min_tls") ? "min_tls" : "max_tls";
    case kCiphers:
      return "ciphers";
    case kCipherSuites:
      return "cipher_suites";
    case kGroups:
      return "groups";
    case kAlpn:
      return "alpn";
  }
  return "address";
}

}  // namespace

net::TlsSettings tls_settings(const ListenerConfig& listener, const net::Endpoint& endpoint) {
  net::TlsSettings settings;
  for (std::size_t i = 0; i < listener.certificates.size(); ++i) {
    const auto nth = [i](const std::vector<std::string>& files) { return i < files.size() ? files[i] : std::string(); };
    settings.certificates.push_back({listener.certificates[i], nth(listener.keys), nth(listener.ocsp_files)});
  }
  settings.client_certificates = client_certificates(listener);
  settings.ca_file = listener.ca_file;
  settings.ca_folder = listener.ca_folder;
  settings.crl_file = listener.crl_file;
  settings.psk_file = listener.psk_file;
  settings.psk_hint = listener.psk_hint;
  settings.min_version = tls_version(listener.min_tls);
  settings.max_version = tls_version(listener.max_tls);
  settings.ciphers = listener.ciphers;
  settings.cipher_suites = listener.cipher_suites;
  settings.groups = listener.groups;
  settings.alpn = listener.alpn;
  if (settings.alpn.empty()) settings.alpn = {endpoint.scheme == net::Scheme::kTls ? "mqtt" : "http/1.1"};
  return settings;
}

bool speaks_proxy(const ListenerConfig& listener) { return listener.proxy_protocol.value_or(false); }

net::AddressRanges trusted_ranges(const ListenerConfig& listener) {
  auto ranges = net::AddressRanges::parse(listener.trusted);
  return ranges.has_value() ? std::move(*ranges) : net::AddressRanges();
}

std::vector<std::string> listener_files(const ListenerConfig& listener) {
  std::vector<std::string> files;
  for (const auto* of_kind : {&listener.certificates, &listener.keys, &listener.ocsp_files})
    files.insert(files.end(), of_kind->begin(), of_kind->end());
  files.insert(files.end(), {listener.ca_file, listener.ca_folder, listener.crl_file, listener.psk_file});
  std::erase(files, "");
  return files;
}

net::WebSocketSettings websocket_settings(const ListenerConfig& listener, const net::Endpoint& endpoint) {
  net::WebSocketSettings settings;
  settings.trusted = trusted_ranges(listener);
  settings.forwarded_header = listener.forwarded_header == net::name_of(net::ForwardedHeader::kForwarded)
                                  ? net::ForwardedHeader::kForwarded
                                  : net::ForwardedHeader::kXForwardedFor;
  settings.path = listener.path;
  settings.origins = listener.origins;
  settings.local_pages_only = is_local(listener, endpoint);
  if (listener.compression.value_or(true))
    settings.compression = std::make_shared<net::CompressionPool>(listener.compression_context.value_or(false));
  return settings;
}

net::TcpSettings tcp_settings(const ListenerConfig& listener) {
  net::TcpSettings settings;
  settings.congestion_control = listener.congestion_control;
  settings.max_unsent_bytes = static_cast<std::uint32_t>(listener.max_unsent_bytes);
  settings.fast_open_queue = static_cast<std::uint32_t>(listener.fast_open);
  settings.quick_resend = listener.quick_resend.value_or(false);
  settings.dead_link_min_s = static_cast<std::uint32_t>(listener.dead_link_min_s);
  settings.dead_link_max_s = static_cast<std::uint32_t>(listener.dead_link_max_s);
  return settings;
}

net::IdentityFrom identity_from(const ListenerConfig& listener) {
  if (listener.identity == "san") return net::IdentityFrom::kSubjectAltName;
  return listener.identity == "subject" ? net::IdentityFrom::kSubject : net::IdentityFrom::kCommonName;
}

broker::ListenerPolicy listener_policy(const ListenerConfig& listener, const net::Endpoint& endpoint,
                                       broker::SysAccess sys_access) {
  broker::ListenerPolicy policy;
  const bool is_loopback = is_local(listener, endpoint);
  // A proxy cannot be made to refuse who has no certificate: CONNACK does.
  const bool needs_told_name = !endpoint.is_tls() && listener.client_certificates == "required";
  policy.allow_anonymous = listener.allow_anonymous.value_or(is_loopback) && !needs_told_name;
  policy.may_read_sys =
      sys_access == broker::SysAccess::kAll || (sys_access == broker::SysAccess::kLoopback && is_loopback);
  const auto speaks = [&](std::string_view version) {
    return listener.versions.empty() ||
           std::find(listener.versions.begin(), listener.versions.end(), version) != listener.versions.end();
  };
  policy.allow_v31 = speaks("3.1");
  policy.allow_v311 = speaks("3.1.1");
  policy.allow_v5 = speaks("5.0");
  policy.maximum_qos = static_cast<wire::Qos>(listener.max_qos);
  policy.mount_point = listener.mount_point;
  policy.name = endpoint.to_string();
  policy.limits = listener_limits(listener);
  return policy;
}

http::Site http_site(const ListenerConfig& listener, const net::Endpoint& endpoint) {
  const bool is_loopback = is_local(listener, endpoint);
  http::Site site;
  // Over TLS no name leads here that the certificate has not.
  if (is_loopback && !endpoint.is_tls()) site.pages = net::LocalPages(own_names(listener), listener.origins);
  site.name = endpoint.to_string();
  site.websocket_path = listener.path;
  site.folder = listener.static_folder;
  site.metrics = listener.metrics.value_or(is_loopback);
  site.start_page = listener.start_page.value_or(is_loopback);
  return site;
}

std::vector<ListenerMistake> listener_mistakes(const ListenerConfig& listener, const net::Endpoint& endpoint) {
  std::vector<ListenerMistake> mistakes;
  const auto mistake = [&](std::string_view key, std::string_view what) {
    mistakes.push_back({key, fmt::format("listener {}: {}", listener.address, what)});
  };
  for (const ListenerKey& key : listener_keys())
    if (!belongs(key, endpoint) && !is_told_by_proxy(key, listener) && !key.is_default(listener))
      mistake(key.name, fmt::format("{} has no meaning there; it is for {}", key.name, schemes_of(key.doors)));
  if (listener.compression == false && listener.compression_context == true)
    mistake("compression_context", "compression_context has no meaning without compression");
  if (!is_local(listener, endpoint) && !listener.allow_anonymous && !identifies(listener))
    mistakes.push_back(
        {"address",
         fmt::format("listener {} can be reached from other machines and there is no authentication; if everybody who "
                     "reaches it may connect, write allow_anonymous = true under its [[listener]] or start with "
                     "--allow-anonymous{}",
                     listener.address,
                     endpoint.is_http() ? "; if it is for pages alone, allow_anonymous = false" : "")});
  silent_mistakes(listener, endpoint, mistake);
  proxy_mistakes(listener, endpoint, mistake);
  if (!listener.mount_point.empty() && !broker::is_valid_mount_point(listener.mount_point))
    mistake(
        "mount_point",
        "mount_point is not the beginning of topic names; write whole levels without + and #, not beginning with $, "
        "such as \"tenant-a/\"");
  if (!listener.path.empty() && !listener.path.starts_with('/'))
    mistake("path", "path does not begin with a slash; write path = \"/mqtt\"");
  std::error_code unknown;
  if (!listener.static_folder.empty() && !std::filesystem::is_directory(listener.static_folder, unknown))
    mistake("static", fmt::format("static is no folder: {}", listener.static_folder));
  if (!listener.congestion_control.empty())
    if (const std::string what = net::congestion_control_mistake(listener.congestion_control); !what.empty())
      mistake("congestion_control", what);
  if (listener.dead_link_max_s != 0 && listener.dead_link_max_s < listener.dead_link_min_s)
    mistake(listener.places.contains("dead_link_max_s") ? "dead_link_max_s" : "dead_link_min_s",
            "dead_link_max_s is less than dead_link_min_s; write both, or 0 to leave it to the system");
  if (!endpoint.is_tls()) return mistakes;
  if (listener.certificates.empty() && listener.psk_file.empty()) {
    mistake("address",
            "TLS needs a certificate; write certificate = \"FILE\" and key = \"FILE\", or psk_file = \"FILE\"");
  } else if (listener.certificates.size() != listener.keys.size()) {
    mistake(listener.keys.empty() ? "certificate" : "key",
            "each certificate needs a key; write as many files under key as under certificate");
  } else if (const auto context = net::TlsContext::create(tls_settings(listener, endpoint)); !context.has_value()) {
    mistake(key_of(context.error().about, listener), context.error().what);
  }
  return mistakes;
}

}  // namespace petrel::server
