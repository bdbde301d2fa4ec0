// A transport whose peer is a proxy that tells who is behind it: by a PROXY header before the first byte, or later by a
// header of HTTP. Other connections do not carry what is kept here; what is seldom told lies aside.
//
// Threads: as the transport beneath.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "net/proxy_header.h"
#include "net/transport.h"

namespace petrel::net {

// The address of a client, smaller than an Address.
class ToldPeer {
 public:
  bool known() const { return kind_ != Kind::kNone; }
  void set(const Address& address);
  Address address() const;
  std::string name() const;  // as peer_name() writes it; without a port where none was told
  void set_tls(const ProxyHeader& header);
  void add_to(PeerIdentity& identity) const;

 private:
  enum class Kind : std::uint8_t { kNone, kIp4, kIp6, kUnix };
  struct Aside {
    std::string path, common_name, tls_version, cipher;
  };
  Aside& aside();

  std::unique_ptr<Aside> aside_;
  std::array<char, 16> ip_{};
  std::uint16_t port_ = 0;
  Kind kind_ = Kind::kNone;
};

template <class Base>
class ToldTransport final : public Base {
 public:
  // `header` is null where only HTTP tells.
  template <class... Arguments>
  explicit ToldTransport(const ProxyHeader* header, Arguments&&... arguments)
      : Base(std::forward<Arguments>(arguments)...) {
    if (header == nullptr) return;
    if (!header->source.empty()) peer_.set(header->source);
    peer_.set_tls(*header);
  }

  Address peer_address() const override { return peer_.known() ? peer_.address() : Base::peer_address(); }
  std::string peer_name() const override { return peer_.known() ? peer_.name() : Base::peer_name(); }
  void tell_peer(const Address& peer) override { peer_.set(peer); }
  // What the client has proved to the proxy, where it has proved nothing here.
  PeerIdentity identity() const override {
    PeerIdentity identity = Base::identity();
    if (identity.protocol.empty()) peer_.add_to(identity);
    return identity;
  }

 private:
  ToldPeer peer_;
};

}  // namespace petrel::net
