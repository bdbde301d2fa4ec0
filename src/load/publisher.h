// A publisher of a load test: sends what is due as far as its window and its receivers allow, and goes through the
// exchanges of QoS 1 and 2.
//
// Threads: one. The traffic outlives it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "load/traffic.h"

namespace petrel::load {

class Publisher final : public Link {
 public:
  Publisher(LinkHost& host, Traffic& traffic, LinkSettings settings, std::uint32_t index);
  // Sends what may be sent now; the caller flushes.
  void pump();
  bool is_done() const { return traffic_.plan.messages != 0 && next_ >= traffic_.plan.messages; }

 private:
  enum class Exchange : std::uint8_t { kNone, kAwaitsAck, kAwaitsPubcomp };

  void on_publish(const wire::Publish&) override {}
  void on_ack(const wire::Ack& ack) override;
  void on_connack(const wire::Connack& connack) override;
  void on_turn_end() override { pump(); }
  bool may_send();
  void send(Clock::time_point due);
  void finish(wire::PacketId packet_id);

  Traffic& traffic_;
  const std::uint32_t index_;
  std::uint32_t window_;
  std::uint64_t next_ = 0;
  std::string packet_;  // a PUBLISH whose packet id and payload are still to be put in
  std::size_t packet_id_at_ = 0;
  std::vector<wire::PacketId> free_;  // the next to use last
  std::vector<Exchange> exchanges_;   // by packet id
};

}  // namespace petrel::load
