#include "load/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace petrel::load {
namespace {

constexpr std::size_t kPoolBytes = std::size_t{256} << 10;
constexpr std::uint64_t kPoolStep = 4099, kPublisherStep = 65'537;  // neighbours begin at different places
constexpr std::uint32_t kAheadOfAll = 16'384, kLeastAhead = 16, kMostAhead = 2000;
constexpr std::size_t kAheadBytes = std::size_t{512} << 10, kPacketBytes = 64;  // of a receiver; a packet's own, about

// Enough that a publisher seldom waits for deliveries, and so little that no broker has reason to drop.
std::uint32_t choose_ahead(const Plan& plan) {
  if (plan.offline || plan.rate > 0) return 0;
  if (plan.ahead != 0) return plan.ahead;
  const std::uint32_t share = kAheadOfAll / std::max(plan.publishers, plan.subscribers);
  // Windows bound what is under way with QoS 1 and 2, brokers' buffers with QoS 0.
  if (plan.qos != wire::Qos::k0)
    return std::max(std::clamp(share, kLeastAhead, kMostAhead), std::min(2 * plan.window, kMostAhead));
  const std::size_t of_receiver = kAheadBytes / (plan.payload_bytes + kPacketBytes);
  const std::size_t senders = plan.pattern == Pattern::kOneToOne ? 1 : plan.publishers;
  const auto most = static_cast<std::uint32_t>(std::clamp<std::size_t>(of_receiver / senders, 1, kMostAhead));
  return std::min(std::clamp(share, kLeastAhead, kMostAhead), most);
}

}  // namespace

Traffic::Traffic(const Plan& the_plan, std::uint32_t run_number)
    : plan(the_plan),
      run(run_number),
      ahead_(choose_ahead(the_plan)),
      pool_(kPoolBytes + the_plan.payload_bytes, '\0'),
      delivered_(the_plan.publishers),
      waits_(the_plan.publishers) {
  std::mt19937_64 random(run_number);
  for (char& byte : pool_) byte = static_cast<char>(random());
  for (std::uint32_t i = 0; i < plan.publishers; ++i) topics.push_back(fmt::format("bench/{:x}/{}", run, i));
}

Clock::time_point Traffic::due(std::uint32_t publisher, std::uint64_t number) const {
  const double place = static_cast<double>(number) * plan.publishers + publisher;
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(place / plan.rate));
}

std::string_view Traffic::filler(const Stamp& stamp) const {
  const std::size_t at = (stamp.number * kPoolStep + stamp.publisher * kPublisherStep) % kPoolBytes;
  return std::string_view(pool_).substr(at, plan.payload_bytes - kStampBytes);
}

void Traffic::fill(char* payload, const Stamp& stamp) const {
  std::memcpy(payload, &stamp, kStampBytes);
  const std::string_view rest = filler(stamp);
  std::memcpy(payload + kStampBytes, rest.data(), rest.size());
}

std::optional<Stamp> Traffic::check(std::string_view payload) const {
  if (payload.size() != plan.payload_bytes) return std::nullopt;
  Stamp stamp;
  std::memcpy(&stamp, payload.data(), kStampBytes);
  if (stamp.run != run || stamp.publisher >= plan.publishers) return std::nullopt;
  if (payload.substr(kStampBytes) != filler(stamp)) return std::nullopt;
  return stamp;
}

void Traffic::note_delivery(std::uint32_t publisher) {
  ++delivered_[publisher];
  if (!waits_[publisher]) return;
  waits_[publisher] = false;
  released_.push_back(publisher);
}

}  // namespace petrel::load
