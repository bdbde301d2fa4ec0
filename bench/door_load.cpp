// Load through one door of a broker on this machine, for bench/doors: handshakes one after the other, pairs of a
// publisher and a subscriber, or many connections that are idle. Prints one line of JSON; what is lost, out of order or
// twice makes the exit status 4. One thread.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "door_client.h"

namespace petrel::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::map<std::string, std::string> given;
  std::string text(const std::string& name, const std::string& otherwise = {}) const {
    const auto found = given.find(name);
    return found == given.end() ? otherwise : found->second;
  }
  int number(const std::string& name, int otherwise) const {
    const std::string found = text(name);
    return found.empty() ? otherwise : std::stoi(found);
  }
};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Processor time of all threads of a process.
double cpu_seconds(int pid) {
  double sum = 0;
  if (pid == 0) return sum;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    sum += nanoseconds / 1e9;
  }
  return sum;
}

class Loop {
 public:
  int fd() const { return fd_; }
  void turn(int timeout_ms = 1000) {
    std::array<epoll_event, 256> events;
    const int n = epoll_wait(fd_, events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < n; ++i) static_cast<DoorClient*>(events[static_cast<std::size_t>(i)].data.ptr)->on_events();
  }
  template <class Condition>
  void until(Condition done, std::string_view what) {
    const auto begin = Clock::now();
    while (!done()) {
      turn(100);
      if (seconds_since(begin) > 60) fail(fmt::format("not within a minute: {}", what));
    }
  }

 private:
  const int fd_ = epoll_create1(EPOLL_CLOEXEC);
};

SSL_CTX* tls_context(const Options& options) {
  const std::string version = options.text("tls");
  if (version.empty()) return nullptr;
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  const int number = version == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL_CTX_set_min_proto_version(context, number);
  SSL_CTX_set_max_proto_version(context, number);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  return context;
}

// --- handshakes: connect, CONNECT, CONNACK, leave; `parallel` at a time

class Handshakes {
 public:
  Handshakes(const Options& options, const Door& door)
      : door_(door),
        resume_(options.number("resume", 0) != 0),
        parallel_(static_cast<std::size_t>(options.number("parallel", 8))),
        seconds_(options.number("seconds", 3)),
        pid_(options.number("pid", 0)) {
    if (door.tls != nullptr) SSL_CTX_sess_set_new_cb(door.tls, &Handshakes::keep_session);
  }

  void run() {
    measure(0.3);
    counted_ = resumed_ = 0;
    const double cpu = cpu_seconds(pid_);
    const auto begin = Clock::now();
    measure(seconds_);
    const double took = seconds_since(begin);
    fmt::print("{{\"handshakes\": {}, \"resumed\": {}, \"seconds\": {:.3f}, \"cpu_us\": {:.2f}}}\n", counted_, resumed_,
               took, (cpu_seconds(pid_) - cpu) / static_cast<double>(counted_) * 1e6);
  }

 private:
  static int keep_session(SSL*, SSL_SESSION* session) {
    if (session_ != nullptr) return 0;
    session_ = session;
    return 1;
  }

  void measure(double seconds) {
    const auto begin = Clock::now();
    while (seconds_since(begin) < seconds || !clients_.empty()) {
      if (seconds_since(begin) < seconds) {
        // Whoever resumes needs a ticket first.
        const bool alone = resume_ && session_ == nullptr;
        while (clients_.size() < (alone ? 1 : parallel_)) add();
      }
      loop_.turn();
      for (DoorClient* done : done_) {
        done->abort();
        std::erase_if(clients_, [done](const auto& client) { return client.get() == done; });
      }
      done_.clear();
    }
  }

  void add() {
    clients_.push_back(std::make_unique<DoorClient>(
        loop_.fd(), door_, resume_ ? session_ : nullptr, [this](DoorClient& client, unsigned char kind, auto body) {
          if (kind != 0x20 || body[1] != 0) fail("no CONNACK");
          ++counted_;
          if (client.ssl() != nullptr && SSL_session_reused(client.ssl()) != 0) ++resumed_;
          done_.push_back(&client);
        }));
    clients_.back()->on_ready = [this](DoorClient& client) {
      client.put(connect_packet(fmt::format("h{}", number_++)));
      client.write();
    };
  }

  static inline SSL_SESSION* session_ = nullptr;
  Loop loop_;
  const Door door_;
  const bool resume_;
  const std::size_t parallel_;
  const double seconds_;
  const int pid_;
  std::vector<std::unique_ptr<DoorClient>> clients_;
  std::vector<DoorClient*> done_;
  std::uint64_t counted_ = 0, resumed_ = 0, number_ = 0;
};

// --- pairs: each publisher keeps `window` messages under way to its subscriber

class Pairs {
 public:
  Pairs(const Options& options, const Door& door)
      : door_(door),
        qos_(options.number("qos", 0)),
        window_(static_cast<std::uint64_t>(options.number("window", 1))),
        seconds_(options.number("seconds", 3)),
        pid_(options.number("pid", 0)),
        payload_(static_cast<std::size_t>(std::max(options.number("payload", 64), 8)), 'x'),
        pairs_(static_cast<std::size_t>(options.number("pairs", 100))) {}

  void run() {
    open();
    for (Pair& pair : pairs_) publish(pair);
    deliver_for(0.3);
    const std::uint64_t before = delivered_;
    const double cpu = cpu_seconds(pid_);
    const auto begin = Clock::now();
    deliver_for(seconds_);
    const double took = seconds_since(begin), used = cpu_seconds(pid_) - cpu;
    const std::uint64_t counted = delivered_ - before;
    publishing_ = false;
    loop_.until([this] { return std::ranges::all_of(pairs_, [](const Pair& p) { return p.received == p.sent; }); },
                "the last messages");
    fmt::print(
        "{{\"delivered\": {}, \"seconds\": {:.3f}, \"cpu_us\": {:.3f}, \"broker_util\": {:.2f}, \"wrong\": {}}}\n",
        counted, took, used / static_cast<double>(counted) * 1e6, used / took, wrong_);
    if (wrong_ != 0) std::exit(4);
  }

 private:
  struct Pair {
    std::unique_ptr<DoorClient> publisher, subscriber;
    std::string topic;
    std::uint64_t sent = 0, received = 0, acknowledged = 0;
    bool dirty = false;
  };

  void open() {
    std::size_t up = 0;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      pair.topic = fmt::format("bench/{}", i);
      pair.subscriber = client(fmt::format("s{}", i), [this, &pair, &up](DoorClient& c, unsigned char kind, auto body) {
        if (kind == 0x20) return say(c, subscribe_packet(pair.topic, qos_));
        if (kind == 0x90) {
          ++up;
        } else {
          take(pair, c, kind, body);
        }
      });
      pair.publisher = client(fmt::format("p{}", i), [this, &pair, &up](DoorClient&, unsigned char kind, auto) {
        if (kind == 0x20) {
          ++up;
        } else if ((kind & 0xf0) == 0x40) {
          ++pair.acknowledged;
          mark(pair);
        }
      });
      // One after the other: what is measured is not a storm.
      loop_.until([&] { return up == 2 * (i + 1); }, "the connections");
    }
  }

  template <class OnPacket>
  std::unique_ptr<DoorClient> client(const std::string& id, OnPacket on_packet) {
    auto made = std::make_unique<DoorClient>(loop_.fd(), door_, nullptr, on_packet);
    made->on_ready = [id](DoorClient& c) { say(c, connect_packet(id)); };
    return made;
  }

  static void say(DoorClient& to, const std::string& packet) {
    to.put(packet);
    to.write();
  }

  void take(Pair& pair, DoorClient& subscriber, unsigned char kind, std::string_view body) {
    if ((kind & 0xf0) != 0x30) fail("an unexpected packet");
    const std::size_t topic = static_cast<std::size_t>(static_cast<unsigned char>(body[1])) + 2;
    const int qos = kind >> 1 & 3;
    const std::size_t at = topic + (qos > 0 ? 2 : 0);
    std::uint64_t number = 0;
    std::memcpy(&number, body.data() + at, sizeof number);
    if (number != pair.received || qos != qos_ || body.size() - at != payload_.size()) ++wrong_;
    ++pair.received;
    ++delivered_;
    if (qos > 0) subscriber.put(puback_packet(body.substr(topic, 2)));
    mark(pair);
  }

  void mark(Pair& pair) {
    if (pair.dirty) return;
    pair.dirty = true;
    dirty_.push_back(&pair);
  }

  void publish(Pair& pair) {
    // Half a window at a time, as a sender does that hears of several at once.
    const std::uint64_t done = qos_ > 0 ? std::min(pair.received, pair.acknowledged) : pair.received;
    if (publishing_ && pair.sent - done <= window_ / 2) {
      while (pair.sent < done + window_) {
        std::memcpy(payload_.data(), &pair.sent, sizeof pair.sent);
        pair.publisher->put(
            publish_packet(pair.topic, qos_, static_cast<std::uint16_t>(pair.sent % 65'535 + 1), payload_));
        ++pair.sent;
      }
    }
    if (pair.publisher->has_output()) pair.publisher->write();
    if (pair.subscriber->has_output()) pair.subscriber->write();
  }

  void deliver_for(double seconds) {
    const auto begin = Clock::now();
    while (seconds_since(begin) < seconds) turn();
  }

  void turn() {
    loop_.turn();
    for (Pair* pair : dirty_) {
      pair->dirty = false;
      publish(*pair);
    }
    dirty_.clear();
  }

  Loop loop_;
  const Door door_;
  const int qos_;
  const std::uint64_t window_;
  const double seconds_;
  const int pid_;
  std::string payload_;
  std::vector<Pair> pairs_;
  std::vector<Pair*> dirty_;
  std::uint64_t delivered_ = 0, wrong_ = 0;
  bool publishing_ = true;
};

// --- idle: opens connections, says so, and holds them until standard input ends

void hold(const Options& options, const Door& door) {
  Loop loop;
  std::vector<std::unique_ptr<DoorClient>> clients;
  int up = 0;
  const auto add = [&] {
    clients.push_back(std::make_unique<DoorClient>(
        loop.fd(), door, nullptr, [&up](DoorClient&, unsigned char kind, auto) { up += kind == 0x20; }));
    clients.back()->on_ready = [number = clients.size()](DoorClient& client) {
      client.put(connect_packet(fmt::format("idle-{:05}", number)));
      client.write();
    };
  };
  // The first ones fill what the broker allocates once.
  const auto open = [&](int count) {
    for (int i = 0; i < count; ++i) {
      add();
      if (i % 8 == 0) loop.until([&] { return up + 8 >= static_cast<int>(clients.size()); }, "the connections");
    }
    loop.until([&] { return up == static_cast<int>(clients.size()); }, "the connections");
    fmt::print("{}\n", up);
    std::fflush(stdout);
    std::string line;
    std::getline(std::cin, line);
  };
  open(64);
  open(options.number("connections", 2000));
}

}  // namespace
}  // namespace petrel::bench

// door_load MODE name=value...: handshakes (port, tls, ws, resume, parallel, seconds, pid), pairs (port, tls, ws, qos,
// window, pairs, payload, seconds, pid), idle (port, tls, ws, connections).
int main(int argc, char** argv) {
  using namespace petrel::bench;
  Options options;
  const std::string mode = argc > 1 ? argv[1] : "";
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t at = word.find('=');
    if (at == std::string::npos) fail("not name=value: " + word);
    options.given[word.substr(0, at)] = word.substr(at + 1);
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const Door door{options.number("port", 1883), tls_context(options), options.number("ws", 0) != 0};
  if (mode == "handshakes") {
    Handshakes(options, door).run();
  } else if (mode == "pairs") {
    Pairs(options, door).run();
  } else if (mode == "idle") {
    hold(options, door);
  } else {
    fail("modes: handshakes, pairs, idle");
  }
}
