// What OpenSSL asks during a handshake: which certificate, which key, which protocol. Part of TlsContext.
// Threads: any.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "net/tls_context.h"

namespace petrel::net {

class TlsCallbacks {
 public:
  // For the context of one site. `owner` and `site` outlive it.
  static void install(const TlsContext& owner, const TlsContext::Site& site);

  // Who the client of a handshake says it is by a pre-shared key, for logs: 'pre-shared key of "sensor-1"'. Nothing has
  // been proved. Empty: it has not said.
  static std::string claimed_key(const SSL* ssl);
  // The handshake is over.
  static void forget_claim(SSL* ssl);

 private:
  struct Claim;
  static int claim_index();
  static void note_claim(SSL* ssl, std::string_view identity, bool is_known);
  static const TlsContext& context_of(const SSL* ssl);
  static int choose_site(SSL* ssl, int* alert, void* owner);
  static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                             unsigned int in_size, void* owner);
  static int staple(SSL* ssl, void* site);
  static int seal_ticket(SSL* ssl, unsigned char* key_name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                         int sealing);
  static unsigned int find_key_12(SSL* ssl, const char* identity, unsigned char* key, unsigned int most);
  static int find_key_13(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session);
};

}  // namespace petrel::net
