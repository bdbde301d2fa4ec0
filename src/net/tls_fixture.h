// For tests of TLS: a broker's settings with a certificate of a CA of the test's own, under each version. Apart from
// tls_test_support.h, which tests of other kinds use, too. Threads: the test's.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "net/tls_test_support.h"

namespace petrel::net {

inline std::string tls_version_name(const testing::TestParamInfo<int>& version) {
  return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
}

// The parameter is the client's version.
class TlsFixture : public testing::TestWithParam<int> {
 protected:
  TlsFixture() {
    settings_.certificates = {site("server", server_)};
    options_.version = GetParam();
  }
  TlsCertificate site(const std::string& name, const Identity& identity) {
    return {folder_.write(name + ".pem", identity.certificate_pem()), folder_.write(name + ".key", identity.key_pem()),
            ""};
  }
  std::shared_ptr<const TlsContext> context() {
    auto made = TlsContext::create(settings_);
    EXPECT_TRUE(made.has_value()) << made.error().what;
    return *made;
  }
  bool is_13() const { return GetParam() == TLS1_3_VERSION; }

  Folder folder_;
  Identity authority_{{"Test CA", "", nullptr}};
  Identity server_{{"broker.example", "DNS:broker.example", &authority_}};
  TlsSettings settings_;
  TlsClient::Options options_;
};

}  // namespace petrel::net
