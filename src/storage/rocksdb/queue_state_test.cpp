#include "storage/rocksdb/queue_state.h"

#include <random>
#include <set>

namespace petrel::storage::rocks {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MessageId id(std::uint64_t counter, std::uint32_t lane = 0) { return make_message_id(counter, lane); }

TEST(QueueState, FloorsFollowAcknowledgementsOfShortQueues) {
  QueueState state;
  LaneTips tips;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(state.enqueue(id(i), 16));
    tips.advance(id(i));
  }
  EXPECT_TRUE(state.acknowledge({id(2)}, tips));
  EXPECT_THAT(state.record().floors, ElementsAre(id(0)));
  EXPECT_THAT(state.record().above, ElementsAre(id(2)));
  EXPECT_TRUE(state.acknowledge({id(1)}, tips));
  EXPECT_THAT(state.record().floors, ElementsAre(id(2)));
  EXPECT_THAT(state.record().above, IsEmpty());
  EXPECT_FALSE(state.acknowledge({id(1), id(77)}, tips));  // known and unknown
  EXPECT_TRUE(state.acknowledge({id(3)}, tips));
  EXPECT_THAT(state.record().floors, ElementsAre(id(3)));
}

TEST(QueueState, AnEntryOfARepeatedWriteWaitsOnce) {
  QueueState state;
  LaneTips tips;
  // Found on the disk although its write was reported failed; then written again.
  state.rescanned({id(1), id(2), id(2, 1)}, id(2, 1), true, 16, tips);
  EXPECT_FALSE(state.enqueue(id(2), 16));
  EXPECT_FALSE(state.enqueue(id(2, 1), 16));
  EXPECT_FALSE(state.enqueue(id(3), 16));
  EXPECT_THAT(state.waiting(), ElementsAre(id(1), id(2), id(2, 1), id(3)));
}

TEST(QueueState, AnotherLanesFirstEntryIsWrittenDown) {
  QueueState state;
  LaneTips tips;
  EXPECT_FALSE(state.enqueue(id(10, 0), 16));
  tips.advance(id(10, 0));
  EXPECT_TRUE(state.acknowledge({id(10, 0)}, tips));
  state.set_on_disk();
  // Smaller than what lane 0 has acknowledged: a reader that began there would miss it.
  EXPECT_TRUE(state.enqueue(id(5, 1), 16));
  EXPECT_LE(state.start(), id(5, 1));
  EXPECT_FALSE(state.is_acknowledged(id(5, 1)));
}

// A queue with its disk: what waits must never be taken for acknowledged, whatever the order, the lanes, the length,
// the restarts; and what was acknowledged stays so.
class Simulation {
 public:
  explicit Simulation(std::uint32_t seed) : random_(seed) {}

  void step() {
    switch (random_() % 16) {
      case 0:
        return restart();
      case 1:
        most_ = random_() % 2 == 0 ? 4 : 40;
        state_.forget_beyond(most_);
        return;
      default:
        break;
    }
    std::vector<MessageId> in, out;
    for (auto n = random_() % 6; n > 0; --n) in.push_back(next_id());
    for (const MessageId waiting : waiting_) {
      if (random_() % 4 == 0) continue;
      if (random_() % (in_order_ ? 8 : 3) == 0) break;
      out.push_back(waiting);
    }
    if (random_() % 50 == 0) in_order_ = !in_order_;
    commit(in, out);
  }

  void check() const {
    for (const MessageId waiting : waiting_) {
      ASSERT_FALSE(state_.is_acknowledged(waiting));
      ASSERT_LE(state_.start(), waiting);
    }
    if (state_.complete()) {
      const std::set<MessageId> known(state_.waiting().begin(), state_.waiting().end());
      ASSERT_EQ(known, waiting_);
    }
    for (const MessageId entry : entries_) {
      if (!waiting_.contains(entry)) {
        ASSERT_TRUE(state_.is_acknowledged(entry)) << entry;
      }
    }
  }

 private:
  MessageId next_id() {
    // Lanes run at different speeds: a smaller id of one may come after a larger of another.
    const auto lane = static_cast<std::uint32_t>(random_() % 3);
    counters_[lane] += 1 + random_() % (lane == 2 ? 20 : 3);
    return id(counters_[lane], lane);
  }

  void commit(const std::vector<MessageId>& in, const std::vector<MessageId>& out) {
    bool write = !out.empty() && state_.acknowledge(out, tips_);
    for (const MessageId gone : out) waiting_.erase(gone);
    if (state_.wants_scan()) scan(state_.scan_to(), random_() % 2 == 0 ? 0 : 16);
    for (const MessageId added : in) write |= state_.enqueue(added, most_);
    if (write) {
      disk_ = state_.record();
      state_.set_on_disk();
    }
    for (const MessageId added : in) {
      tips_.advance(added);
      entries_.insert(added);
      waiting_.insert(added);
    }
  }

  void scan(MessageId to, std::size_t most) {
    std::vector<MessageId> found;
    MessageId scanned = 0;
    bool whole = true;
    for (auto at = entries_.lower_bound(state_.start()); at != entries_.end(); ++at) {
      if (*at > to && found.size() > most) {
        whole = false;
        break;
      }
      scanned = *at;
      if (!state_.is_acknowledged(*at)) found.push_back(*at);
    }
    state_.rescanned(found, scanned, whole, most_, tips_);
  }

  void restart() {
    const std::uint64_t last = *std::max_element(counters_, counters_ + 3);
    for (std::uint64_t& counter : counters_) counter = last;
    tips_ = LaneTips(id(last, 2));
    state_ = QueueState::from_record(disk_);
    if (waiting_.size() <= 16 && random_() % 2 == 0) scan(~MessageId{0}, 0);
  }

  std::mt19937 random_;
  QueueState state_;
  AcknowledgedRecord disk_;
  LaneTips tips_;
  std::set<MessageId> entries_, waiting_;
  std::uint64_t counters_[3] = {1, 1, 1};
  std::size_t most_ = 40;
  bool in_order_ = true;
};

TEST(QueueState, NothingThatWaitsIsTakenForAcknowledged) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Simulation simulation(seed);
    for (int i = 0; i < 150; ++i) {
      simulation.step();
      simulation.check();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace petrel::storage::rocks
