// Collects the subscriptions that match one topic name and makes the list of receivers of them.
// Threads: one; under the reader lock of the index from the first add() to the end of build().
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>

#include "topics/filter_node.h"

namespace petrel::topics {

class MatchBuilder {
 public:
  void add(const SubscriptionIndex::Node& node);
  Ref<const MatchList> build();

 private:
  struct Found {
    SubscriberId subscriber;
    const PackedSubscription* subscription;
  };

  void append_entries(MatchList& list, const Found* begin, const Found* end) const;

  boost::container::small_vector<Found, 32> found_;
  boost::container::small_vector<const GroupNode*, 8> groups_;
};

}  // namespace petrel::topics
