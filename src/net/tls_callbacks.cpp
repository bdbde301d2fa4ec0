#include "net/tls_callbacks.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/tls1.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace petrel::net {

namespace {

constexpr std::size_t kTicketIvBytes = 16;
// What is longer is no identity (tls_psk.cpp) but a ticket.
constexpr std::size_t kMaxClaimBytes = 128;

// What anybody may send, for a line of the log.
std::string printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (c > 0x1f && c < 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

struct TlsCallbacks::Claim {
  std::string identity;
  bool is_known;
};

int TlsCallbacks::claim_index() {
  // OpenSSL gives one out for the life of the process.
  static const int kIndex = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* claim, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Claim*>(claim); });
  return kIndex;
}

// Of several keys that a client offers the one that is known, or the first.
void TlsCallbacks::note_claim(SSL* ssl, std::string_view identity, bool is_known) {
  if (identity.empty() || identity.size() > kMaxClaimBytes) return;
  if (auto* const noted = static_cast<Claim*>(SSL_get_ex_data(ssl, claim_index())); noted != nullptr) {
    if (is_known) *noted = {std::string(identity), true};
    return;
  }
  auto claim = std::make_unique<Claim>(Claim{std::string(identity), is_known});
  if (SSL_set_ex_data(ssl, claim_index(), claim.get()) == 1) (void)claim.release();
}

std::string TlsCallbacks::claimed_key(const SSL* ssl) {
  const auto* const claim = static_cast<const Claim*>(SSL_get_ex_data(ssl, claim_index()));
  if (claim == nullptr) return {};
  return fmt::format("{}pre-shared key of \"{}\"", claim->is_known ? "" : "unknown ", printable(claim->identity));
}

void TlsCallbacks::forget_claim(SSL* ssl) {
  const auto* const claim = static_cast<const Claim*>(SSL_get_ex_data(ssl, claim_index()));
  if (claim == nullptr) return;
  delete claim;
  SSL_set_ex_data(ssl, claim_index(), nullptr);
}

void TlsCallbacks::install(const TlsContext& owner, const TlsContext::Site& site) {
  SSL_CTX* const context = site.context;
  auto* const argument = const_cast<TlsContext*>(&owner);
  SSL_CTX_set_app_data(context, argument);
  if (owner.sites_.size() > 1) {
    SSL_CTX_set_tlsext_servername_callback(context, choose_site);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
  }
  if (!owner.alpn_.empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, argument);
  if (!site.ocsp.empty()) {
    SSL_CTX_set_tlsext_status_cb(context, staple);
    SSL_CTX_set_tlsext_status_arg(context, const_cast<TlsContext::Site*>(&site));
  }
  if (owner.ticket_keys_ != nullptr) SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_ticket);
  if (owner.psk_.size() == 0) return;
  SSL_CTX_set_psk_server_callback(context, find_key_12);
  SSL_CTX_set_psk_find_session_callback(context, find_key_13);
}

const TlsContext& TlsCallbacks::context_of(const SSL* ssl) {
  return *static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int TlsCallbacks::choose_site(SSL* ssl, int*, void* owner) {
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  for (const auto& site : static_cast<const TlsContext*>(owner)->sites_) {
    X509* const certificate = SSL_CTX_get0_certificate(site->context);
    if (X509_check_host(certificate, name, std::strlen(name), 0, nullptr) != 1) continue;
    SSL_set_SSL_CTX(ssl, site->context);
    return SSL_TLSEXT_ERR_OK;
  }
  // The first certificate it is; whether that will do is for the client to say.
  return SSL_TLSEXT_ERR_NOACK;
}

int TlsCallbacks::choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                                  unsigned int in_size, void* owner) {
  const auto& known = static_cast<const TlsContext*>(owner)->alpn_;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, known.data(), static_cast<unsigned int>(known.size()), in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301, 3.2
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int TlsCallbacks::staple(SSL* ssl, void* argument) {
  const auto& site = *static_cast<const TlsContext::Site*>(argument);
  if (site.ocsp_ends != nullptr && X509_cmp_current_time(site.ocsp_ends.get()) < 0) return SSL_TLSEXT_ERR_NOACK;
  // OpenSSL frees it with the connection.
  auto* const copy = static_cast<unsigned char*>(OPENSSL_memdup(site.ocsp.data(), site.ocsp.size()));
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(site.ocsp.size())) == 1) return SSL_TLSEXT_ERR_OK;
  OPENSSL_free(copy);
  return SSL_TLSEXT_ERR_NOACK;
}

int TlsCallbacks::seal_ticket(SSL* ssl, unsigned char* key_name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac, int sealing) {
  const TicketKeys& keys = *context_of(ssl).ticket_keys_;
  std::optional<TicketKeys::Found> found;
  if (sealing != 0) {
    found = TicketKeys::Found{keys.current(), true};
    std::memcpy(key_name, found->key.name.data(), found->key.name.size());
    if (RAND_bytes(iv, kTicketIvBytes) != 1) return -1;
  } else {
    found = keys.find(key_name);
    if (!found) return 0;
  }
  TicketKeys::Key& key = found->key;
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  const int set = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, sealing != 0 ? 1 : 0);
  const bool ready = set == 1 && EVP_MAC_CTX_set_params(mac, parameters) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!ready) return -1;
  // TLS 1.3 clients use a ticket once: each connection gets a new one (RFC 8446, C.4).
  const bool renew = !found->is_current || SSL_version(ssl) == TLS1_3_VERSION;
  return sealing == 0 && renew ? 2 : 1;
}

unsigned int TlsCallbacks::find_key_12(SSL* ssl, const char* identity, unsigned char* key, unsigned int most) {
  // TLS 1.3 asks here too when find_key_13() knows of no key, but its session would not tell the identity.
  if (identity == nullptr || SSL_version(ssl) == TLS1_3_VERSION) return 0;
  const std::string* const found = context_of(ssl).psk_.find(identity);
  note_claim(ssl, identity, found != nullptr);
  if (found == nullptr || found->size() > most) return 0;
  std::copy(found->begin(), found->end(), key);
  return static_cast<unsigned int>(found->size());
}

// The identity travels with the session, and so into the tickets made of it: what is read there after the handshake is
// what has been proved.
int TlsCallbacks::find_key_13(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) {
  *session = nullptr;
  const std::string_view name(reinterpret_cast<const char*>(identity), size);
  const std::string* const key = context_of(ssl).psk_.find(name);
  note_claim(ssl, name, key != nullptr);
  if (key == nullptr) return 1;
  constexpr unsigned char kAes128GcmSha256[] = {0x13, 0x01};  // keys without a hash go with SHA-256 (RFC 8446, 4.2.11)
  const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, kAes128GcmSha256);
  SSL_SESSION* const made = SSL_SESSION_new();
  if (cipher == nullptr || made == nullptr ||
      SSL_SESSION_set1_master_key(made, reinterpret_cast<const unsigned char*>(key->data()), key->size()) != 1 ||
      SSL_SESSION_set_cipher(made, cipher) != 1 || SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION) != 1 ||
      SSL_SESSION_set1_ticket_appdata(made, identity, size) != 1) {
    SSL_SESSION_free(made);
    return 0;
  }
  *session = made;
  return 1;
}

}  // namespace petrel::net
