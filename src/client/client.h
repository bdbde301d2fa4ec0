// A small blocking MQTT client for the command line: one connection, QoS 0 to 2 both ways, driven by step(). It is not
// the client library: it neither reconnects nor runs in the background.
//
// Threads: one. Views in a received message are valid during the callback.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/incoming.h"
#include "session/outgoing.h"
#include "wire/decode.h"
#include "wire/packet.h"

namespace petrel::client {

struct ClientError {
  std::string what;
  wire::ReasonCode reason = wire::ReasonCode::kUnspecifiedError;
};

class Client {
 public:
  Client() = default;
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Opens the connection, sends CONNECT and waits for CONNACK.
  Result<void, ClientError> connect(const std::string& host, std::uint16_t port, const wire::Connect& connect,
                                    int timeout_ms);
  bool connected() const { return fd_ >= 0; }
  const wire::Connack& connack() const { return connack_; }

  // Called for each application message, once for QoS 2.
  std::function<void(const wire::Publish&)> on_message;
  // Called for each topic filter of a SUBACK or UNSUBACK.
  std::function<void(wire::ReasonCode)> on_subscribed;
  // Called when a QoS 1 or 2 publication is done, with the receiver's reason.
  std::function<void(wire::ReasonCode)> on_published;

  // Told of each packet that is queued or has been read: "sending PUBLISH (...)", "received PUBACK (...)".
  std::function<void(std::string_view)> on_packet;

  // Queues the packet; step() sends it. QoS 1 and 2 wait for the window: may_publish() says whether it is open.
  bool may_publish() { return outgoing_.can_send() && output_.size() - sent_bytes_ < kOutputMark; }
  void publish(const wire::Publish& publish);
  void subscribe(wire::Subscribe subscribe);
  void unsubscribe(wire::Unsubscribe unsubscribe);
  void disconnect(const wire::Disconnect& disconnect);

  // Sends and receives what can be, waits at most timeout_ms for more, or until other_fd has something to read. An
  // error ends the connection.
  Result<void, ClientError> step(int timeout_ms, int other_fd = -1);
  // From a callback: nothing more is taken. What has arrived behind this packet stays unacknowledged, so that a session
  // gets it again.
  void stop() { stopped_ = true; }
  // Everything is sent and acknowledged.
  bool idle() const { return output_.empty() && outgoing_.idle() && control_.empty(); }

 private:
  static constexpr std::size_t kOutputMark = 1U << 20;
  static constexpr std::uint32_t kMaxPacketBytes = 268'435'460;

  template <class Packet>
  void write(const Packet& packet);
  template <class Packet>
  void tell_received(const Packet& packet) const;
  Result<void, ClientError> receive();
  Result<void, ClientError> dispatch(const wire::Frame& frame);
  Result<void, ClientError> on_publish(const wire::Frame& frame);
  Result<void, ClientError> on_ack(const wire::Frame& frame);
  Result<void, ClientError> flush();
  void keep_alive();
  TimeMs keep_alive_due() const;
  bool server_is_silent() const;
  void close();
  ClientError lost(std::string what, wire::ReasonCode reason = wire::ReasonCode::kUnspecifiedError);

  int fd_ = -1;
  wire::ProtocolVersion version_ = wire::ProtocolVersion::kV311;
  std::string input_, output_;
  std::size_t sent_bytes_ = 0;  // of output_
  wire::Connack connack_;
  bool have_connack_ = false;
  bool stopped_ = false;
  session::Outgoing outgoing_;
  session::Incoming incoming_;
  std::map<std::uint16_t, std::string> aliases_;
  std::vector<wire::PacketId> control_;  // SUBSCRIBE and UNSUBSCRIBE not yet acknowledged
  wire::PacketId next_control_id_ = 65535;
  TimeMs keep_alive_ms_ = 0, last_sent_ = 0, last_received_ = 0;
  TimeMs pinged_at_ = 0;  // a PINGREQ is not answered yet; 0: none is
};

}  // namespace petrel::client
