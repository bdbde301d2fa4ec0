#include "load/publisher.h"

#include <algorithm>

#include "wire/encode.h"

namespace petrel::load {

using wire::PacketType;

namespace {

constexpr std::size_t kUnsentBytes = std::size_t{256} << 10;

}  // namespace

Publisher::Publisher(LinkHost& host, Traffic& traffic, LinkSettings settings, std::uint32_t index)
    : Link(host, std::move(settings)), traffic_(traffic), index_(index), window_(traffic.plan.window) {
  const Plan& plan = traffic_.plan;
  const std::string payload(plan.payload_bytes, '\0');
  wire::Publish publish;
  publish.topic = traffic_.topics[index];
  publish.qos = plan.qos;
  publish.packet_id = plan.qos == wire::Qos::k0 ? 0 : 1;
  publish.payload = payload;
  packet_.resize(wire::encoded_size(version(), publish));
  wire::encode(version(), publish, packet_.data());
  const std::size_t properties = version() == wire::ProtocolVersion::kV5 ? 1 : 0;
  packet_id_at_ = packet_.size() - payload.size() - properties - 2;
  exchanges_.resize(std::size_t{window_} + 1, Exchange::kNone);
  for (std::uint32_t id = window_; id != 0; --id) free_.push_back(static_cast<wire::PacketId>(id));
}

void Publisher::on_connack(const wire::Connack& connack) {
  // What the broker does not take is not sent: identifiers above its maximum are not used.
  if (!connack.receive_maximum || *connack.receive_maximum >= window_) return;
  window_ = *connack.receive_maximum;
  std::erase_if(free_, [this](wire::PacketId id) { return id > window_; });
}

bool Publisher::may_send() {
  if (!traffic_.publishing || is_done()) return false;
  if (unsent_bytes() > kUnsentBytes) {
    go_on_when_writable();
    return false;
  }
  if (traffic_.plan.qos != wire::Qos::k0 && free_.empty()) return false;
  if (traffic_.ahead() == 0) return true;
  const std::uint64_t receivers = traffic_.plan.receivers();
  if (next_ * receivers < traffic_.delivered(index_) + traffic_.ahead() * receivers) return true;
  traffic_.wait_for_delivery(index_);
  return false;
}

void Publisher::pump() {
  const Clock::time_point now = Clock::now();
  while (may_send()) {
    Clock::time_point due = now;
    if (traffic_.plan.rate > 0) due = traffic_.due(index_, next_);
    if (due > now) return;
    send(due);
  }
}

void Publisher::send(Clock::time_point due) {
  std::string& out = output();
  const std::size_t at = out.size();
  out += packet_;
  char* packet = out.data() + at;
  if (traffic_.plan.qos != wire::Qos::k0) {
    const wire::PacketId id = free_.back();
    free_.pop_back();
    exchanges_[id] = Exchange::kAwaitsAck;
    ++traffic_.unacknowledged;
    put_u16(packet + packet_id_at_, id);
  }
  traffic_.fill(packet + packet_.size() - traffic_.plan.payload_bytes, {traffic_.run, index_, next_, nanoseconds(due)});
  ++next_;
  ++traffic_.outcome.published;
}

void Publisher::on_ack(const wire::Ack& ack) {
  if (ack.packet_id >= exchanges_.size()) return lose("an acknowledgement of what was not sent");
  Exchange& exchange = exchanges_[ack.packet_id];
  const PacketType first = traffic_.plan.qos == wire::Qos::k2 ? PacketType::kPubrec : PacketType::kPuback;
  if (exchange == Exchange::kAwaitsAck && ack.type == first) {
    if (wire::is_error(ack.reason)) ++traffic_.outcome.refused;
    if (first == PacketType::kPuback || wire::is_error(ack.reason)) return finish(ack.packet_id);
    exchange = Exchange::kAwaitsPubcomp;
    return write_ack(PacketType::kPubrel, ack.packet_id);
  }
  if (exchange == Exchange::kAwaitsPubcomp && ack.type == PacketType::kPubcomp) return finish(ack.packet_id);
  lose("an acknowledgement of what was not sent");
}

void Publisher::finish(wire::PacketId packet_id) {
  exchanges_[packet_id] = Exchange::kNone;
  --traffic_.unacknowledged;
  free_.push_back(packet_id);
}

}  // namespace petrel::load
