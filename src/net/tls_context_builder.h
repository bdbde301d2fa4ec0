// Makes a TlsContext of settings: reads the files, checks them, and says what is wrong. Part of TlsContext.
// Threads: any; an object has one user.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <optional>
#include <string>

#include "net/tls_context.h"

namespace petrel::net {

class TlsContextBuilder {
 public:
  explicit TlsContextBuilder(const TlsSettings& settings) : settings_(settings) {}
  Result<std::shared_ptr<const TlsContext>, TlsError> build();

 private:
  // What is wrong, or nothing.
  using Failure = std::optional<TlsError>;

  Failure check_settings() const;
  Failure read_trust();
  Failure read_authorities(const std::string& file);
  Failure read_authority_folder();
  Failure read_revoked();
  Failure read_psk();
  Failure add_site(const TlsCertificate* files);
  Failure set_rules(SSL_CTX* context) const;
  Failure set_trust(SSL_CTX* context);
  Failure use_certificate(SSL_CTX* context, const TlsCertificate& files);
  Failure use_key(SSL_CTX* context, const TlsCertificate& files);
  Failure use_ocsp(TlsContext::Site& site, const std::string& file);
  // What tickets are bound to: who is trusted and how. A ticket from before a change of that opens nothing.
  void bind(const std::string& bytes);

  template <auto kFree>
  struct Free {
    template <class T>
    void operator()(T* object) const {
      kFree(object);
    }
  };
  static void free_names(STACK_OF(X509_NAME) * names) { sk_X509_NAME_pop_free(names, X509_NAME_free); }

  const TlsSettings& settings_;
  std::shared_ptr<TlsContext> made_;
  std::unique_ptr<X509_STORE, Free<X509_STORE_free>> store_;
  std::unique_ptr<STACK_OF(X509_NAME), Free<free_names>> names_;
  std::string bound_;
};

}  // namespace petrel::net
