// What a TLS listener has read from its files: certificates and keys, who is trusted, pre-shared keys, and the rules of
// its handshakes. Does not change: a reload makes another one, and new connections take that; those that are there go
// on with what they began with.
//
// Threads: any. A context outlives the connections made of it: each holds it.
#pragma once

#include <openssl/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/tls_psk.h"
#include "net/tls_tickets.h"

namespace petrel::net {

enum class ClientCertificates : std::uint8_t { kNone, kOptional, kRequired };
enum class TlsVersion : std::uint8_t { k12, k13 };

struct TlsCertificate {
  std::string certificate_file;  // PEM: the certificate, then those that lead to its CA
  std::string key_file;          // PEM, not encrypted
  std::string ocsp_file;         // DER: the CA's word that it is not revoked, to be stapled; empty: none
};

struct TlsSettings {
  // By the name a client asks for (SNI) the first that has it is chosen; else the first.
  std::vector<TlsCertificate> certificates;
  ClientCertificates client_certificates = ClientCertificates::kNone;
  std::string ca_file;    // PEM: who may sign clients' certificates
  std::string ca_folder;  // the same from all *.pem, *.crt and *.cer there
  // PEM: revoked certificates, of every CA that signs clients' certificates; those of the CAs above count, too.
  std::string crl_file;
  // Lines IDENTITY:HEXKEY. A client with a pre-shared key needs no certificate, even where one is required.
  std::string psk_file;
  std::string psk_hint;
  TlsVersion min_version = TlsVersion::k12;
  TlsVersion max_version = TlsVersion::k13;
  std::string ciphers;        // of TLS 1.2, as OpenSSL names them; empty: authenticated encryption, forward secrecy
  std::string cipher_suites;  // of TLS 1.3; empty: all. For pre-shared keys one with SHA256 comes first
  std::string groups;         // of key exchange; empty: OpenSSL's
  // Application protocols (ALPN). A client that offers others only is refused; one that offers none is not.
  std::vector<std::string> alpn = {"mqtt"};
  std::shared_ptr<TicketKeys> ticket_keys;  // none: no tickets
  std::uint32_t ticket_lifetime_s = 7200;
};

enum class TlsSetting : std::uint8_t {
  kCertificate,
  kKey,
  kOcsp,
  kClientCertificates,
  kCaFile,
  kCaFolder,
  kCrlFile,
  kPskFile,
  kPskHint,
  kVersions,
  kCiphers,
  kCipherSuites,
  kGroups,
  kAlpn
};

// What is wrong with which file or setting, and what to do.
struct TlsError {
  std::string what;
  TlsSetting about = TlsSetting::kCertificate;
};

class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>, TlsError> create(const TlsSettings& settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // The server's side of a new connection, which the caller frees; null without memory.
  SSL* new_connection() const;
  // What works and yet wants attention: a certificate that has expired, for instance.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  friend class TlsContextBuilder;
  friend class TlsCallbacks;
  // One certificate with what belongs to it.
  struct Site {
    SSL_CTX* context = nullptr;
    std::string ocsp;
    std::shared_ptr<ASN1_TIME> ocsp_ends;
  };
  TlsContext() = default;

  std::vector<std::unique_ptr<Site>> sites_;
  PskTable psk_;
  std::shared_ptr<TicketKeys> ticket_keys_;
  std::vector<std::uint8_t> alpn_;  // as it travels
  std::vector<std::string> warnings_;
};

// Where a listener's connections get their context from, and a reload puts a new one. Threads: any.
class TlsContextHolder {
 public:
  explicit TlsContextHolder(std::shared_ptr<const TlsContext> context) : context_(std::move(context)) {}

  std::shared_ptr<const TlsContext> get() const {
    const std::lock_guard lock(mutex_);
    return context_;
  }
  // Reads the files again. With an error nothing has changed.
  Result<void, TlsError> reload(const TlsSettings& settings);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsContext> context_;
};

}  // namespace petrel::net
