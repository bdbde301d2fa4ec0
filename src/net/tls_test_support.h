// What the tests of TLS share: a CA of their own, files for the broker, and a client whose bytes the test moves by
// hand. Keys are made when a test begins and end with it. Threads: the test's.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "net/test_support.h"
#include "net/tls_transport.h"

namespace petrel::net {

inline std::string pem_of(const std::function<int(BIO*)>& write) {
  BIO* const out = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(out), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return text;
}

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "petrel-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path(const std::string& name = "") const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

 private:
  std::string path_;
};

// A certificate with its key. Without an issuer it signs itself.
class Identity {
 public:
  struct Wish {
    std::string common_name;
    std::string alt_names;  // as OpenSSL's configuration writes them
    const Identity* issuer = nullptr;
    long begins_s = -3600, ends_s = 3600;
    const char* organization = nullptr;
    bool is_authority = false;  // without an issuer it is one anyway
  };
  explicit Identity(const Wish& wish) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    static long serial = 1000;
    const Identity& issuer = wish.issuer == nullptr ? *this : *wish.issuer;
    X509_set_version(certificate_, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), wish.begins_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), wish.ends_s);
    X509_NAME* const name = X509_get_subject_name(certificate_);
    const auto add = [&](const char* field, const std::string& text) {
      X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()), -1, 0);
    };
    if (wish.organization != nullptr) add("O", wish.organization);
    add("CN", wish.common_name);
    X509_set_issuer_name(certificate_, X509_get_subject_name(issuer.certificate_));
    X509_set_pubkey(certificate_, key_);
    const bool is_authority = wish.issuer == nullptr || wish.is_authority;
    extend(NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wish.alt_names.empty()) extend(NID_subject_alt_name, wish.alt_names.c_str());
    EXPECT_GT(X509_sign(certificate_, issuer.key_, EVP_sha256()), 0);
  }
  ~Identity() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  X509* certificate() const { return certificate_; }
  EVP_PKEY* key() const { return key_; }
  std::string certificate_pem() const {
    return pem_of([&](BIO* out) { return PEM_write_bio_X509(out, certificate_); });
  }
  std::string key_pem(const char* password = nullptr) const {
    return pem_of([&](BIO* out) {
      return PEM_write_bio_PKCS8PrivateKey(out, key_, password == nullptr ? nullptr : EVP_aes_256_cbc(), password,
                                           password == nullptr ? 0 : static_cast<int>(strlen(password)), nullptr,
                                           nullptr);
    });
  }
  // A list of those whom this CA has revoked.
  std::string crl_pem(const std::vector<const Identity*>& revoked, long ends_s = 3600) const {
    X509_CRL* const list = X509_CRL_new();
    X509_CRL_set_version(list, 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate_));
    ASN1_TIME* const time = ASN1_TIME_new();
    X509_CRL_set1_lastUpdate(list, X509_gmtime_adj(time, -3600));
    X509_CRL_set1_nextUpdate(list, X509_gmtime_adj(time, ends_s));
    for (const Identity* one : revoked) {
      X509_REVOKED* const entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(one->certificate_));
      X509_REVOKED_set_revocationDate(entry, X509_gmtime_adj(time, -60));
      X509_CRL_add0_revoked(list, entry);
    }
    EXPECT_GT(X509_CRL_sign(list, key_, EVP_sha256()), 0);
    std::string text = pem_of([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list); });
    ASN1_TIME_free(time);
    X509_CRL_free(list);
    return text;
  }
  // This CA's word about a certificate, in DER.
  std::string ocsp_der(const Identity& about, int status, long ends_s = 3600) const {
    OCSP_BASICRESP* const basic = OCSP_BASICRESP_new();
    ASN1_TIME* const begins = X509_gmtime_adj(nullptr, -3600);
    ASN1_TIME* const ends = X509_gmtime_adj(nullptr, ends_s);
    OCSP_CERTID* const id = OCSP_cert_to_id(nullptr, about.certificate_, certificate_);
    ASN1_TIME* const revoked = status == V_OCSP_CERTSTATUS_REVOKED ? begins : nullptr;
    EXPECT_NE(OCSP_basic_add1_status(basic, id, status, OCSP_REVOKED_STATUS_NOSTATUS, revoked, begins, ends), nullptr);
    EXPECT_EQ(OCSP_basic_sign(basic, certificate_, key_, EVP_sha256(), nullptr, 0), 1);
    OCSP_RESPONSE* const response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(response, &der);
    std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(begins);
    ASN1_TIME_free(ends);
    return bytes;
  }

 private:
  void extend(int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate_, certificate_, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    EXPECT_NE(extension, nullptr) << value;
    X509_add_ext(certificate_, extension, -1);
    X509_EXTENSION_free(extension);
  }

  EVP_PKEY* key_;
  X509* certificate_;
};

// A client of OpenSSL, whose bytes lie here until the test moves them.
class TlsClient {
 public:
  struct Options {
    int version = 0;  // 0: the newest that both have
    const Identity* identity = nullptr;
    std::string server_name, psk_identity, psk_key, ciphers;
    std::vector<unsigned char> alpn;
    SSL_SESSION* session = nullptr;
    bool asks_for_status = false;
  };
  explicit TlsClient(const Options& options) : options_(options), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* session) {
      auto& client = *static_cast<TlsClient*>(SSL_get_app_data(ssl));
      ++client.tickets;
      client.session_.reset(session, SSL_SESSION_free);
      return 1;
    });
    if (options.version != 0) {
      SSL_CTX_set_min_proto_version(context_, options.version);
      SSL_CTX_set_max_proto_version(context_, options.version);
    }
    if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context_, options.ciphers.c_str());
    if (!options.psk_identity.empty()) SSL_CTX_set_psk_client_callback(context_, give_key);
    if (options.identity != nullptr) {
      SSL_CTX_use_certificate(context_, options.identity->certificate());
      SSL_CTX_use_PrivateKey(context_, options.identity->key());
    }
    ssl_ = SSL_new(context_);
    SSL_set_app_data(ssl_, this);
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_);
    if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
    if (!options.alpn.empty())
      SSL_set_alpn_protos(ssl_, options.alpn.data(), static_cast<unsigned>(options.alpn.size()));
    if (options.session != nullptr) SSL_set_session(ssl_, options.session);
    if (options.asks_for_status) SSL_set_tlsext_status_type(ssl_, TLSEXT_STATUSTYPE_ocsp);
  }
  ~TlsClient() {
    // OpenSSL forgets the session of a connection that was not shut down.
    SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  SSL* ssl() const { return ssl_; }
  bool established() const { return SSL_is_init_finished(ssl_) == 1; }
  std::shared_ptr<SSL_SESSION> session() const {
    // OpenSSL does not call back for a ticket that TLS 1.2 renews.
    if (SSL_version(ssl_) == TLS1_3_VERSION) return session_;
    return {SSL_get1_session(ssl_), SSL_SESSION_free};
  }
  std::string peer_name() const {
    const X509* const peer = SSL_get0_peer_certificate(ssl_);
    char name[64] = "";
    if (peer != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
    return name;
  }

  void write(const std::string& text) {
    EXPECT_EQ(SSL_write(ssl_, text.data(), static_cast<int>(text.size())), static_cast<int>(text.size()));
  }
  // Goes on with the handshake, or reads what has been sent.
  void advance() {
    ERR_clear_error();
    char room[20'000];
    for (;;) {
      const int n = SSL_read(ssl_, room, sizeof room);
      if (n > 0) {
        received.append(room, static_cast<std::size_t>(n));
        continue;
      }
      const int error = SSL_get_error(ssl_, n);
      ended = error == SSL_ERROR_ZERO_RETURN;
      if (error == SSL_ERROR_SSL && failure.empty()) failure = ERR_reason_error_string(ERR_peek_error());
      return;
    }
  }
  // Bytes for the socket.
  std::string outgoing(std::size_t most = 1 << 20) {
    std::string bytes(std::min<std::size_t>(most, BIO_ctrl_pending(SSL_get_wbio(ssl_))), '\0');
    if (!bytes.empty()) BIO_read(SSL_get_wbio(ssl_), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void incoming(const std::string& bytes) {
    BIO_write(SSL_get_rbio(ssl_), bytes.data(), static_cast<int>(bytes.size()));
  }

  std::string received, failure;
  bool ended = false;
  int tickets = 0;

 private:
  static unsigned give_key(SSL* ssl, const char*, char* identity, unsigned most_identity, unsigned char* key,
                           unsigned most_key) {
    const Options& options = static_cast<TlsClient*>(SSL_get_app_data(ssl))->options_;
    if (options.psk_identity.size() >= most_identity || options.psk_key.size() > most_key) return 0;
    options.psk_identity.copy(identity, most_identity);
    identity[options.psk_identity.size()] = '\0';
    options.psk_key.copy(reinterpret_cast<char*>(key), most_key);
    return static_cast<unsigned>(options.psk_key.size());
  }

  const Options options_;
  SSL_CTX* context_;
  SSL* ssl_;
  std::shared_ptr<SSL_SESSION> session_;
};

// A client and the broker's transport, with a socket between them.
class TlsLink {
 public:
  TlsLink(std::shared_ptr<const TlsContext> context, const TlsClient::Options& options, PlaceLimit::Place place = {})
      : client(options) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    server = std::make_unique<TlsTransport>(ends[0], std::move(context), std::move(place));
    far = Descriptor(ends[1]);
  }

  // Client to server, at most so many bytes a call; the server's last result.
  IoResult to_server(std::size_t most = 1 << 20) {
    client.advance();
    for (std::string bytes = client.outgoing(most); !bytes.empty(); bytes = client.outgoing(most)) {
      EXPECT_EQ(send(far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
      if (read().status != IoStatus::kWouldBlock && result.status != IoStatus::kOk) break;
    }
    return result;
  }
  IoResult& read(std::size_t room_bytes = 1 << 16) {
    do {
      std::string room(room_bytes, '.');
      const iovec piece{room.data(), room.size()};
      result = server->read_some({&piece, 1});
      received.append(room, 0, result.bytes);
    } while (server->has_buffered());
    return result;
  }
  void to_client() {
    char room[20'000];
    for (ssize_t n = 0; (n = recv(far.get(), room, sizeof room, 0)) > 0;)
      client.incoming({room, static_cast<std::size_t>(n)});
    client.advance();
  }
  // Until both are ready, or one gives up.
  bool shake_hands(std::size_t most = 1 << 20) {
    for (int round = 0; round < 6; ++round) {
      if (to_server(most); result.status == IoStatus::kError || result.status == IoStatus::kEnd) break;
      while (server->wants_write()) {
        (void)server->write_pending();
        to_client();
      }
      to_client();
    }
    to_client();
    return client.established() && client.failure.empty() && server->established() &&
           result.status == IoStatus::kWouldBlock;
  }
  std::string why() const { return server->failure(result); }
  IoResult write(std::string text) {
    const iovec piece{text.data(), text.size()};
    return server->write_some({&piece, 1});
  }

  TlsClient client;
  Descriptor far;
  std::unique_ptr<TlsTransport> server;
  IoResult result;
  std::string received;
};

}  // namespace petrel::net
