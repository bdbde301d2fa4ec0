#include "net/tls_context_builder.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "net/tls_callbacks.h"

namespace petrel::net {

namespace {

constexpr std::string_view kDefaultCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
// Small devices know only some of those with a pre-shared key. They come first, as in TLS 1.3: who offers them has a
// key, and proves nothing with the broker's certificate.
constexpr std::string_view kDefaultPskCiphers =
    "kECDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20:kPSK+AESCCM:kECDHEPSK+AES:kPSK+AES:";
// A key without a hash goes with SHA-256 (RFC 8446, 4.2.11), and the cipher is chosen before the key is looked for.
constexpr std::string_view kDefaultPskSuites =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr std::size_t kMaxChainBytes = 32'768;
constexpr std::uintmax_t kMaxFileBytes = 64 << 20;

// Why OpenSSL's last call failed, in its words.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_error();
  const char* const reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

struct FileRead {
  std::string bytes;
  std::optional<TlsError> failure;
};

FileRead read_file(std::string_view kind, const std::string& name) {
  const auto failed = [&](std::string_view why, std::string_view remedy) {
    return FileRead{{}, TlsError{fmt::format("{} \"{}\": {}; {}", kind, name, why, remedy)}};
  };
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) return failed("this is a folder", "name a file");
  errno = 0;
  std::ifstream in(name, std::ios::binary);
  if (!in) return failed(std::strerror(errno), "check the path and that the broker may read it");
  if (std::filesystem::file_size(name, error) > kMaxFileBytes && !error)
    return failed("the file is far too large", "check the path");
  std::ostringstream all;
  all << in.rdbuf();
  if (in.bad()) return failed("reading fails", "check the disk");
  return {std::move(all).str(), std::nullopt};
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
Bio bio_of(const std::string& bytes) {
  return {BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())), BIO_free};
}

// Reading PEM objects one after the other ends with this error when there is no further one.
bool at_end_of_pem() {
  const unsigned long code = ERR_peek_error();
  const bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

// A broker has nobody at its terminal to type a password.
int no_password(char*, int, int, void*) { return -1; }

// The list of the client's own CA must be there. Those of the CAs above are looked at if they are.
int judge_certificate(int good, X509_STORE_CTX* judged) {
  if (good == 1) return 1;
  if (X509_STORE_CTX_get_error(judged) != X509_V_ERR_UNABLE_TO_GET_CRL) return 0;
  if (X509_STORE_CTX_get_error_depth(judged) == 0) return 0;
  X509_STORE_CTX_set_error(judged, X509_V_OK);
  return 1;
}

bool ends_before_now(const ASN1_TIME* time) { return time != nullptr && X509_cmp_current_time(time) < 0; }

// `failure`, if there is one, is about this.
std::optional<TlsError> about(TlsSetting setting, std::optional<TlsError> failure) {
  if (failure) failure->about = setting;
  return failure;
}

int version_number(TlsVersion version) { return version == TlsVersion::k12 ? TLS1_2_VERSION : TLS1_3_VERSION; }

}  // namespace

Result<std::shared_ptr<const TlsContext>, TlsError> TlsContextBuilder::build() {
  ERR_clear_error();
  made_ = std::shared_ptr<TlsContext>(new TlsContext());
  made_->ticket_keys_ = settings_.ticket_keys;
  if (auto failure = check_settings()) return std::move(*failure);
  for (const std::string& name : settings_.alpn) {
    made_->alpn_.push_back(static_cast<std::uint8_t>(name.size()));
    made_->alpn_.insert(made_->alpn_.end(), name.begin(), name.end());
  }
  bind(fmt::format("{}", static_cast<int>(settings_.client_certificates)));
  if (auto failure = about(TlsSetting::kPskFile, read_psk())) return std::move(*failure);
  if (auto failure = read_trust()) return std::move(*failure);
  if (settings_.certificates.empty()) {
    if (auto failure = add_site(nullptr)) return std::move(*failure);
  }
  for (const TlsCertificate& files : settings_.certificates)
    if (auto failure = add_site(&files)) return std::move(*failure);
  for (const auto& site : made_->sites_) TlsCallbacks::install(*made_, *site);
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(made_));
}

TlsContextBuilder::Failure TlsContextBuilder::check_settings() const {
  if (settings_.certificates.empty() && settings_.psk_file.empty())
    return TlsError{"a TLS listener needs a certificate with its key, or a file of pre-shared keys; give one of them"};
  const bool asks = settings_.client_certificates != ClientCertificates::kNone;
  const bool trusts = !settings_.ca_file.empty() || !settings_.ca_folder.empty();
  if (asks && !trusts)
    return TlsError{"clients' certificates are asked for, but no CA is told; give the CA's file or folder",
                    TlsSetting::kClientCertificates};
  if (!asks && !settings_.crl_file.empty())
    return TlsError{"a CRL is given, but clients' certificates are not asked for; ask for them or leave the CRL out",
                    TlsSetting::kCrlFile};
  if (settings_.min_version > settings_.max_version)
    return TlsError{"the least TLS version is above the greatest; give 1.2 and 1.3, or the same twice",
                    TlsSetting::kVersions};
  for (const std::string& name : settings_.alpn)
    if (name.empty() || name.size() > 255)
      return TlsError{"the name of an ALPN protocol has 1 to 255 bytes", TlsSetting::kAlpn};
  return std::nullopt;
}

void TlsContextBuilder::bind(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  const std::string all = bound_ + bytes;
  EVP_Digest(all.data(), all.size(), digest.data(), &size, EVP_sha256(), nullptr);
  bound_.assign(reinterpret_cast<const char*>(digest.data()), size);
}

TlsContextBuilder::Failure TlsContextBuilder::read_psk() {
  if (settings_.psk_file.empty()) return std::nullopt;
  FileRead file = read_file("PSK file", settings_.psk_file);
  if (file.failure) return file.failure;
  auto table = PskTable::parse(file.bytes);
  if (!table) return TlsError{fmt::format("PSK file \"{}\", {}", settings_.psk_file, table.error())};
  if (table->size() == 0) made_->warnings_.push_back(fmt::format("PSK file \"{}\" holds no key", settings_.psk_file));
  made_->psk_ = std::move(*table);
  bind(file.bytes);
  OPENSSL_cleanse(file.bytes.data(), file.bytes.size());
  return std::nullopt;
}

// --- who is trusted

TlsContextBuilder::Failure TlsContextBuilder::read_trust() {
  store_.reset(X509_STORE_new());
  names_.reset(sk_X509_NAME_new_null());
  if (settings_.client_certificates == ClientCertificates::kNone) return std::nullopt;
  if (!settings_.ca_file.empty())
    if (auto failure = about(TlsSetting::kCaFile, read_authorities(settings_.ca_file))) return failure;
  if (!settings_.ca_folder.empty())
    if (auto failure = about(TlsSetting::kCaFolder, read_authority_folder())) return failure;
  return settings_.crl_file.empty() ? std::nullopt : about(TlsSetting::kCrlFile, read_revoked());
}

TlsContextBuilder::Failure TlsContextBuilder::read_authorities(const std::string& name) {
  FileRead file = read_file("CA file", name);
  if (file.failure) return file.failure;
  const Bio bio = bio_of(file.bytes);
  int count = 0;
  for (;; ++count) {
    const std::unique_ptr<X509, decltype(&X509_free)> authority(
        PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), X509_free);
    if (authority == nullptr) break;
    if (ends_before_now(X509_get0_notAfter(authority.get())))
      made_->warnings_.push_back(fmt::format("CA file \"{}\": certificate {} has expired", name, count + 1));
    X509_STORE_add_cert(store_.get(), authority.get());
    sk_X509_NAME_push(names_.get(), X509_NAME_dup(X509_get_subject_name(authority.get())));
  }
  if (!at_end_of_pem())
    return TlsError{fmt::format("CA file \"{}\": certificate {}: {}", name, count + 1, openssl_reason())};
  if (count == 0)
    return TlsError{
        fmt::format("CA file \"{}\" holds no certificate in PEM; it must have a BEGIN CERTIFICATE line", name)};
  bind(file.bytes);
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::read_authority_folder() {
  std::error_code error;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(settings_.ca_folder, error)) {
    const std::string extension = entry.path().extension();
    if (extension == ".pem" || extension == ".crt" || extension == ".cer") files.push_back(entry.path());
  }
  if (error)
    return TlsError{fmt::format("CA folder \"{}\": {}; check the path and that the broker may read it",
                                settings_.ca_folder, error.message())};
  if (files.empty())
    return TlsError{
        fmt::format("CA folder \"{}\" holds no file named *.pem, *.crt or *.cer; put the CA's certificate there",
                    settings_.ca_folder)};
  std::sort(files.begin(), files.end());
  for (const std::string& file : files)
    if (auto failure = read_authorities(file)) return failure;
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::read_revoked() {
  const std::string& name = settings_.crl_file;
  FileRead file = read_file("CRL file", name);
  if (file.failure) return file.failure;
  const Bio bio = bio_of(file.bytes);
  int count = 0;
  for (;; ++count) {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(
        PEM_read_bio_X509_CRL(bio.get(), nullptr, no_password, nullptr), X509_CRL_free);
    if (list == nullptr) break;
    if (ends_before_now(X509_CRL_get0_nextUpdate(list.get())))
      made_->warnings_.push_back(
          fmt::format("CRL file \"{}\": list {} is out of date, so certificates of its CA are refused; fetch a new one",
                      name, count + 1));
    X509_STORE_add_crl(store_.get(), list.get());
  }
  if (!at_end_of_pem()) return TlsError{fmt::format("CRL file \"{}\": list {}: {}", name, count + 1, openssl_reason())};
  if (count == 0)
    return TlsError{fmt::format("CRL file \"{}\" holds no list in PEM; it must have a BEGIN X509 CRL line", name)};
  X509_STORE_set_flags(store_.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  bind(file.bytes);
  return std::nullopt;
}

// --- one context for each certificate

TlsContextBuilder::Failure TlsContextBuilder::add_site(const TlsCertificate* files) {
  made_->sites_.push_back(std::make_unique<TlsContext::Site>());
  TlsContext::Site& site = *made_->sites_.back();
  site.context = SSL_CTX_new(TLS_server_method());
  if (site.context == nullptr) return TlsError{"OpenSSL has no memory for a context"};
  if (auto failure = set_rules(site.context)) return failure;
  if (auto failure = set_trust(site.context)) return failure;
  if (files == nullptr) return std::nullopt;
  if (auto failure = use_certificate(site.context, *files)) return failure;
  if (auto failure = about(TlsSetting::kKey, use_key(site.context, *files))) return failure;
  return files->ocsp_file.empty() ? std::nullopt : about(TlsSetting::kOcsp, use_ocsp(site, files->ocsp_file));
}

TlsContextBuilder::Failure TlsContextBuilder::set_rules(SSL_CTX* context) const {
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // What has come is read at once, not a record's header first.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_max_cert_list(context, static_cast<long>(kMaxChainBytes));
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, static_cast<long>(settings_.ticket_lifetime_s));
  if (settings_.ticket_keys == nullptr) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, settings_.ticket_keys == nullptr ? 0 : 1);
  SSL_CTX_set_min_proto_version(context, version_number(settings_.min_version));
  SSL_CTX_set_max_proto_version(context, version_number(settings_.max_version));

  const auto unknown = [](TlsSetting setting, std::string_view what, const std::string& value, std::string_view where) {
    return TlsError{fmt::format("{} \"{}\": {}; see {}", what, value, openssl_reason(), where), setting};
  };
  const bool with_psk = !settings_.psk_file.empty();
  std::string ciphers = settings_.ciphers, suites = settings_.cipher_suites;
  if (ciphers.empty()) ciphers = std::string(with_psk ? kDefaultPskCiphers : "").append(kDefaultCiphers);
  if (suites.empty() && with_psk) suites = kDefaultPskSuites;
  if (SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1)
    return unknown(TlsSetting::kCiphers, "ciphers", ciphers, "openssl ciphers -v");
  if (!suites.empty() && SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1)
    return unknown(TlsSetting::kCipherSuites, "cipher suites", suites, "openssl ciphers -v -tls1_3 -s");
  if (!settings_.groups.empty() && SSL_CTX_set1_groups_list(context, settings_.groups.c_str()) != 1)
    return unknown(TlsSetting::kGroups, "groups", settings_.groups, "openssl ecparam -list_curves, and X25519");
  if (!settings_.psk_hint.empty() && SSL_CTX_use_psk_identity_hint(context, settings_.psk_hint.c_str()) != 1)
    return unknown(TlsSetting::kPskHint, "PSK hint", settings_.psk_hint, "its length: at most 256 bytes");
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::set_trust(SSL_CTX* context) {
  SSL_CTX_set_session_id_context(
      context, reinterpret_cast<const unsigned char*>(bound_.data()),
      static_cast<unsigned int>(std::min<std::size_t>(bound_.size(), SSL_MAX_SID_CTX_LENGTH)));
  if (settings_.client_certificates == ClientCertificates::kNone) return std::nullopt;
  SSL_CTX_set1_cert_store(context, store_.get());
  // Whom the client is told to have a certificate from.
  SSL_CTX_set_client_CA_list(context, SSL_dup_CA_list(names_.get()));
  const bool required = settings_.client_certificates == ClientCertificates::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), judge_certificate);
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::use_certificate(SSL_CTX* context, const TlsCertificate& files) {
  const FileRead file = read_file("certificate file", files.certificate_file);
  if (file.failure) return file.failure;
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate_file.c_str()) != 1) {
    if (at_end_of_pem())
      return TlsError{
          fmt::format("certificate file \"{}\" holds no certificate in PEM; it must have a BEGIN CERTIFICATE line",
                      files.certificate_file)};
    return TlsError{fmt::format("certificate file \"{}\": {}", files.certificate_file, openssl_reason())};
  }
  X509* const certificate = SSL_CTX_get0_certificate(context);
  if (ends_before_now(X509_get0_notAfter(certificate)))
    made_->warnings_.push_back(
        fmt::format("certificate file \"{}\": the certificate has expired", files.certificate_file));
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
    made_->warnings_.push_back(
        fmt::format("certificate file \"{}\": the certificate is not valid yet", files.certificate_file));
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::use_key(SSL_CTX* context, const TlsCertificate& files) {
  FileRead file = read_file("key file", files.key_file);
  if (file.failure) return file.failure;
  const Bio bio = bio_of(file.bytes);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  const bool encrypted = file.bytes.find("ENCRYPTED") != std::string::npos;
  OPENSSL_cleanse(file.bytes.data(), file.bytes.size());
  if (key == nullptr) {
    const std::string reason = openssl_reason();
    if (encrypted)
      return TlsError{
          fmt::format("key file \"{}\" is encrypted; decrypt it: openssl pkey -in FILE -out NEW", files.key_file)};
    return TlsError{
        fmt::format("key file \"{}\" holds no private key in PEM ({}); it must have a BEGIN PRIVATE KEY line",
                    files.key_file, reason)};
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    ERR_clear_error();
    return TlsError{
        fmt::format("key file \"{}\" does not belong to certificate file \"{}\"; give the key that the certificate "
                    "was made for",
                    files.key_file, files.certificate_file)};
  }
  return std::nullopt;
}

TlsContextBuilder::Failure TlsContextBuilder::use_ocsp(TlsContext::Site& site, const std::string& name) {
  FileRead file = read_file("OCSP file", name);
  if (file.failure) return file.failure;
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.bytes.data());
  const std::unique_ptr<OCSP_RESPONSE, decltype(&OCSP_RESPONSE_free)> response(
      d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(file.bytes.size())), OCSP_RESPONSE_free);
  const auto bad = [&](std::string_view why) {
    ERR_clear_error();
    return TlsError{fmt::format("OCSP file \"{}\": {}; fetch it: openssl ocsp -respout FILE ...", name, why)};
  };
  if (response == nullptr) return bad("this is no OCSP response in DER");
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) return bad("the CA gave no answer");
  const std::unique_ptr<OCSP_BASICRESP, decltype(&OCSP_BASICRESP_free)> basic(OCSP_response_get1_basic(response.get()),
                                                                              OCSP_BASICRESP_free);
  OCSP_SINGLERESP* const single = basic == nullptr ? nullptr : OCSP_resp_get0(basic.get(), 0);
  if (single == nullptr) return bad("it tells of no certificate");
  ASN1_GENERALIZEDTIME* ends = nullptr;
  const int status = OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &ends);
  if (status != V_OCSP_CERTSTATUS_GOOD) return bad("it does not call the certificate good");
  if (ends != nullptr) site.ocsp_ends = {ASN1_STRING_dup(ends), ASN1_TIME_free};
  if (ends_before_now(ends))
    made_->warnings_.push_back(
        fmt::format("OCSP file \"{}\" is out of date and not sent to clients; fetch a new one", name));
  site.ocsp = std::move(file.bytes);
  return std::nullopt;
}

}  // namespace petrel::net
