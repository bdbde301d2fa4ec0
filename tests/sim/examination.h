// At the end of a run, when all is quiet: one client leaves, messages are published to it, time passes, it comes back.
// Now there is nothing that only the network knows, so what comes, and what was refused, must be exactly what the
// limits, the policy and the times to live say (docs/limits.md).
//
// Threads: one. The world outlives it.
#pragma once

#include <functional>
#include <string>

#include "broker/settings.h"
#include "client.h"
#include "history.h"

namespace petrel::sim {

class Examination {
 public:
  // `settle` lets everything under way come to its end, `pass` lets time go by.
  Examination(const broker::Settings& settings, History& history, std::function<void()> settle,
              std::function<void(TimeMs)> pass, std::function<std::uint64_t(std::uint64_t)> dice)
      : settings_(settings),
        history_(history),
        settle_(std::move(settle)),
        pass_(std::move(pass)),
        dice_(std::move(dice)) {}

  // `away` is connected and subscribed to `topic`, with a session that outlives its connection; `publisher` is another,
  // of MQTT 5.0, with a window for at least one message.
  void run(Client& away, Client& publisher, const std::string& topic);

 private:
  struct Expected {
    std::size_t publication;
    wire::Qos qos;  // toward the receiver
    bool queued, refused;
  };
  Expected expect(const Publication& publication, std::size_t index, wire::Qos granted, std::size_t& waiting);
  void make_room(std::vector<Expected>& all, std::size_t newest);
  std::size_t total_limit() const;
  bool outlasts(const Expected& expected, TimeMs absence) const;

  const broker::Settings& settings_;
  History& history_;
  std::function<void()> settle_;
  std::function<void(TimeMs)> pass_;
  std::function<std::uint64_t(std::uint64_t)> dice_;
};

}  // namespace petrel::sim
