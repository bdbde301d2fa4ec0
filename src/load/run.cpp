#include "load/run.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include "load/process_time.h"

namespace petrel::load {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
constexpr std::uint32_t kConnecting = 200;  // connections under way
constexpr std::uint32_t kSessionExpiry_s = 3600;
constexpr int kEvents = 256;
constexpr auto kStep = std::chrono::milliseconds(100);
constexpr double kUnknown = -1;  // the processor time of a process that is not there

Clock::duration as_time(std::chrono::duration<double> time) {
  return std::chrono::duration_cast<Clock::duration>(time);
}

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

timespec as_timespec(Clock::duration time) {
  const auto ns = std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  constexpr std::int64_t kNanoInSecond = 1'000'000'000;
  return {ns / kNanoInSecond, ns % kNanoInSecond};
}

}  // namespace

Run::Run(const Plan& plan) : plan_(plan), traffic_(plan_, std::random_device()()), buffer_(kBufferBytes) {
  if (plan_.pattern == Pattern::kShared) shared_.resize(plan_.publishers);
}

Run::~Run() {
  subscribers_.clear();
  publishers_.clear();
  if (epoll_ >= 0) ::close(epoll_);
}

Result<Outcome, RunError> Run::execute() {
  bool done = prepare();
  if (done && plan_.pattern == Pattern::kConnect) {
    done = connect_storm();
  } else if (done) {
    std::vector<Link*> subscribers, publishers;
    for (const auto& link : subscribers_) subscribers.push_back(link.get());
    for (const auto& link : publishers_) publishers.push_back(link.get());
    done = connect(subscribers) && subscribe();
    if (done && plan_.offline)
      for (Link* link : subscribers) link->disconnect();
    done = done && connect(publishers) && publish() && (!plan_.offline || fetch());
  }
  if (!error_.empty()) return RunError{error_};
  settle(done);
  return traffic_.outcome;
}

void Run::settle(bool done) {
  Outcome& outcome = traffic_.outcome;
  traffic_.publishing = false;
  if (in_measurement_) measure(false);
  outcome.interrupted = interrupted_;
  outcome.timed_out = !done && !interrupted_;
  outcome.expected = (outcome.published - outcome.refused) * plan_.receivers();
  if (!interrupted_) {
    outcome.lost = outcome.expected - std::min(outcome.expected, outcome.received);
    return;
  }
  for (const auto& link : publishers_) link->disconnect();
}

bool Run::fail(std::string what) {
  if (error_.empty()) error_ = std::move(what);
  return false;
}

bool Run::prepare() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return fail(std::strerror(errno));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int status = getaddrinfo(plan_.host.c_str(), std::to_string(plan_.port).c_str(), &hints, &found);
      status != 0)
    return fail(fmt::format("cannot find host \"{}\": {}", plan_.host, gai_strerror(status)));
  std::memcpy(&address_, found->ai_addr, found->ai_addrlen);
  address_bytes_ = found->ai_addrlen;
  freeaddrinfo(found);
  for (std::uint32_t i = 0; i < plan_.subscribers; ++i) {
    LinkSettings settings{fmt::format("bench-{:x}-s{}", traffic_.run, i), plan_.version};
    if (plan_.persistent) {
      settings.clean_start = false;
      settings.session_expiry_interval_s = kSessionExpiry_s;
    }
    subscribers_.push_back(
        std::make_unique<Subscriber>(*this, traffic_, std::move(settings), i, shared_.empty() ? nullptr : &shared_));
  }
  if (plan_.pattern == Pattern::kConnect) return true;
  for (std::uint32_t i = 0; i < plan_.publishers; ++i)
    publishers_.push_back(std::make_unique<Publisher>(
        *this, traffic_, LinkSettings{fmt::format("bench-{:x}-p{}", traffic_.run, i), plan_.version}, i));
  return true;
}

// --- phases

bool Run::connect(const std::vector<Link*>& links) {
  connected_ = 0;
  std::size_t begun = 0;
  const std::size_t at_once = plan_.pattern == Pattern::kConnect ? plan_.window : kConnecting;
  while (connected_ < links.size()) {
    for (; begun < links.size() && begun - connected_ < at_once; ++begun)
      links[begun]->connect(address_, address_bytes_);
    if (!turn_until([&, before = connected_] { return connected_ > before; })) return false;
  }
  return true;
}

bool Run::connect_storm() {
  std::vector<Link*> links;
  links.reserve(subscribers_.size());
  for (const auto& link : subscribers_) links.push_back(link.get());
  connections_measured_ = true;
  measure(true);
  const bool done = connect(links);
  measure(false);
  traffic_.outcome.measured_messages = connected_;
  for (Link* link : links) link->disconnect();
  return done;
}

std::string Run::filter_of(std::uint32_t subscriber) const {
  if (plan_.pattern == Pattern::kOneToOne) return traffic_.topics[subscriber];
  const std::string all = fmt::format("bench/{:x}/+", traffic_.run);
  return plan_.pattern == Pattern::kShared ? "$share/bench/" + all : all;
}

bool Run::subscribe() {
  subscribed_ = 0;
  for (std::uint32_t i = 0; i < plan_.subscribers; ++i) subscribers_[i]->subscribe(filter_of(i), plan_.qos);
  return turn_until([this] { return subscribed_ == plan_.subscribers; });
}

bool Run::publish() {
  traffic_.start = Clock::now();
  traffic_.publishing = true;
  const bool timed = plan_.messages == 0;
  if (!timed) measure(true);
  for (const auto& publisher : publishers_) {
    publisher->pump();
    publisher->flush();
  }
  if (timed) {
    publish_until(traffic_.start + as_time(plan_.warm_up));
    if (!may_go_on()) return false;
    measure(true);
    publish_until(traffic_.start + as_time(plan_.warm_up + plan_.duration));
    measure(false);
    traffic_.publishing = false;
  } else if (!turn_until([this] {
               return std::all_of(publishers_.begin(), publishers_.end(), [](const auto& p) { return p->is_done(); });
             })) {
    return false;
  }
  if (!may_go_on()) return false;
  if (!turn_until([this] { return traffic_.unacknowledged == 0; })) return false;
  if (plan_.offline) {
    measure(false);
    return true;
  }
  drain();
  if (!timed) measure(false);
  return may_go_on();
}

void Run::publish_until(Clock::time_point end) {
  while (may_go_on() && Clock::now() < end) turn(std::min(end, Clock::now() + kStep));
}

// What does not come any more is lost: it is counted, and no error of the run.
void Run::drain() {
  const Outcome& outcome = traffic_.outcome;
  (void)turn_until([&] { return outcome.received >= (outcome.published - outcome.refused) * plan_.receivers(); });
}

bool Run::fetch() {
  const auto began = Clock::now();
  std::vector<Link*> links;
  links.reserve(subscribers_.size());
  for (const auto& link : subscribers_) links.push_back(link.get());
  const bool connected = connect(links);
  if (connected) drain();
  Outcome& outcome = traffic_.outcome;
  outcome.drain_s = seconds(Clock::now() - began);
  outcome.drained_per_s = static_cast<double>(outcome.received) / outcome.drain_s;
  return connected && may_go_on();
}

void Run::remove_sessions() {
  if (!plan_.persistent || traffic_.outcome.timed_out) return;
  interrupted_ = false;
  interrupted = [] { return false; };
  error_.clear();
  std::vector<Link*> links;
  for (const auto& link : subscribers_) {
    if (link->connect_began() == Clock::time_point{}) continue;
    link->disconnect();
    link->settings().clean_start = true;
    link->settings().session_expiry_interval_s = 0;
    links.push_back(link.get());
  }
  if (!connect(links)) return;
  for (Link* link : links) link->disconnect();
}

void Run::measure(bool on) {
  Outcome& outcome = traffic_.outcome;
  traffic_.measuring = on && !plan_.offline;
  in_measurement_ = on;
  const double cpu = plan_.broker_pid == 0 ? kUnknown : process_time_s(plan_.broker_pid).value_or(kUnknown);
  if (on) {
    measured_from_ = Clock::now();
    cpu_from_ = cpu;
    own_cpu_from_ = own_time_s();
    return;
  }
  outcome.measured_s = seconds(Clock::now() - measured_from_);
  outcome.own_cpu_s = own_time_s() - own_cpu_from_;
  if (cpu != kUnknown && cpu_from_ != kUnknown) outcome.broker_cpu_s = cpu - cpu_from_;
  if (!plan_.offline) return;
  outcome.measured_messages = (outcome.published - traffic_.unacknowledged) * plan_.receivers();
  outcome.queued_per_s = outcome.per_second();
}

// --- turns

bool Run::turn_until(const Condition& condition) {
  std::uint64_t before = activity();
  auto quiet_since = Clock::now();
  while (may_go_on() && !condition()) {
    turn(Clock::now() + kStep);
    if (activity() != before) {
      before = activity();
      quiet_since = Clock::now();
    } else if (Clock::now() - quiet_since > as_time(plan_.timeout)) {
      return false;
    }
  }
  return may_go_on();
}

std::uint64_t Run::activity() const {
  return traffic_.arrived + traffic_.outcome.published + connected_ + subscribed_ + traffic_.unacknowledged;
}

void Run::turn(Clock::time_point deadline) {
  std::array<epoll_event, kEvents> events{};
  const timespec wait = as_timespec(std::min(deadline, next_due()) - Clock::now());
  if (interrupted()) {
    interrupted_ = true;
    return;
  }
  const int count = epoll_pwait2(epoll_, events.data(), kEvents, &wait, nullptr);
  for (int i = 0; i < count && error_.empty(); ++i) {
    traffic_.now = Clock::now();
    static_cast<Link*>(events[static_cast<std::size_t>(i)].data.ptr)
        ->on_events(events[static_cast<std::size_t>(i)].events);
  }
  pump_due();
  pump_released();
  if (on_progress && traffic_.publishing && Clock::now() - reported_ > std::chrono::seconds(1)) report_progress();
}

void Run::report_progress() {
  reported_ = Clock::now();
  on_progress(traffic_.outcome, seconds(reported_ - traffic_.start));
}

Clock::time_point Run::next_due() const {
  if (plan_.rate <= 0 || !traffic_.publishing) return Clock::time_point::max();
  return traffic_.due(static_cast<std::uint32_t>(due_ % plan_.publishers), due_ / plan_.publishers);
}

void Run::pump_due() {
  for (auto now = Clock::now(); next_due() <= now; ++due_) {
    Publisher& publisher = *publishers_[due_ % plan_.publishers];
    publisher.pump();
    publisher.flush();
  }
}

void Run::pump_released() {
  std::vector<std::uint32_t>& released = traffic_.released();
  for (std::size_t i = 0; i < released.size(); ++i) {
    publishers_[released[i]]->pump();
    publishers_[released[i]]->flush();
  }
  released.clear();
}

// --- what links tell

void Run::watch(Link& link, int fd, bool fresh, bool writable) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (writable) event.events |= EPOLLOUT;
  event.data.ptr = &link;
  if (epoll_ctl(epoll_, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) fail(std::strerror(errno));
}

void Run::on_connected(Link& link) {
  ++connected_;
  if (connections_measured_)
    traffic_.outcome.latency.add(nanoseconds(Clock::now()) - nanoseconds(link.connect_began()));
}

void Run::on_subscribed(Link&) { ++subscribed_; }

void Run::on_lost(Link& link, std::string_view why) { fail(fmt::format("{}: {}", link.settings().client_id, why)); }

}  // namespace petrel::load
