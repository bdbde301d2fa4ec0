#include "net/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/tls_fixture.h"

namespace petrel::net {
namespace {

using namespace std::string_literals;

class TlsContextTest : public TlsFixture {
 protected:
  void ask_for_certificates(ClientCertificates how) {
    settings_.client_certificates = how;
    settings_.ca_file = folder_.write("ca.pem", authority_.certificate_pem());
  }
  std::unique_ptr<TlsLink> link() { return std::make_unique<TlsLink>(context(), options_); }
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsContextTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), tls_version_name);

// --- clients' certificates

TEST_P(TlsContextTest, TellsWhoAClientWithACertificateIs) {
  const Identity client({"sensor-7", "DNS:sensor-7.example,email:ops@example.com,URI:urn:dev:7,IP:192.0.2.7,IP:::1",
                         &authority_, -3600, 3600, "Petrel, Inc"});
  options_.identity = &client;
  for (const auto how : {ClientCertificates::kRequired, ClientCertificates::kOptional}) {
    ask_for_certificates(how);
    auto made = link();
    ASSERT_TRUE(made->shake_hands()) << made->why() << made->client.failure;
    const PeerIdentity peer = made->server->identity();
    EXPECT_TRUE(peer.has_certificate());
    EXPECT_EQ(peer.name(IdentityFrom::kCommonName), "sensor-7");
    EXPECT_EQ(peer.name(IdentityFrom::kSubject), "CN=sensor-7,O=Petrel\\, Inc");
    EXPECT_EQ(peer.name(IdentityFrom::kSubjectAltName), "sensor-7.example");
    EXPECT_EQ(peer.subject_alt_names,
              (std::vector<std::string>{"sensor-7.example", "ops@example.com", "urn:dev:7", "192.0.2.7", "::1"}));
  }
}

TEST_P(TlsContextTest, TakesNoNameWithAZeroInIt) {
  const Identity client({"admin\0.evil.example"s, "", &authority_});
  options_.identity = &client;
  ask_for_certificates(ClientCertificates::kRequired);
  auto made = link();
  ASSERT_TRUE(made->shake_hands()) << made->why();
  EXPECT_EQ(made->server->identity().name(IdentityFrom::kCommonName), "");
}

TEST_P(TlsContextTest, RefusesCertificatesThatProveNothing) {
  const Identity stranger({"Another CA", "", nullptr});
  const Identity good({"good", "", &authority_});
  const Identity expired({"expired", "", &authority_, -7200, -60});
  const Identity early({"early", "", &authority_, 3000, 7200});
  const Identity foreign({"foreign", "", &stranger});
  const Identity revoked({"revoked", "", &authority_});
  ask_for_certificates(ClientCertificates::kOptional);
  settings_.crl_file = folder_.write("crl.pem", authority_.crl_pem({&revoked}));
  struct Case {
    const Identity* identity;
    std::string_view why;
  };
  for (const Case& c : {Case{&good, ""}, Case{nullptr, ""}, Case{&expired, "certificate has expired"},
                        Case{&early, "certificate is not yet valid"}, Case{&revoked, "certificate revoked"},
                        Case{&foreign, "unable to get local issuer certificate"}, Case{&stranger, "self-signed"}}) {
    options_.identity = c.identity;
    auto made = link();
    EXPECT_EQ(made->shake_hands(), c.why.empty()) << c.why;
    if (c.why.empty()) continue;
    EXPECT_EQ(made->result.status, IoStatus::kError);
    EXPECT_NE(made->why().find("the client's certificate: " + std::string(c.why)), std::string::npos) << made->why();
    EXPECT_NE(made->client.failure.find("alert"), std::string::npos) << "the client is told: " << made->client.failure;
  }
}

TEST_P(TlsContextTest, RefusesAClientWithoutACertificateWhereOneIsRequired) {
  ask_for_certificates(ClientCertificates::kRequired);
  auto made = link();
  EXPECT_FALSE(made->shake_hands());
  EXPECT_EQ(made->why(), "TLS handshake: the client has shown no certificate");
}

TEST_P(TlsContextTest, RefusesAllWhenTheListOfRevokedIsOutOfDate) {
  const Identity client({"good", "", &authority_});
  options_.identity = &client;
  ask_for_certificates(ClientCertificates::kRequired);
  settings_.crl_file = folder_.write("crl.pem", authority_.crl_pem({}, -60));
  auto made = link();
  EXPECT_FALSE(made->shake_hands());
  EXPECT_NE(made->why().find("CRL has expired"), std::string::npos) << made->why();
  ASSERT_EQ(context()->warnings().size(), 1U);
  EXPECT_NE(context()->warnings()[0].find("out of date"), std::string::npos);
}

// Whoever has the key of a CA that its own CA has revoked can make any client's certificate.
TEST_P(TlsContextTest, RefusesWhatARevokedAuthorityHasSigned) {
  const Identity between({"CA in between", "", &authority_, -3600, 3600, nullptr, true});
  const Identity client({"of the one in between", "", &between});
  options_.identity = &client;
  settings_.client_certificates = ClientCertificates::kRequired;
  settings_.ca_file = folder_.write("ca.pem", authority_.certificate_pem() + between.certificate_pem());
  struct Case {
    std::string lists;
    std::string_view why;
  };
  const std::string own = between.crl_pem({});
  for (const Case& c : {Case{own, ""}, Case{own + authority_.crl_pem({}), ""},
                        Case{own + authority_.crl_pem({&between}), "certificate revoked"},
                        Case{own + authority_.crl_pem({}, -60), "CRL has expired"},
                        Case{authority_.crl_pem({}), "unable to get certificate CRL"}}) {
    settings_.crl_file = folder_.write("crl.pem", c.lists);
    auto made = link();
    EXPECT_EQ(made->shake_hands(), c.why.empty()) << c.why << made->why();
    if (!c.why.empty()) {
      EXPECT_NE(made->why().find(c.why), std::string::npos) << made->why();
    }
  }
}

TEST_P(TlsContextTest, ReadsAuthoritiesFromAFolder) {
  const Identity second({"Second CA", "", nullptr});
  const Identity client({"of the second", "", &second});
  std::filesystem::create_directory(folder_.path("ca"));
  folder_.write("ca/one.pem", authority_.certificate_pem());
  folder_.write("ca/two.crt", second.certificate_pem());
  folder_.write("ca/README", "not a certificate");
  settings_.client_certificates = ClientCertificates::kRequired;
  settings_.ca_folder = folder_.path("ca");
  options_.identity = &client;
  auto made = link();
  EXPECT_TRUE(made->shake_hands()) << made->why();
}

// --- pre-shared keys

TEST_P(TlsContextTest, KnowsClientsByTheirKeys) {
  settings_.psk_file = folder_.write("psk", "sensor-1:0102030405060708090a0b0c0d0e0f10\nother:ff00ff00\n");
  for (const bool with_certificate : {true, false}) {
    if (!with_certificate) settings_.certificates.clear();
    options_.psk_identity = "sensor-1";
    options_.psk_key = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10";
    options_.ciphers = "PSK";
    auto made = link();
    ASSERT_TRUE(made->shake_hands()) << made->why() << made->client.failure;
    EXPECT_EQ(made->server->identity().psk_identity, "sensor-1");
    EXPECT_EQ(made->server->identity().name(IdentityFrom::kCommonName), "sensor-1");
    made->client.write("hello");
    made->to_server();
    EXPECT_EQ(made->received, "hello");

    options_.psk_key = "another key";
    auto refused = link();
    EXPECT_FALSE(refused->shake_hands());
    EXPECT_THAT(refused->why(), testing::EndsWith(" (pre-shared key of \"sensor-1\")"));
    options_.psk_identity = "stranger";
    refused = link();
    EXPECT_EQ(refused->shake_hands(), is_13() && with_certificate) << "TLS 1.3 goes on with the certificate";
    EXPECT_EQ(refused->server->identity().psk_identity, "") << "what is not proved is not told";
  }
}

TEST_P(TlsContextTest, PrefersTheKeyOfAClientThatWouldTakeACertificate) {
  settings_.psk_file = folder_.write("psk", "sensor-1:01020304\n");
  options_.psk_identity = "sensor-1";
  options_.psk_key = "\x01\x02\x03\x04";
  auto made = link();
  ASSERT_TRUE(made->shake_hands()) << made->why() << made->client.failure;
  EXPECT_EQ(made->server->identity().psk_identity, "sensor-1");
  TlsClient::Options none;
  none.version = GetParam();
  EXPECT_TRUE(TlsLink(context(), none).shake_hands()) << "for whom the certificate is";
}

// What it claims is told, and cannot make the log say anything else.
TEST_P(TlsContextTest, TellsWhichKeyWasClaimed) {
  settings_.psk_file = folder_.write("psk", "sensor-1:01020304\n");
  settings_.certificates.clear();
  options_.ciphers = "PSK";
  options_.psk_key = "\x01\x02\x03\x04";
  options_.psk_identity = "a\"\n\x7f\xff\\b";
  auto made = link();
  EXPECT_FALSE(made->shake_hands());
  EXPECT_THAT(made->why(), testing::EndsWith(" (unknown pre-shared key of \"a\\x22\\x0a\\x7f\\xff\\x5cb\")"));
  options_.psk_identity = std::string(129, 'x');
  made = link();
  EXPECT_FALSE(made->shake_hands());
  EXPECT_THAT(made->why(), testing::Not(testing::HasSubstr("xxx")));
}

// The cipher's hash does not fit the key in TLS 1.3, so the key is passed over, and nobody has looked whether the
// client has it. TLS 1.2 looks.
TEST_P(TlsContextTest, BelievesNoIdentityThatWasNotProved) {
  settings_.psk_file = folder_.write("psk", "admin:0102030405060708\n");
  settings_.cipher_suites = "TLS_AES_256_GCM_SHA384";
  options_.psk_identity = "admin";
  options_.psk_key = "guessed";
  auto made = link();
  EXPECT_EQ(made->shake_hands(), is_13()) << made->why() << made->client.failure;
  EXPECT_EQ(made->server->identity().psk_identity, "");
}

TEST_P(TlsContextTest, NeedsNoCertificateFromAClientWithAKey) {
  ask_for_certificates(ClientCertificates::kRequired);
  settings_.psk_file = folder_.write("psk", "sensor-1:01020304\n");
  options_.psk_identity = "sensor-1";
  options_.psk_key = "\x01\x02\x03\x04";
  options_.ciphers = "PSK";
  auto made = link();
  ASSERT_TRUE(made->shake_hands()) << made->why() << made->client.failure;
  EXPECT_EQ(made->server->identity().psk_identity, "sensor-1");
  TlsClient::Options none;
  none.version = GetParam();
  EXPECT_FALSE(TlsLink(context(), none).shake_hands());
}

// --- names and protocols

TEST_P(TlsContextTest, ChoosesTheCertificateByTheNameAskedFor) {
  const Identity wild({"wild", "DNS:*.wild.example", &authority_});
  const Identity third({"third", "DNS:a.example,DNS:b.example", &authority_});
  settings_.certificates.push_back(site("wild", wild));
  settings_.certificates.push_back(site("third", third));
  struct Case {
    std::string asked, shown;
  };
  for (const Case& c :
       {Case{"broker.example", "broker.example"}, Case{"x.wild.example", "wild"},
        Case{"x.y.wild.example", "broker.example"}, Case{"b.example", "third"}, Case{"A.EXAMPLE", "third"},
        Case{"nobody.example", "broker.example"}, Case{"", "broker.example"}}) {
    options_.server_name = c.asked;
    auto made = link();
    ASSERT_TRUE(made->shake_hands()) << made->why();
    EXPECT_EQ(made->client.peer_name(), c.shown) << c.asked;
  }
}

// The rules are the listener's, whichever certificate is shown.
TEST_P(TlsContextTest, AsksForCertificatesUnderEveryName) {
  const Identity other({"other", "DNS:other.example", &authority_});
  settings_.certificates.push_back(site("other", other));
  ask_for_certificates(ClientCertificates::kRequired);
  options_.server_name = "other.example";
  EXPECT_FALSE(link()->shake_hands());
  const Identity client({"client", "", &authority_});
  options_.identity = &client;
  auto made = link();
  ASSERT_TRUE(made->shake_hands()) << made->why();
  EXPECT_EQ(made->server->identity().common_name, "client");
}

TEST_P(TlsContextTest, SelectsAnApplicationProtocol) {  // RFC 7301, 3.2
  const auto selected = [&](const std::string& offered) -> std::string {
    options_.alpn.assign(offered.begin(), offered.end());
    auto made = link();
    if (!made->shake_hands()) return "refused";
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(made->client.ssl(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  };
  EXPECT_EQ(selected("\x04mqtt"), "mqtt");
  EXPECT_EQ(selected("\x08http/1.1\x04mqtt"), "mqtt");
  EXPECT_EQ(selected(""), "");
  EXPECT_EQ(selected("\x08http/1.1\x02h2"), "refused");
  settings_.alpn = {"http/1.1"};
  EXPECT_EQ(selected("\x02h2\x08http/1.1"), "http/1.1");
}

TEST_P(TlsContextTest, KeepsToTheVersionsAndCiphersItIsTold) {
  settings_.min_version = settings_.max_version = is_13() ? TlsVersion::k12 : TlsVersion::k13;
  auto refused = link();
  EXPECT_FALSE(refused->shake_hands());
  EXPECT_NE(refused->why().find("unsupported protocol"), std::string::npos) << refused->why();
  settings_.min_version = TlsVersion::k12;
  settings_.max_version = TlsVersion::k13;
  settings_.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305";
  settings_.cipher_suites = "TLS_CHACHA20_POLY1305_SHA256";
  auto made = link();
  ASSERT_TRUE(made->shake_hands()) << made->why();
  EXPECT_NE(made->server->identity().cipher.find("CHACHA20"), std::string::npos);
}

TEST_P(TlsContextTest, RefusesOldVersions) {
  options_.version = TLS1_1_VERSION;
  options_.ciphers = "ALL:@SECLEVEL=0";
  EXPECT_FALSE(link()->shake_hands());
}

TEST_P(TlsContextTest, StaplesTheWordOfTheAuthority) {  // RFC 6066, 8
  const auto stapled = [&]() -> std::string {
    options_.asks_for_status = true;
    auto made = link();
    EXPECT_TRUE(made->shake_hands()) << made->why();
    unsigned char* bytes = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(made->client.ssl(), &bytes);
    return size <= 0 ? "" : std::string(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  };
  EXPECT_EQ(stapled(), "");
  const std::string good = authority_.ocsp_der(server_, V_OCSP_CERTSTATUS_GOOD);
  settings_.certificates[0].ocsp_file = folder_.write("ocsp", good);
  EXPECT_EQ(stapled(), good);
  folder_.write("ocsp", authority_.ocsp_der(server_, V_OCSP_CERTSTATUS_GOOD, -60));
  EXPECT_EQ(stapled(), "") << "out of date";
  EXPECT_EQ(context()->warnings().size(), 1U);
}

// --- reconnecting

class TlsTicketTest : public TlsContextTest {
 protected:
  TlsTicketTest() { settings_.ticket_keys = std::make_shared<TicketKeys>(3'600'000); }
  // Connects, with the last ticket if there is one, and keeps the new one. Whether the ticket was good.
  bool resumes() {
    session_ = options_.session == nullptr ? nullptr : session_;
    last_ = link();
    EXPECT_TRUE(last_->shake_hands()) << last_->why() << last_->client.failure;
    if (last_->client.session() != nullptr) session_ = last_->client.session();
    options_.session = session_.get();
    const bool resumed = last_->server->identity().resumed;
    EXPECT_EQ(resumed, SSL_session_reused(last_->client.ssl()) == 1);
    return resumed;
  }

  std::shared_ptr<SSL_SESSION> session_;
  std::unique_ptr<TlsLink> last_;
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsTicketTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), tls_version_name);

// Each connection here has a context of its own, as shards and reloads have; what they share are the keys.
TEST_P(TlsTicketTest, SpareAReconnectTheSignature) {
  EXPECT_FALSE(resumes());
  EXPECT_EQ(last_->client.tickets, 1);
  EXPECT_TRUE(resumes());
  EXPECT_TRUE(resumes()) << "again";
}

TEST_P(TlsTicketTest, AreReadUntilTheirKeyIsTwoPeriodsOld) {
  EXPECT_FALSE(resumes());
  settings_.ticket_keys->advance(0);
  settings_.ticket_keys->advance(1);
  settings_.ticket_keys->advance(3'600'001);
  EXPECT_TRUE(resumes());
  settings_.ticket_keys->advance(7'200'001);
  EXPECT_TRUE(resumes()) << "it was renewed under the new key";
  settings_.ticket_keys->advance(30'000'000);
  EXPECT_FALSE(resumes());
  settings_.ticket_keys = std::make_shared<TicketKeys>(3'600'000);
  EXPECT_FALSE(resumes()) << "sealed by nobody known";
}

TEST_P(TlsTicketTest, AreNotGivenWithoutKeys) {
  settings_.ticket_keys = nullptr;
  EXPECT_FALSE(resumes());
  EXPECT_EQ(last_->client.tickets, is_13() ? 0 : last_->client.tickets);
  EXPECT_FALSE(resumes());
}

TEST_P(TlsTicketTest, KeepTheIdentity) {
  const Identity client({"sensor-7", "", &authority_});
  ask_for_certificates(ClientCertificates::kRequired);
  options_.identity = &client;
  EXPECT_FALSE(resumes());
  EXPECT_TRUE(resumes());
  EXPECT_EQ(last_->server->identity().common_name, "sensor-7");
}

TEST_P(TlsTicketTest, KeepTheIdentityOfAKey) {
  settings_.psk_file = folder_.write("psk", "sensor-1:01020304\nother:05060708\n");
  options_.psk_identity = "sensor-1";
  options_.psk_key = "\x01\x02\x03\x04";
  options_.ciphers = "PSK";
  resumes();
  EXPECT_EQ(last_->server->identity().psk_identity, "sensor-1");
  options_.psk_key = "not known any more";  // the ticket alone will do
  EXPECT_TRUE(resumes());
  EXPECT_EQ(last_->server->identity().psk_identity, "sensor-1");
}

TEST_P(TlsTicketTest, DoNotOutliveAChangeOfTrust) {
  const Identity client({"sensor-7", "", &authority_});
  ask_for_certificates(ClientCertificates::kRequired);
  settings_.crl_file = folder_.write("crl.pem", authority_.crl_pem({}));
  options_.identity = &client;
  EXPECT_FALSE(resumes());
  EXPECT_TRUE(resumes());
  folder_.write("crl.pem", authority_.crl_pem({&client}));
  auto refused = link();
  EXPECT_FALSE(refused->shake_hands());
  EXPECT_NE(refused->why().find("revoked"), std::string::npos) << refused->why();
}

TEST_P(TlsTicketTest, DoNotOutliveAKey) {
  settings_.psk_file = folder_.write("psk", "sensor-1:01020304\n");
  options_.psk_identity = "sensor-1";
  options_.psk_key = "\x01\x02\x03\x04";
  options_.ciphers = "PSK";
  resumes();
  folder_.write("psk", "other:01020304\n");
  options_.ciphers = "ALL";
  auto made = link();
  EXPECT_EQ(made->shake_hands(), is_13()) << "TLS 1.3 goes on with the certificate";
  EXPECT_FALSE(made->server->identity().resumed);
  EXPECT_EQ(made->server->identity().psk_identity, "");
}

// A certificate may end before the ticket does. So that nobody waits for it, the first connection does not look at
// times.
TEST_P(TlsTicketTest, DoNotOutliveTheCertificate) {
  const Identity client({"short", "", &authority_, -3600, -1});
  ask_for_certificates(ClientCertificates::kRequired);
  options_.identity = &client;
  const auto lenient = context();
  SSL* const any = lenient->new_connection();
  X509_STORE_set_flags(SSL_CTX_get_cert_store(SSL_get_SSL_CTX(any)), X509_V_FLAG_NO_CHECK_TIME);
  SSL_free(any);
  TlsLink first(lenient, options_);
  (void)first.shake_hands();
  ASSERT_TRUE(first.client.established());
  const auto session = first.client.session();
  options_.session = session.get();
  auto refused = link();
  EXPECT_FALSE(refused->shake_hands());
  EXPECT_EQ(SSL_session_reused(refused->client.ssl()), 1) << "the ticket itself is good";
  EXPECT_NE(refused->why().find("certificate has expired"), std::string::npos) << refused->why();
}

}  // namespace
}  // namespace petrel::net
