// What a run may lose or be refused because queues are bounded: a message may go only where so many others may have
// been in the way. Sound rather than exact, for the network decides what was in a queue; examination.h is exact.
//
// Threads: one.
#pragma once

#include <memory>
#include <vector>

#include "broker/settings.h"
#include "client.h"
#include "history.h"

namespace petrel::sim {

class Allowance {
 public:
  Allowance(const broker::Settings& settings, const std::vector<std::unique_ptr<Client>>& clients,
            const History& history)
      : settings_(settings), clients_(clients), history_(history) {}

  // The queue of `client` may have had no room for the publication, or may have needed its place.
  bool may_be_dropped(const Client& client, const Publication& publication) const;
  // A queue of one who receives it may have been full when it came.
  bool may_be_refused(const Publication& publication) const;
  // Wills that wait for `client`, who is to see them all.
  bool may_lose_wills(const Client& client) const;

 private:
  // Copies that may have lain in the client's queue together with the publication: of what came before it, or of what
  // came behind it.
  std::size_t rivals(const Client& client, const Publication& publication, bool newer) const;
  std::size_t rivals_of_all(const Publication& publication, bool newer) const;
  bool has_total() const { return settings_.max_backlog_messages_total != 0; }

  const broker::Settings& settings_;
  const std::vector<std::unique_ptr<Client>>& clients_;
  const History& history_;
};

}  // namespace petrel::sim
