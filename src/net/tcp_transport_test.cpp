#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "net/test_support.h"
#include "net/transport.h"

namespace petrel::net {
namespace {

class TcpTransportTest : public testing::Test {
 protected:
  TcpTransportTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    transport_ = std::make_unique<TcpTransport>(ends[0]);
    peer_ = Descriptor(ends[1]);
  }
  static iovec piece(std::string& text) { return {text.data(), text.size()}; }

  std::unique_ptr<TcpTransport> transport_;
  Descriptor peer_;
};

TEST_F(TcpTransportTest, FillsPiecesInOrder) {
  ASSERT_EQ(send(peer_.get(), "abcdefg", 7, 0), 7);
  std::string first(3, '.'), second(10, '.');
  const iovec room[] = {piece(first), piece(second)};
  const IoResult result = transport_->read_some(room);
  EXPECT_EQ(result.status, IoStatus::kOk);
  EXPECT_EQ(result.bytes, 7U);
  EXPECT_EQ(first, "abc");
  EXPECT_EQ(second.substr(0, 4), "defg");
}

TEST_F(TcpTransportTest, WritesPiecesInOrder) {
  std::string first = "abc", second = "defg";
  const iovec pieces[] = {piece(first), piece(second)};
  EXPECT_EQ(transport_->write_some(pieces).bytes, 7U);
  char got[16];
  ASSERT_EQ(recv(peer_.get(), got, sizeof got, 0), 7);
  EXPECT_EQ(std::string(got, 7), "abcdefg");
}

TEST_F(TcpTransportTest, SaysWhenItWouldBlock) {
  std::string room(16, '.');
  const iovec into = piece(room);
  EXPECT_EQ(transport_->read_some({&into, 1}).status, IoStatus::kWouldBlock);
  std::string much(1 << 16, 'x');
  const iovec from = piece(much);
  IoResult result;
  for (int i = 0; i < 1000 && result.status == IoStatus::kOk; ++i) result = transport_->write_some({&from, 1});
  EXPECT_EQ(result.status, IoStatus::kWouldBlock);
}

TEST_F(TcpTransportTest, TellsTheEndAndErrors) {
  transport_->end_writing();
  char byte = 0;
  EXPECT_EQ(recv(peer_.get(), &byte, 1, 0), 0);
  peer_ = Descriptor();
  std::string room(16, '.');
  const iovec piece_of_room = piece(room);
  EXPECT_EQ(transport_->read_some({&piece_of_room, 1}).status, IoStatus::kEnd);
  const IoResult broken = transport_->write_some({&piece_of_room, 1});
  EXPECT_EQ(broken.status, IoStatus::kError);
  EXPECT_EQ(broken.error, EPIPE);
}

}  // namespace
}  // namespace petrel::net
