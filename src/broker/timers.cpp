// What happens when nothing happens: CONNECT that does not come, keep alive, peers that take no bytes, sessions that
// expire, wills that were delayed. Each connection and each absent session has one timer, which is moved lazily:
// traffic only notes the time, and the timer looks at it when it goes off.
#include <fmt/format.h>

#include <algorithm>

#include "broker/shard.h"

namespace petrel::broker {

namespace {

constexpr TimeMs kRefusedMs = 1000;                 // between a refused publication and the end of the connection
constexpr std::size_t kSubscriptionsAtATime = 256;  // of an absent session, when their time is over

}  // namespace

void Shard::on_timer(TimerNode& node) {
  auto& timer = static_cast<ShardTimer&>(node);
  if (timer.kind == ShardTimer::Kind::kConnection) {
    check_connection(static_cast<Connection&>(timer));
  } else {
    check_absence(static_cast<Absence&>(timer));
  }
}

// The machine may have stopped the process while clients went on sending: that is read before anybody is judged.
void Shard::notice_stop(TimeMs now) {
  const TimeMs late = now - wheel_.next_deadline();
  if (late <= kStopMs) return;
  judges_from_ = now + kStopMs;
  log_.warning(
      "this thread was stopped for a while",
      {{"shard", index_}, {"late_ms", late}, {"effect", "clients get a second more before they count as silent"}});
}

void Shard::check_connection(Connection& connection) {
  if (now_ < judges_from_) return wheel_.schedule(connection, judges_from_);
  switch (connection.state) {
    case Connection::State::kAwaitsConnect:
      if (now_ >= connection.limited_since + connect_timeout_ms(connection)) {
        counters_.reached(Limit::kConnectTimeout);
        return fail(
            connection, Reason::kKeepAliveTimeout,
            fmt::format("no complete CONNECT within {}", key_of(Limit::kConnectTimeout, connection.listener_limits())));
      }
      break;
    case Connection::State::kOpen:
      if (connection.refused != Connection::Refused::kNothing && now_ >= connection.limited_since + kRefusedMs)
        return fail_refused(connection);
      // One and a half times the keep alive [MQTT-3.1.2-22].
      // What the client has sent may wait to be read.
      if (connection.waits_for_memory || connection.waits_for_store || connection.waits_for_filters ||
          connection.waits_for_output)
        connection.last_received_at = now_;
      if (connection.keep_alive_s != 0 && now_ >= connection.last_received_at + TimeMs{connection.keep_alive_s} * 1500)
        return fail(connection, Reason::kKeepAliveTimeout, "nothing received for one and a half times the keep alive");
      break;
    case Connection::State::kAwaitsCommit:
    case Connection::State::kClosing:
      break;
  }
  if (connection.blocked_since != 0 && now_ >= connection.blocked_since + settings_.write_timeout_ms) {
    counters_.reached(Limit::kWriteTimeout);
    return fail(connection, Reason::kUnspecifiedError, "slow consumer: took no byte for limits.write_timeout_s");
  }
  arm(connection);
}

void Shard::fail_refused(Connection& connection) {
  if (connection.refused == Connection::Refused::kByStore)
    return fail(connection, Reason::kImplementationSpecificError,
                "the store takes no changes, and a message needed it");
  fail(connection, Reason::kQuotaExceeded, "the queue of a receiver was full, and limits.queue_policy is reject");
}

void Shard::arm(Connection& connection) {
  TimeMs due = kNever;
  if (connection.state == Connection::State::kAwaitsConnect)
    due = connection.limited_since + connect_timeout_ms(connection);
  if (connection.state == Connection::State::kOpen && connection.keep_alive_s != 0)
    due = connection.last_received_at + TimeMs{connection.keep_alive_s} * 1500;
  if (connection.blocked_since != 0) due = std::min(due, connection.blocked_since + settings_.write_timeout_ms);
  if (connection.refused != Connection::Refused::kNothing) due = std::min(due, connection.limited_since + kRefusedMs);
  if (due == kNever) {
    wheel_.cancel(connection);
  } else {
    wheel_.schedule(connection, due);
  }
}

void Shard::output_blocked(Connection& connection) {
  if (connection.state != Connection::State::kClosing) arm(connection);
}

void Shard::output_drained(Connection& connection) {
  if (!connection.wants_drain_notice || connection.state != Connection::State::kOpen) return;
  connection.wants_drain_notice = false;
  pump(*connection.session);
}

void Shard::check_absence(Absence& absence) {
  Session& session = *absence.session;
  if (now_ >= absence.expires_at) {
    log_.debug("session expired", {{"client", session.client_id}});
    counters_.sessions_expired.add();
    return end_session(session);
  }
  if (now_ >= absence.will_at) {
    absence.will_at = kNever;
    publish_will(session);
  }
  if (now_ >= absence.subscriptions_end_at) end_outstayed_subscriptions(absence, kSubscriptionsAtATime);
  if (now_ >= absence.trim_at) remove_outstayed(absence);
  if (absence.due() != kNever) wheel_.schedule(absence, absence.due());
}

}  // namespace petrel::broker
