// What TlsContext says of files and settings that will not do, and what a reload changes.
#include <gtest/gtest.h>

#include "net/tls_context.h"
#include "net/tls_test_support.h"

namespace petrel::net {
namespace {

class TlsFilesTest : public testing::Test {
 protected:
  TlsFilesTest() {
    good_.certificates = {{write("good.pem", server_.certificate_pem()), write("good.key", server_.key_pem()), ""}};
  }
  std::string write(const std::string& name, const std::string& text) { return folder_.write(name, text); }
  // The good settings, changed.
  std::string complaint(const std::function<void(TlsSettings&)>& change) {
    TlsSettings settings = good_;
    change(settings);
    const auto made = TlsContext::create(settings);
    EXPECT_EQ(ERR_peek_error(), 0UL) << "no error is left behind";
    return made.has_value() ? "none" : made.error().what;
  }

  Folder folder_;
  Identity authority_{{"Test CA", "", nullptr}};
  Identity server_{{"broker.example", "DNS:broker.example", &authority_}};
  Identity other_{{"other.example", "", &authority_}};
  TlsSettings good_;
};

TEST_F(TlsFilesTest, SaysWhatIsWrongAndWhatToDo) {
  const std::string text = write("text", "not PEM");
  const std::string broken = write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const std::string missing = folder_.path("missing");
  const std::string empty_folder = folder_.path("empty");
  std::filesystem::create_directory(empty_folder);
  const auto trust = [&](TlsSettings& s) {
    s.client_certificates = ClientCertificates::kRequired;
    s.ca_file = write("ca.pem", authority_.certificate_pem());
  };
  using S = TlsSettings;
  struct Case {
    std::function<void(TlsSettings&)> change;
    std::string names, why;
  };
  const std::vector<Case> cases = {
      {[](S&) {}, "none", ""},
      {[](S& s) { s.certificates.clear(); }, "needs a certificate", "give one"},
      {[&](S& s) { s.certificates[0].certificate_file = missing; }, "certificate file \"" + missing, "No such file"},
      {[&](S& s) { s.certificates[0].certificate_file = empty_folder; }, "certificate file", "this is a folder"},
      {[&](S& s) { s.certificates[0].certificate_file = text; }, "certificate file \"" + text, "no certificate in PEM"},
      {[&](S& s) { s.certificates[0].certificate_file = broken; }, "certificate file \"" + broken, ""},
      {[&](S& s) { s.certificates[0].key_file = missing; }, "key file \"" + missing, "No such file"},
      {[&](S& s) { s.certificates[0].key_file = text; }, "key file \"" + text, "BEGIN PRIVATE KEY"},
      {[&](S& s) { s.certificates[0].key_file = write("other.key", other_.key_pem()); }, "other.key",
       "does not belong to"},
      {[&](S& s) { s.certificates[0].key_file = write("locked.key", other_.key_pem("secret")); }, "locked.key",
       "is encrypted; decrypt it"},
      {[&](S& s) {
         s.certificates.push_back({missing, missing, ""});
       },
       missing, "No such file"},
      {[&](S& s) { s.certificates[0].ocsp_file = text; }, "OCSP file \"" + text, "no OCSP response in DER"},
      {[&](S& s) {
         s.certificates[0].ocsp_file = write("ocsp", authority_.ocsp_der(server_, V_OCSP_CERTSTATUS_REVOKED));
       },
       "OCSP file", "does not call the certificate good"},
      {[](S& s) { s.client_certificates = ClientCertificates::kOptional; }, "no CA is told", "file or folder"},
      {[&](S& s) { trust(s), s.ca_file = text; }, "CA file \"" + text, "no certificate in PEM"},
      {[&](S& s) { trust(s), s.ca_file = broken; }, "CA file \"" + broken, "certificate 1"},
      {[&](S& s) { trust(s), s.ca_folder = missing; }, "CA folder \"" + missing, "No such file"},
      {[&](S& s) { trust(s), s.ca_folder = empty_folder; }, "CA folder", "*.pem, *.crt"},
      {[&](S& s) { trust(s), s.crl_file = text; }, "CRL file \"" + text, "BEGIN X509 CRL"},
      {[&](S& s) { trust(s), s.crl_file = write("ca2.pem", authority_.certificate_pem()); }, "CRL file", "no list"},
      {[&](S& s) { s.crl_file = text; }, "a CRL is given", "leave the CRL out"},
      {[&](S& s) { s.psk_file = missing; }, "PSK file \"" + missing, "No such file"},
      {[&](S& s) { s.psk_file = write("psk", "a:01\nb\n"); }, "psk\", line 2", "IDENTITY:HEXKEY"},
      {[](S& s) { s.min_version = TlsVersion::k13, s.max_version = TlsVersion::k12; }, "above the greatest", ""},
      {[](S& s) { s.ciphers = "NO-SUCH"; }, "ciphers \"NO-SUCH\"", "openssl ciphers"},
      {[](S& s) { s.cipher_suites = "NO-SUCH"; }, "cipher suites \"NO-SUCH\"", "openssl ciphers"},
      {[](S& s) { s.groups = "NO-SUCH"; }, "groups \"NO-SUCH\"", ""},
      {[](S& s) { s.psk_hint = std::string(300, 'h'); }, "PSK hint", ""},
      {[](S& s) { s.alpn = {""}; }, "ALPN", "1 to 255"},
  };
  for (const Case& c : cases) {
    const std::string what = complaint(c.change);
    EXPECT_NE(what.find(c.names), std::string::npos) << "expected " << c.names << ", got " << what;
    EXPECT_NE(what.find(c.why), std::string::npos) << "expected " << c.why << ", got " << what;
  }
}

TEST_F(TlsFilesTest, WarnsOfWhatHasExpired) {
  const Identity old({"old.example", "", &authority_, -7200, -60});
  good_.certificates[0] = {write("old.pem", old.certificate_pem()), write("old.key", old.key_pem()), ""};
  const auto made = TlsContext::create(good_);
  ASSERT_TRUE(made.has_value()) << made.error().what;
  ASSERT_EQ((*made)->warnings().size(), 1U);
  EXPECT_NE((*made)->warnings()[0].find("has expired"), std::string::npos);
}

TEST_F(TlsFilesTest, AReloadServesNewConnectionsAndKeepsTheOld) {
  auto first = TlsContext::create(good_);
  ASSERT_TRUE(first.has_value());
  TlsContextHolder holder(std::move(*first));
  TlsLink before(holder.get(), {});
  ASSERT_TRUE(before.shake_hands());
  TlsLink halfway(holder.get(), {});
  halfway.to_server();
  EXPECT_EQ(before.client.peer_name(), "broker.example");

  write("good.pem", other_.certificate_pem());
  const auto refused = holder.reload(good_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().what.find("does not belong to"), std::string::npos) << refused.error().what;
  TlsLink unchanged(holder.get(), {});
  ASSERT_TRUE(unchanged.shake_hands());
  EXPECT_EQ(unchanged.client.peer_name(), "broker.example");

  write("good.key", other_.key_pem());
  const auto reloaded = holder.reload(good_);
  ASSERT_TRUE(reloaded.has_value()) << reloaded.error().what;
  TlsLink after(holder.get(), {});
  ASSERT_TRUE(after.shake_hands());
  EXPECT_EQ(after.client.peer_name(), "other.example");
  ASSERT_TRUE(halfway.shake_hands()) << "a handshake goes on with what it began with";
  EXPECT_EQ(halfway.client.peer_name(), "broker.example");
  before.client.write("still here");
  before.to_server();
  EXPECT_EQ(before.received, "still here");
}

}  // namespace
}  // namespace petrel::net
