#include "net/tls_identity.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace petrel::net {

namespace {

// Empty for a text that holds a zero byte: other programs read another name in it.
std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = string == nullptr ? -1 : ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text.find('\0') == std::string::npos ? text : std::string();
}

std::string common_name_of(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  return index < 0 ? std::string() : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

std::string subject_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  if (out == nullptr || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string address_of(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int size = ASN1_STRING_length(bytes);
  if (size == 4) inet_ntop(AF_INET, ASN1_STRING_get0_data(bytes), text, sizeof text);
  if (size == 16) inet_ntop(AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
  return text;
}

std::vector<std::string> alt_names_of(const X509* certificate) {
  std::vector<std::string> found;
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    std::string text;
    if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) text = text_of(name->d.ia5);
    if (name->type == GEN_IPADD) text = address_of(name->d.iPAddress);
    if (!text.empty()) found.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  return found;
}

// The session is what the handshake has proved: OpenSSL keeps the identity there in TLS 1.2, TlsCallbacks in 1.3.
std::string psk_identity_of(SSL* ssl) {
  if (SSL_version(ssl) != TLS1_3_VERSION) {
    const char* const identity = SSL_get_psk_identity(ssl);
    return identity == nullptr ? std::string() : identity;
  }
  void* data = nullptr;
  std::size_t size = 0;
  SSL_SESSION* const session = SSL_get_session(ssl);
  if (session == nullptr || SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1) return {};
  return {static_cast<const char*>(data), size};
}

}  // namespace

PeerIdentity identity_of(SSL* ssl) {
  PeerIdentity identity;
  if (const X509* const certificate = SSL_get0_peer_certificate(ssl); certificate != nullptr) {
    const X509_NAME* const name = X509_get_subject_name(certificate);
    identity.common_name = common_name_of(name);
    identity.subject = subject_of(name);
    identity.subject_alt_names = alt_names_of(certificate);
  }
  identity.psk_identity = psk_identity_of(ssl);
  const char* const server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (server_name != nullptr) identity.server_name = server_name;
  identity.protocol = SSL_get_version(ssl);
  identity.cipher = SSL_get_cipher_name(ssl);
  identity.resumed = SSL_session_reused(ssl) == 1;
  return identity;
}

std::string tls_failure(const SSL* ssl, unsigned long reason, bool established) {
  const std::string where = established ? "TLS: " : "TLS handshake: ";
  if (ERR_GET_LIB(reason) == ERR_LIB_SSL) {
    switch (ERR_GET_REASON(reason)) {
      case SSL_R_WRONG_VERSION_NUMBER:
        if (!established) return where + "the client does not speak TLS";
        break;
      case SSL_R_HTTP_REQUEST:
        return where + "the client speaks HTTP without TLS";
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return where + "the client has shown no certificate";
      case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return where + "the client's certificate: " + X509_verify_cert_error_string(SSL_get_verify_result(ssl));
      default:
        break;
    }
  }
  const char* const words = ERR_reason_error_string(reason);
  return where + (words == nullptr ? "protocol error" : words);
}

}  // namespace petrel::net
