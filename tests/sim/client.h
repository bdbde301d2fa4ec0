// A client of the simulation: connects, publishes, subscribes, acknowledges when it likes, leaves politely or not, and
// checks everything it is sent against the specification and its own memory.
//
// Threads: one. The world outlives it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "broker_process.h"
#include "history.h"
#include "wire/decode.h"

namespace petrel::sim {

class Client;

// What a client needs of the world around it.
class Surroundings {
 public:
  virtual std::shared_ptr<Link> open_link() = 0;
  virtual Step next_step() = 0;
  virtual std::uint64_t dice(std::uint64_t sides) = 0;
  virtual History& history() = 0;
  // Counts restarts of the broker; a kill may lose what was only in its memory.
  virtual int restarts() const = 0;
  // Whether the store has been in trouble lately, or the broker has been shutting down: refusals are in order.
  virtual bool refusals_expected() const = 0;
  virtual bool store_was_in_trouble() const = 0;
  // Some messages are too large to be copied into an output.
  virtual bool has_large_messages() const = 0;
  // Whether the queues of receivers may have had no room for it.
  virtual bool may_be_refused(const Publication& publication) const = 0;
  // Whether the queue of `client` may have had no room for it, or may have needed its place.
  virtual bool may_be_dropped(const Client& client, const Publication& publication) const = 0;
  virtual const broker::Settings& settings() const = 0;
  virtual TimeMs now() const = 0;
  virtual void trace(const std::string& line) = 0;

 protected:
  ~Surroundings() = default;
};

struct ClientPlan {
  enum class Session : std::uint8_t { kClean, kExpires, kForever };
  static constexpr std::uint32_t kShortExpiryS = 60;
  int number = 0;
  wire::ProtocolVersion version = wire::ProtocolVersion::kV311;
  Session session = Session::kForever;
  std::uint16_t receive_maximum = 20;
  std::uint16_t topic_alias_maximum = 0;
  wire::Qos subscription_qos = wire::Qos::k2;
  bool has_will = false;
  std::uint32_t will_delay_s = 0;
  std::vector<std::string> filters;  // to choose from
  std::vector<std::string> topics;   // to publish to
  std::string group;                 // of shared subscriptions; empty: none
};

class Client {
 public:
  Client(Surroundings& world, ClientPlan plan) : world_(world), plan_(std::move(plan)) {}

  const ClientPlan& plan() const { return plan_; }
  std::string id() const { return "client-" + std::to_string(plan_.number); }

  // One thing of its own accord.
  void act();
  // Takes what has come, all of it or a part.
  void read(bool everything);

  // Single steps.
  void connect(bool clean_start);
  void publish(const std::string& topic, wire::Qos qos, bool retain, bool clears);
  void subscribe(const std::string& filter);
  void unsubscribe(std::size_t which);
  void disconnect();
  void cut();
  // Notes that the broker has closed the link, which the client may hear later.
  void look_at_link();
  void send_owed(std::size_t count);

  // How many sessions it has had.
  std::size_t sessions_begun() const { return sessions_begun_; }
  bool open() const { return state_ == State::kOpen; }
  bool closed() const { return state_ == State::kClosed; }
  // Nothing is under way that ought to come to an end.
  bool quiet() const {
    return pending_.empty() && owed_.empty() && held_.empty() && asked_.empty() && removing_.empty();
  }
  std::string why_not_quiet() const;
  bool received(std::size_t publication) const { return ever_received_.contains(publication); }
  const std::vector<SubscriptionSpan>& subscriptions() const { return spans_; }
  bool is_subscribed(const std::string& filter) const;
  const std::map<std::string, std::string>& retained_seen() const { return retained_seen_; }
  // Whether the broker may have thought the client away for so long that a message went.
  bool may_have_outstayed(const Publication& publication) const;
  // Whether what comes may be a copy of another time than the first, which this client never got.
  bool may_have_missed_first(const Publication& publication) const;

 private:
  enum class State : std::uint8_t { kClosed, kConnecting, kOpen };
  struct Pending {
    wire::PacketId id;
    std::size_t publication;
    bool released;  // PUBREC has come
  };

  template <class Packet>
  void write(const Packet& packet);
  void write_publish(const Pending& pending, bool dup);
  void write_ack(wire::PacketType type, wire::PacketId id);
  wire::PacketId next_packet_id();
  void dispatch(const wire::Frame& frame);
  void on_connack(const wire::Connack& connack);
  void on_publish(const wire::Publish& publish);
  void on_message(const wire::Publish& publish, const std::string& topic);
  void on_ack(const wire::Ack& ack);
  void on_suback(const wire::Suback& suback);
  void on_unsuback(const wire::Suback& unsuback);
  void resend();
  void lose_connection();
  void lose_session();
  void come_back(bool present);
  void settle_will(bool polite);
  [[noreturn]] void violation(const std::string& what) const;

  Surroundings& world_;
  ClientPlan plan_;
  State state_ = State::kClosed;
  std::shared_ptr<Link> link_;
  std::string input_;
  bool session_known_ = false;
  std::size_t sessions_begun_ = 0;
  bool asked_clean_ = false;
  bool unanswered_ = false;  // a CONNECT was sent whose CONNACK never came
  int connected_in_life_ = 0;

  // As publisher.
  std::deque<Pending> pending_;                         // in the order of sending
  std::deque<wire::PacketId> puback_due_, pubrec_due_;  // in the order the broker must acknowledge on this connection
  std::size_t peer_receive_maximum_ = 65535;
  wire::PacketId last_packet_id_ = 0;

  // As subscriber.
  struct Owed {
    wire::PacketType type;
    wire::PacketId id;
  };
  std::deque<Owed> owed_;
  std::map<wire::PacketId, std::string> held_;            // QoS 2 messages between PUBLISH and PUBREL
  std::map<wire::PacketId, std::string> unacknowledged_;  // QoS 1 messages of this connection
  std::map<wire::PacketId, std::string> of_earlier_;      // QoS 1 messages of earlier connections, not acknowledged
  int earlier_life_ = 0;                                  // the life of the broker that of_earlier_ belongs to
  std::set<wire::PacketId> window_;                       // PUBLISH packets that count against the Receive Maximum
  std::map<std::uint16_t, std::string> aliases_;
  std::map<std::size_t, int> received_in_session_;
  std::map<std::string, std::size_t> newest_;  // by publisher, topic and QoS
  std::set<std::size_t> ever_received_;
  std::map<std::string, std::string> retained_seen_;

  std::vector<SubscriptionSpan> spans_;
  std::map<wire::PacketId, std::size_t> asked_;  // SUBSCRIBE under way: its span
  struct Removing {
    std::string filter;
    std::size_t spans;  // those before this one are meant
  };
  std::map<wire::PacketId, Removing> removing_;  // UNSUBSCRIBE under way
  Step left_at_ = 0;
  // When the broker may have thought it away: at most for so long.
  struct Away {
    TimeMs from = 0, to = 0;
  };
  std::vector<Away> away_;
  TimeMs gone_since_ = kNever;  // kNever: here, or never been
  Step gone_step_ = 0;
  std::optional<std::size_t> will_;
  struct Farewell {
    std::shared_ptr<Link> link;
    std::size_t will = 0;
  };
  Farewell farewell_;  // the last DISCONNECT
};

}  // namespace petrel::sim
