// A subscriber of a load test: acknowledges and checks what it gets.
//
// Threads: one. The traffic outlives it.
#pragma once

#include <unordered_map>
#include <vector>

#include "load/sequence.h"
#include "load/traffic.h"

namespace petrel::load {

class Subscriber final : public Link {
 public:
  // `index`: which of the subscribers; one to one it gets the messages of the publisher of this number, and of no
  // other. `shared`: what came to any member, by publisher; null without a shared subscription.
  Subscriber(LinkHost& host, Traffic& traffic, LinkSettings settings, std::uint32_t index,
             std::vector<SharedSequence>* shared);

 private:
  void on_publish(const wire::Publish& publish) override;
  void on_ack(const wire::Ack& ack) override;
  void note(const Stamp& stamp);

  Traffic& traffic_;
  const std::uint32_t index_;
  std::vector<SharedSequence>* shared_;
  std::unordered_map<std::uint32_t, Sequence> sequences_;  // by publisher
  std::unordered_map<std::uint32_t, std::uint64_t> last_;  // shared: the last number, by publisher
};

}  // namespace petrel::load
