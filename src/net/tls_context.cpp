#include "net/tls_context.h"

#include <openssl/ssl.h>

#include "net/tls_context_builder.h"

namespace petrel::net {

Result<std::shared_ptr<const TlsContext>, TlsError> TlsContext::create(const TlsSettings& settings) {
  return TlsContextBuilder(settings).build();
}

TlsContext::~TlsContext() {
  for (const auto& site : sites_) SSL_CTX_free(site->context);
}

SSL* TlsContext::new_connection() const { return SSL_new(sites_.front()->context); }

Result<void, TlsError> TlsContextHolder::reload(const TlsSettings& settings) {
  auto made = TlsContext::create(settings);
  if (!made) return made.error();
  const std::lock_guard lock(mutex_);
  context_ = std::move(*made);
  return {};
}

}  // namespace petrel::net
