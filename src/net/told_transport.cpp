#include "net/told_transport.h"

#include <sys/un.h>

#include <cstring>

namespace petrel::net {

ToldPeer::Aside& ToldPeer::aside() {
  if (aside_ == nullptr) aside_ = std::make_unique<Aside>();
  return *aside_;
}

void ToldPeer::set(const Address& address) {
  if (address.is_unix()) {
    kind_ = Kind::kUnix;
    if (std::string path = address.path(); !path.empty()) aside().path = std::move(path);
    return;
  }
  const std::string bytes = address.ip_bytes();
  bytes.copy(ip_.data(), ip_.size());
  port_ = address.port();
  kind_ = bytes.size() == 4 ? Kind::kIp4 : Kind::kIp6;
}

Address ToldPeer::address() const {
  if (kind_ != Kind::kUnix) return Address::of_ip({ip_.data(), kind_ == Kind::kIp4 ? 4U : 16U}, port_);
  return Address::of_unix(aside_ == nullptr ? std::string_view{} : aside_->path);
}

std::string ToldPeer::name() const { return address().peer_text(); }

void ToldPeer::set_tls(const ProxyHeader& header) {
  if (header.common_name.empty() && header.tls_version.empty() && header.cipher.empty()) return;
  aside().common_name = header.common_name;
  aside().tls_version = header.tls_version;
  aside().cipher = header.cipher;
}

void ToldPeer::add_to(PeerIdentity& identity) const {
  if (aside_ == nullptr) return;
  identity.common_name = aside_->common_name;
  identity.protocol = aside_->tls_version;
  identity.cipher = aside_->cipher;
}

}  // namespace petrel::net
