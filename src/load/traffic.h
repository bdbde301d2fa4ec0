// What all publishers and subscribers of a run share: the plan, the contents of messages, and the counts. A payload
// begins with a stamp (run, publisher, number, when it was due); what follows is cut from a pool of random bytes, at a
// place that the stamp tells, so that the receiver can compare all of it.
//
// Threads: one. It outlives the links.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "load/link.h"
#include "load/plan.h"

namespace petrel::load {

struct Stamp {
  std::uint32_t run = 0, publisher = 0;
  std::uint64_t number = 0, due_ns = 0;
};
inline constexpr std::size_t kStampBytes = sizeof(Stamp);

class Traffic {
 public:
  Traffic(const Plan& the_plan, std::uint32_t run_number);

  const Plan& plan;
  const std::uint32_t run;
  std::vector<std::string> topics;  // of each publisher
  Clock::time_point now;            // of this turn
  Clock::time_point start;          // of publishing
  bool publishing = false;
  bool measuring = false;
  Outcome outcome;
  std::uint64_t arrived = 0;  // messages, each as often as it came
  std::uint64_t unacknowledged = 0;

  std::uint32_t ahead() const { return ahead_; }
  // When a publisher's message is due, if the plan has a rate.
  Clock::time_point due(std::uint32_t publisher, std::uint64_t number) const;

  void fill(char* payload, const Stamp& stamp) const;
  // The stamp of a payload of this run that is whole.
  std::optional<Stamp> check(std::string_view payload) const;

  // Per publisher: deliveries of its messages to all subscribers.
  void note_delivery(std::uint32_t publisher);
  std::uint64_t delivered(std::uint32_t publisher) const { return delivered_[publisher]; }
  // The publisher waits for deliveries; it is among those taken once there is one.
  void wait_for_delivery(std::uint32_t publisher) { waits_[publisher] = true; }
  std::vector<std::uint32_t>& released() { return released_; }

 private:
  std::string_view filler(const Stamp& stamp) const;

  std::uint32_t ahead_;
  std::string pool_;
  std::vector<std::uint64_t> delivered_;
  std::vector<bool> waits_;
  std::vector<std::uint32_t> released_;
};

}  // namespace petrel::load
