// Does what a plan says: connects, subscribes, publishes, waits for what is on its way, counts.
//
// Threads: one, which is in execute() or remove_sessions() all the time.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/publisher.h"
#include "load/subscriber.h"

namespace petrel::load {

struct RunError {
  std::string what;
};

class Run final : public LinkHost {
 public:
  explicit Run(const Plan& plan);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Called about once a second with what there is so far.
  std::function<void(const Outcome&, double elapsed_s)> on_progress;

  // Asked in every turn, at least ten times a second: whether to end early. What was found so far is the outcome.
  std::function<bool()> interrupted = [] { return false; };

  [[nodiscard]] Result<Outcome, RunError> execute();
  // Sessions that the broker keeps are ended, so that nothing is left of the run. After execute(), even when
  // interrupted.
  void remove_sessions();

 private:
  using Condition = std::function<bool()>;

  // LinkHost
  void watch(Link& link, int fd, bool fresh, bool writable) override;
  void on_connected(Link& link) override;
  void on_subscribed(Link& link) override;
  void on_lost(Link& link, std::string_view why) override;
  std::vector<char>& read_buffer() override { return buffer_; }

  bool prepare();
  bool connect(const std::vector<Link*>& links);
  bool subscribe();
  bool connect_storm();
  bool publish();
  void publish_until(Clock::time_point end);
  void drain();
  bool fetch();
  void measure(bool on);
  void settle(bool done);

  // Turns until the condition holds; false: an error, or nothing has happened for the plan's timeout.
  bool turn_until(const Condition& condition);
  void turn(Clock::time_point deadline);
  Clock::time_point next_due() const;
  void pump_due();
  void pump_released();
  std::uint64_t activity() const;
  std::string filter_of(std::uint32_t subscriber) const;
  void report_progress();
  bool fail(std::string what);
  bool may_go_on() const { return error_.empty() && !interrupted_; }

  const Plan plan_;
  Traffic traffic_;
  sockaddr_storage address_{};
  socklen_t address_bytes_ = 0;
  int epoll_ = -1;
  std::vector<char> buffer_;
  std::vector<SharedSequence> shared_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  std::vector<std::unique_ptr<Publisher>> publishers_;
  std::uint64_t connected_ = 0, subscribed_ = 0;
  std::uint64_t due_ = 0;  // with a rate: the next message of all publishers that is due
  bool connections_measured_ = false;
  bool in_measurement_ = false;
  bool interrupted_ = false;
  std::string error_;
  Clock::time_point measured_from_, measured_to_, reported_;
  double cpu_from_ = 0, own_cpu_from_ = 0;
};

}  // namespace petrel::load
