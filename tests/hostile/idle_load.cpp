#include "idle_load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

namespace petrel::hostile {

namespace {

constexpr std::size_t kBurstBytes = 16'384;

// Two ends of a TCP connection of this process with itself.
class Loop {
 public:
  Loop() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ends_[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, generic, size) != 0 || listen(listener, 1) != 0 || getsockname(listener, generic, &size) != 0 ||
        ::connect(ends_[0], generic, size) != 0)
      throw Failure("no loopback connection for the idle load");
    ends_[1] = accept(listener, nullptr, nullptr);
    ::close(listener);
    const int one = 1;
    setsockopt(ends_[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  ~Loop() {
    for (const int end : ends_) ::close(end);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void go_round() {
    std::array<char, kBurstBytes> bytes{};
    if (::send(ends_[0], bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
    for (std::size_t got = 0; got < bytes.size();) {
      const ssize_t count = recv(ends_[1], bytes.data(), bytes.size(), 0);
      if (count <= 0) return;
      got += static_cast<std::size_t>(count);
    }
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace

void run_idle_load(std::size_t threads, Clock::time_point until) {
  std::vector<std::thread> running;
  running.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i)
    running.emplace_back([until] {
      Loop loop;
      RandomSource random(1);
      std::size_t sum = 0;
      while (Clock::now() < until) {
        for (int k = 0; k < 1000; ++k) sum += random.below(1000);  // packets are also made
        if (sum != 0) loop.go_round();
      }
    });
  for (std::thread& thread : running) thread.join();
}

}  // namespace petrel::hostile
