// What a connection's transport has proved or told about the peer, for authentication and logs. Made when asked for, so
// that an idle connection does not carry it. Threads: a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace petrel::net {

// Which part of a client's certificate names the client.
enum class IdentityFrom : std::uint8_t { kCommonName, kSubjectAltName, kSubject };

struct PeerIdentity {
  // Proved by the peer; empty without a client certificate or a pre-shared key.
  std::string common_name;
  std::vector<std::string> subject_alt_names;  // DNS names, e-mail addresses, URIs, IP addresses, in their order
  std::string subject;                         // the whole distinguished name, as RFC 2253 writes it
  std::string psk_identity;
  // Only told.
  std::string server_name;  // the name the peer asked for (SNI)
  // How the bytes travel; empty over plain TCP.
  std::string protocol;     // "TLSv1.3"
  std::string cipher;       // "TLS_AES_256_GCM_SHA384"
  std::string subprotocol;  // "mqtt" or "mqttv3.1" over WebSocket
  bool resumed = false;     // by a session ticket: no certificate was verified anew

  bool has_certificate() const { return !subject.empty(); }
  // The name that `from` chooses, or the pre-shared key's identity; empty if there is none.
  const std::string& name(IdentityFrom from) const;
};

inline const std::string& PeerIdentity::name(IdentityFrom from) const {
  if (!psk_identity.empty()) return psk_identity;
  if (from == IdentityFrom::kSubject) return subject;
  if (from == IdentityFrom::kSubjectAltName && !subject_alt_names.empty()) return subject_alt_names.front();
  static const std::string kNone;
  return from == IdentityFrom::kCommonName ? common_name : kNone;
}

}  // namespace petrel::net
