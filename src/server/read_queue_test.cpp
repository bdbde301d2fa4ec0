#include "server/read_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "server/door.h"

namespace petrel::server {
namespace {

using Waits = Socket::Waits;

// Sockets without a connection: a queue looks only at how they wait.
class ReadQueueTest : public testing::Test {
 protected:
  ReadQueueTest() {
    for (int i = 0; i < 3; ++i) sockets_.push_back(std::make_unique<Socket>(nullptr, *door_, net::PlaceLimit::Place{}));
  }
  Socket& socket(std::size_t i) { return *sockets_[i]; }
  std::vector<const Socket*> set_aside() {
    std::vector<const Socket*> those;
    queue_.set_aside([&](const Socket& aside) { those.push_back(&aside); });
    return those;
  }

  std::unique_ptr<Door> door_ = std::move(*Door::create({}, {}, {}));
  std::vector<std::unique_ptr<Socket>> sockets_;
  ReadQueue queue_{Waits::kBusy};
};

TEST_F(ReadQueueTest, GivesThemInTheirOrderAndSaysWhoWasSetAside) {
  queue_.push(socket(0));
  queue_.push(socket(1));
  EXPECT_EQ(socket(0).waits, Waits::kBusy);
  EXPECT_EQ(set_aside(), (std::vector<const Socket*>{&socket(0), &socket(1)}));
  queue_.push(socket(2));
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [taken, was_aside] = queue_.take();
    EXPECT_EQ(&taken, &socket(i));
    EXPECT_EQ(was_aside, i < 2);
    EXPECT_EQ(taken.waits, Waits::kNot);
    EXPECT_FALSE(taken.set_aside);
  }
  EXPECT_TRUE(queue_.empty());
}

TEST_F(ReadQueueTest, CountsThoseThatWereNeverRead) {
  socket(1).unread = false;
  for (std::size_t i = 0; i < 3; ++i) queue_.push(socket(i));
  EXPECT_EQ(queue_.size(), 3U);
  EXPECT_EQ(queue_.unread(), 2U);
  queue_.remove(socket(2));
  EXPECT_EQ(queue_.unread(), 1U);
  queue_.take();
  EXPECT_EQ(queue_.unread(), 0U);
  queue_.take();
  EXPECT_EQ(queue_.unread(), 0U);
}

TEST_F(ReadQueueTest, WhoLeavesIsForgottenWhetherSetAsideOrNot) {
  queue_.push(socket(0));
  queue_.push(socket(1));
  set_aside();
  queue_.push(socket(2));
  queue_.remove(socket(0));
  queue_.remove(socket(2));
  EXPECT_EQ(socket(0).waits, Waits::kNot);
  queue_.push(socket(0));
  EXPECT_EQ(set_aside(), std::vector<const Socket*>{&socket(0)});
  EXPECT_EQ(&queue_.take().first, &socket(1));
  EXPECT_EQ(&queue_.take().first, &socket(0));
  EXPECT_TRUE(queue_.empty());
}

}  // namespace
}  // namespace petrel::server
