// Who the other end of a TLS connection has proved to be, and why a handshake failed, in words. Part of TlsTransport.
// Threads: the connection's.
#pragma once

#include <openssl/types.h>

#include <string>

#include "net/peer_identity.h"

namespace petrel::net {

// After the handshake.
PeerIdentity identity_of(SSL* ssl);
// `reason` is OpenSSL's number for it.
std::string tls_failure(const SSL* ssl, unsigned long reason, bool established);

}  // namespace petrel::net
