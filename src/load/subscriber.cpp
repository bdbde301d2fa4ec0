#include "load/subscriber.h"

#include <algorithm>

namespace petrel::load {

using wire::PacketType;

Subscriber::Subscriber(LinkHost& host, Traffic& traffic, LinkSettings settings, std::uint32_t index,
                       std::vector<SharedSequence>* shared)
    : Link(host, std::move(settings)), traffic_(traffic), index_(index), shared_(shared) {}

void Subscriber::on_publish(const wire::Publish& publish) {
  if (publish.qos == wire::Qos::k1) write_ack(PacketType::kPuback, publish.packet_id);
  if (publish.qos == wire::Qos::k2) write_ack(PacketType::kPubrec, publish.packet_id);
  const auto stamp = traffic_.check(publish.payload);
  const bool misrouted = stamp && traffic_.plan.pattern == Pattern::kOneToOne && stamp->publisher != index_;
  if (!stamp || misrouted || publish.qos != traffic_.plan.qos || publish.topic != traffic_.topics[stamp->publisher]) {
    ++traffic_.outcome.damaged;
    return;
  }
  note(*stamp);
}

void Subscriber::note(const Stamp& stamp) {
  Outcome& outcome = traffic_.outcome;
  ++traffic_.arrived;
  bool fresh = true;
  if (shared_ != nullptr) {
    fresh = (*shared_)[stamp.publisher].note(stamp.number);
    std::uint64_t& next = last_[stamp.publisher];
    if (fresh && stamp.number < next) ++outcome.out_of_order;
    next = std::max(next, stamp.number + 1);
  } else {
    const Sequence::Verdict verdict = sequences_[stamp.publisher].note(stamp.number);
    if (verdict == Sequence::Verdict::kLate) ++outcome.out_of_order;
    fresh = verdict != Sequence::Verdict::kDuplicate;
  }
  if (!fresh) {
    ++outcome.duplicate;
    return;
  }
  ++outcome.received;
  traffic_.note_delivery(stamp.publisher);
  if (!traffic_.measuring) return;
  ++outcome.measured_messages;
  const std::uint64_t now_ns = nanoseconds(traffic_.now);
  outcome.latency.add(now_ns > stamp.due_ns ? now_ns - stamp.due_ns : 0);
}

void Subscriber::on_ack(const wire::Ack& ack) {
  if (ack.type == PacketType::kPubrel) write_ack(PacketType::kPubcomp, ack.packet_id);
}

}  // namespace petrel::load
