#include "calm_clients.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <deque>

#include "packets.h"
#include "wire_socket.h"

namespace petrel::hostile {

namespace {

using wire::PacketType;
using wire::ProtocolVersion;
using wire::Qos;
using namespace std::chrono_literals;

constexpr std::size_t kPairs = 4;
constexpr std::size_t kQosLevels = 3;
constexpr auto kPace = 10ms;
constexpr auto kPatience = 30s;
// Below the broker's Receive Maximum: who waits for so many acknowledgements sends no more.
constexpr std::size_t kMostUnacknowledged = 1000;

std::string payload_of(std::uint64_t seed, std::size_t qos, std::uint64_t number) {
  RandomSource random(seed * kQosLevels + qos + (number << 20));
  return fmt::format("{} ", number) + random.bytes(random.below(500));
}

std::uint32_t microseconds(Clock::duration time) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

// The one below which so many hundredths lie; orders the numbers as far as it needs.
std::uint32_t percentile(std::vector<std::uint32_t>& numbers, std::size_t hundredths) {
  if (numbers.empty()) return 0;
  const auto at = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() * hundredths / 100);
  std::nth_element(numbers.begin(), at, numbers.end());
  return *at;
}

}  // namespace

class CalmClients::Pair {
 public:
  Pair(const Door& door, std::uint64_t seed, std::size_t index, std::vector<std::uint32_t>& latencies_us)
      : seed_(seed + index),
        name_(fmt::format("calm/{}/{}", seed, index)),
        version_(index % 2 == 0 ? kV5 : ProtocolVersion::kV311),
        publisher_(door, version_),
        subscriber_(door, version_),
        latencies_us_(latencies_us) {
    greet(publisher_, "publisher");
    greet(subscriber_, "subscriber");
    subscriber_.send(subscribe({name_ + "/#"}, Qos::k2, 1, version_));
    if (subscriber_.wait().type != PacketType::kSuback) throw Failure("a well-behaved client's SUBSCRIBE failed");
  }

  void publish_round(Clock::time_point now) {
    if (unacknowledged_ > kMostUnacknowledged) return;
    for (std::size_t qos = 0; qos < kQosLevels; ++qos) {
      Line& line = lines_[qos];
      const std::string payload = payload_of(seed_, qos, line.sent++);
      line.under_way.push_back(now);
      if (qos != 0) {
        ++unacknowledged_;
        last_id_ = static_cast<wire::PacketId>(last_id_ % 65535 + 1);
      }
      publisher_.send(publish(fmt::format("{}/{}", name_, qos), payload, static_cast<Qos>(qos),
                              qos == 0 ? wire::PacketId{0} : last_id_, false, version_));
    }
  }

  std::array<pollfd, 2> waiting() const {
    const auto events = [](const WireSocket& s) {
      return static_cast<short>(s.has_output() ? POLLIN | POLLOUT : POLLIN);
    };
    return {pollfd{publisher_.fd(), events(publisher_), 0}, pollfd{subscriber_.fd(), events(subscriber_), 0}};
  }

  void on_events(std::size_t which, short events) {
    WireSocket& ready = which == 0 ? publisher_ : subscriber_;
    if ((events & POLLOUT) != 0) ready.flush();
    if ((events & ~POLLOUT) == 0) return;
    ready.receive();
    while (const auto frame = ready.next()) which == 0 ? on_answer(*frame) : on_message(*frame);
  }

  bool all_done() const {
    return unacknowledged_ == 0 &&
           std::all_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.under_way.empty(); });
  }

  std::string missing() const {
    return fmt::format("{}: {}, {} and {} messages of QoS 0, 1 and 2 did not arrive, {} acknowledgements either", name_,
                       lines_[0].under_way.size(), lines_[1].under_way.size(), lines_[2].under_way.size(),
                       unacknowledged_);
  }

 private:
  struct Line {
    std::uint64_t sent = 0;
    std::uint64_t arrived = 0;
    std::deque<Clock::time_point> under_way;
  };

  void greet(WireSocket& socket, std::string_view role) {
    socket.send(connect(fmt::format("{}/{}", name_, role), version_));
    const wire::Frame answer = socket.wait();
    if (answer.type != PacketType::kConnack || answer.body[1] != 0) throw Failure("a well-behaved client was refused");
  }

  wire::Ack decoded(const wire::Frame& frame) const {
    const auto got = wire::decode_ack(version_, frame.type, frame.body);
    if (!got.has_value() || wire::is_error(got->reason))
      throw Failure(fmt::format("{}: {} with an error", name_, wire::name(frame.type)));
    return *got;
  }

  void on_answer(const wire::Frame& frame) {
    const wire::Ack got = decoded(frame);
    if (frame.type == PacketType::kPubrec)
      publisher_.send(ack(PacketType::kPubrel, got.packet_id, version_));
    else
      --unacknowledged_;
  }

  void on_message(const wire::Frame& frame) {
    if (frame.type == PacketType::kPubrel)
      return subscriber_.send(ack(PacketType::kPubcomp, decoded(frame).packet_id, version_));
    const auto got = wire::decode_publish(version_, wire::Sender::kServer, frame.flags, frame.body);
    if (!got.has_value()) throw Failure(fmt::format("{}: {}", name_, got.error().what));
    const auto qos = static_cast<std::size_t>(got->qos);
    if (got->topic != fmt::format("{}/{}", name_, qos))
      throw Failure(fmt::format("{}: a message of another topic or QoS: {}, QoS {}", name_, got->topic, qos));
    Line& line = lines_[qos];
    if (line.under_way.empty() || got->payload != payload_of(seed_, qos, line.arrived))
      throw Failure(
          fmt::format("{}: message {} of QoS {} was lost, altered, repeated or overtaken", name_, line.arrived, qos));
    ++line.arrived;
    latencies_us_.push_back(microseconds(Clock::now() - line.under_way.front()));
    line.under_way.pop_front();
    if (qos == 1) subscriber_.send(ack(PacketType::kPuback, got->packet_id, version_));
    if (qos == 2) subscriber_.send(ack(PacketType::kPubrec, got->packet_id, version_));
  }

  const std::uint64_t seed_;
  const std::string name_;
  const ProtocolVersion version_;
  WireSocket publisher_, subscriber_;
  std::array<Line, kQosLevels> lines_;
  std::size_t unacknowledged_ = 0;
  wire::PacketId last_id_ = 0;
  std::vector<std::uint32_t>& latencies_us_;
};

CalmClients::CalmClients(const Door& door, std::uint64_t seed) {
  for (std::size_t i = 0; i < kPairs; ++i) pairs_.push_back(std::make_unique<Pair>(door, seed, i, latencies_us_));
}

CalmClients::~CalmClients() = default;

CalmReport CalmClients::run(std::uint32_t limit_us) {
  auto next = Clock::now();
  std::size_t turn_of = 0;
  while (!stopped_.load()) {
    next += kPace / kPairs;
    while (turn(next)) {
    }
    late_us_.push_back(microseconds(Clock::now() - next));
    pairs_[turn_of++ % kPairs]->publish_round(Clock::now());
  }
  const auto end = Clock::now() + kPatience;
  for (const auto& pair : pairs_) {
    while (!pair->all_done()) {
      turn(Clock::now() + 10ms);
      if (Clock::now() > end) throw Failure(pair->missing());
    }
  }
  return report(limit_us);
}

// True while `wake` is still to come.
bool CalmClients::turn(Clock::time_point wake) {
  std::array<pollfd, 2 * kPairs> waiting;
  for (std::size_t i = 0; i < kPairs; ++i) {
    const auto two = pairs_[i]->waiting();
    std::copy(two.begin(), two.end(), waiting.begin() + static_cast<std::ptrdiff_t>(2 * i));
  }
  const auto left = std::max<std::chrono::nanoseconds>(wake - Clock::now(), 0ns);
  const timespec timeout{static_cast<time_t>(left / 1s), static_cast<long>((left % 1s).count())};
  if (ppoll(waiting.data(), waiting.size(), &timeout, nullptr) > 0)
    for (std::size_t i = 0; i < waiting.size(); ++i)
      if (waiting[i].revents != 0) pairs_[i / 2]->on_events(i % 2, waiting[i].revents);
  return Clock::now() < wake;
}

CalmReport CalmClients::report(std::uint32_t limit_us) {
  CalmReport made;
  if (latencies_us_.empty()) return made;
  made.messages = latencies_us_.size();
  made.p50_us = percentile(latencies_us_, 50);
  made.p99_us = percentile(latencies_us_, 99);
  made.beyond_limit =
      static_cast<std::uint64_t>(std::count_if(latencies_us_.begin(), latencies_us_.end(),
                                               [limit_us](std::uint32_t latency_us) { return latency_us > limit_us; }));
  made.max_us = *std::max_element(latencies_us_.begin(), latencies_us_.end());
  made.late_p99_us = percentile(late_us_, 99);
  return made;
}

}  // namespace petrel::hostile
