// What OpenSSL asks during a handshake: which certificate, which key, which protocol. Part of TlsContext.
// Threads: any.
#pragma once

#include <openssl/ssl.h>

#include "net/tls_context.h"

namespace petrel::net {

class TlsCallbacks {
 public:
  // For the context of one site. `owner` and `site` outlive it.
  static void install(const TlsContext& owner, const TlsContext::Site& site);

 private:
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
