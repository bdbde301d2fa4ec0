// A client's connection through any door, for measuring: non-blocking, MQTT 3.1.1 packets over TCP, TLS, WebSocket or
// both. It shares no code with the broker. Threads: one. The context and the loop outlive it.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace petrel::bench {

[[noreturn]] void fail(std::string_view why);

struct Door {
  int port = 0;
  SSL_CTX* tls = nullptr;  // null: without
  bool websocket = false;
};

class DoorClient {
 public:
  // `on_packet` is told the first byte and the body of each packet.
  DoorClient(int epoll, const Door& door, SSL_SESSION* resume,
             std::function<void(DoorClient&, unsigned char, std::string_view)> on_packet);
  ~DoorClient();
  DoorClient(const DoorClient&) = delete;
  DoorClient& operator=(const DoorClient&) = delete;

  void on_events();
  // Puts a packet behind the others; write() sends what the socket takes.
  void put(std::string_view packet);
  void write();
  bool ready() const { return stage_ == Stage::kOpen; }
  bool has_output() const { return !out_.empty(); }
  SSL* ssl() const { return ssl_; }
  // Resets the connection, so that no port stays in use.
  void abort();

  std::function<void(DoorClient&)> on_ready;

 private:
  enum class Stage : std::uint8_t { kConnect, kTls, kUpgrade, kOpen };
  void advance();
  void read();
  long read_some(char* to, std::size_t size);
  void unframe();
  void cut_packets();
  void watch(bool writable);

  int epoll_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  bool websocket_;
  bool watching_output_ = true;
  Stage stage_ = Stage::kConnect;
  std::function<void(DoorClient&, unsigned char, std::string_view)> on_packet_;
  std::string out_;       // as the socket is to have it
  std::string received_;  // frames, of a WebSocket
  std::string packets_;
};

// --- packets
std::string connect_packet(std::string_view client_id);
std::string subscribe_packet(std::string_view filter, int qos);
std::string publish_packet(std::string_view topic, int qos, std::uint16_t id, std::string_view payload);
std::string puback_packet(std::string_view id);

}  // namespace petrel::bench
