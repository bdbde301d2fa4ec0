// User-space bytes of an idle connection's transport, as the allocator counts them: after the handshake and one
// exchange, with every buffer given back. The clients live in a child process, so only the broker's side is counted.
#include <fmt/format.h>
#include <malloc.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls_transport.h"
#include "net/websocket_transport.h"

namespace {

using namespace petrel;

constexpr int kConnections = 400;
constexpr std::string_view kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
constexpr std::string_view kPing = {"\xc0\x00", 2};
constexpr std::string_view kFramedPing = {"\x82\x82\x00\x00\x00\x00\xc0\x00", 8};

[[noreturn]] void fail(std::string_view why) {
  fmt::print(stderr, "transport_footprint: {}\n", why);
  std::_Exit(1);
}

// A certificate that signs itself, for the broker, its clients and their CA alike.
struct Files {
  Files() {
    std::string name = std::filesystem::temp_directory_path() / "petrel-footprint-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) fail("no temporary folder");
    folder = name;
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const made = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("client-0001"), -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    write(certificate(), [&](FILE* out) { return PEM_write_X509(out, made); });
    write(this->key(),
          [&](FILE* out) { return PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
    X509_free(made);
    EVP_PKEY_free(key);
  }
  ~Files() { std::filesystem::remove_all(folder); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  static void write(const std::string& name, const std::function<int(FILE*)>& put) {
    FILE* const out = std::fopen(name.c_str(), "w");
    if (out == nullptr || put(out) != 1) fail("a key cannot be written");
    std::fclose(out);
  }
  std::string certificate() const { return folder + "/certificate"; }
  std::string key() const { return folder + "/key"; }
  std::string folder;
};

struct Kind {
  const char* name;
  int tls_version = 0;  // 0: plain
  bool client_certificate = false, websocket = false;
};

// The child: connects one after the other, pings, and keeps all until the parent is done.
void be_clients(const Kind& kind, const Files& files, const std::vector<int>& fds) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, kind.tls_version);
  SSL_CTX_set_max_proto_version(context, kind.tls_version);
  if (kind.client_certificate) {
    SSL_CTX_use_certificate_file(context, files.certificate().c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, files.key().c_str(), SSL_FILETYPE_PEM);
  }
  for (const int fd : fds) {
    SSL* const ssl = kind.tls_version == 0 ? nullptr : SSL_new(context);
    if (ssl != nullptr && (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)) fail("a client's handshake fails");
    const auto exchange = [&](std::string_view bytes) {
      std::array<char, 1000> room;
      const int size = static_cast<int>(bytes.size());
      const bool sent =
          ssl == nullptr ? write(fd, bytes.data(), bytes.size()) == size : SSL_write(ssl, bytes.data(), size) == size;
      const auto got = ssl == nullptr ? read(fd, room.data(), room.size()) : SSL_read(ssl, room.data(), room.size());
      if (!sent || got <= 0) fail("a client's exchange fails");
    };
    if (kind.websocket) exchange(kRequest);
    exchange(kind.websocket ? kFramedPing : kPing);
  }
  char byte = 0;
  (void)!read(fds.front(), &byte, 1);
}

// Until the client's ping has come, which is answered.
void serve(net::Transport& transport) {
  std::array<char, 65'536> room;
  for (;;) {
    pollfd wait{transport.fd(), POLLIN, 0};
    if (poll(&wait, 1, 10'000) != 1) fail("a client is silent");
    const iovec piece{room.data(), room.size()};
    const net::IoResult read = transport.read_some({&piece, 1});
    if (read.status == net::IoStatus::kWouldBlock) continue;
    if (read.status != net::IoStatus::kOk) fail(transport.failure(read));
    const iovec answer{room.data(), read.bytes};
    if (transport.write_some({&answer, 1}).bytes != read.bytes) fail("an answer is cut");
    return;
  }
}

std::size_t allocated() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void measure(const Kind& kind, const Files& files) {
  std::vector<int> near, far;
  for (int i = 0; i <= kConnections; ++i) {
    std::array<int, 2> ends;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) fail("too few descriptors: ulimit -n");
    near.push_back(ends[0]);
    far.push_back(ends[1]);
  }
  const pid_t child = fork();
  if (child == 0) {
    for (const int fd : near) close(fd);
    be_clients(kind, files, far);
    std::_Exit(0);
  }
  for (const int fd : far) close(fd);

  net::TlsSettings settings;
  settings.certificates = {{files.certificate(), files.key(), ""}};
  settings.ticket_keys = std::make_shared<net::TicketKeys>(3'600'000);
  if (kind.client_certificate) {
    settings.client_certificates = net::ClientCertificates::kRequired;
    settings.ca_file = files.certificate();
  }
  const auto context = net::TlsContext::create(settings);
  if (!context) fail(context.error().what);
  const net::WebSocketSettings websocket;
  std::vector<std::unique_ptr<net::Transport>> transports;
  transports.reserve(near.size());
  std::size_t before = 0;
  for (const int fd : near) {
    std::unique_ptr<net::Transport> made;
    if (kind.tls_version == 0) {
      made = std::make_unique<net::TcpTransport>(fd);
    } else {
      made = std::make_unique<net::TlsTransport>(fd, *context);
    }
    if (kind.websocket) made = std::make_unique<net::WebSocketTransport>(std::move(made), websocket);
    serve(*made);
    transports.push_back(std::move(made));
    // The first has filled OpenSSL's own tables.
    if (transports.size() == 1) before = allocated();
  }
  fmt::print("  {:<36} {:>7}\n", kind.name, (allocated() - before) / kConnections);
  transports.clear();
  waitpid(child, nullptr, 0);
}

}  // namespace

int main() {
  rlimit files_limit{};
  getrlimit(RLIMIT_NOFILE, &files_limit);
  files_limit.rlim_cur = files_limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files_limit);
  const Files files;
  fmt::print("bytes per idle connection, transport only ({})\n", OpenSSL_version(OPENSSL_VERSION));
  std::fflush(stdout);
  for (const Kind& kind : {
           Kind{"TCP"},
           Kind{"WebSocket", 0, false, true},
           Kind{"TLS 1.2", TLS1_2_VERSION},
           Kind{"TLS 1.2, client certificate", TLS1_2_VERSION, true},
           Kind{"TLS 1.3", TLS1_3_VERSION},
           Kind{"TLS 1.3, client certificate", TLS1_3_VERSION, true},
           Kind{"WebSocket over TLS 1.3", TLS1_3_VERSION, false, true},
       }) {
    measure(kind, files);
    std::fflush(stdout);
  }
}
