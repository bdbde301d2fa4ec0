// By which listener the broker is attacked, and what lies between packets and the socket there: TLS, WebSocket, both or
// nothing. The client's side, without any check of certificates.
//
// Threads: a Door is read by any; a Channel has one user and needs its door only while it is made.
#pragma once

#include <openssl/types.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace petrel::hostile {

struct Door {
  // `kind` is tcp, tls, ws or wss.
  Door(std::uint16_t port, std::string_view kind);
  bool layered() const { return tls != nullptr || websocket; }

  std::uint16_t port;
  bool websocket;
  std::shared_ptr<SSL_CTX> tls;  // null: without
};

// A non-blocking stream through the door's layers. Results are those of send(2) and recv(2).
class Channel {
 public:
  enum class Manners : std::uint8_t {
    kProper,
    kBare,  // speaks MQTT at once, whatever the door expects
    kBent,  // as proper, but bits of what is sent are turned now and then
  };
  Channel(int fd, const Door& door, Manners manners = Manners::kProper,
          std::uint64_t seed = 0);  // takes the descriptor
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int fd() const { return fd_; }
  bool is_proper() const { return proper_; }
  // The socket is connected: the handshakes begin.
  void begin();
  // Handshakes are over: send() takes something. Until then, and while wants_write(), flush() is to be called when the
  // socket is ready.
  bool established() const { return established_; }
  bool wants_write() const { return !held_.empty(); }
  // False when the connection is broken.
  bool flush();

  ssize_t send(BytesView bytes);
  ssize_t receive(std::span<char> into);
  // Something is left for receive() though the socket may stay silent.
  bool has_buffered() const { return !plain_.empty(); }

 private:
  bool take_input();
  void advance_handshakes();
  void hold_frame(BytesView payload);
  void hold(BytesView bytes);
  void seal();
  bool take_frames();
  ssize_t take_plain(std::span<char> into);

  int fd_;
  SSL* tls_ = nullptr;
  bool websocket_;
  bool proper_ = true;
  bool established_ = false;
  bool upgraded_ = false;
  bool ended_ = false;   // the broker sends no more
  bool broken_ = false;  // errno is kept
  int error_ = 0;
  std::uint64_t bend_ = 0;  // state of the randomness of a bent one; 0: none
  std::string held_;        // for the socket
  std::string frames_;      // from below, not yet taken apart
  std::string plain_;       // of frames, not yet given to the user
};

}  // namespace petrel::hostile
