// $SYS as a shard sees it: shard 0 publishes the values when their time has come and somebody listens; each shard tells
// who may read them, and publishes Mosca's events ($SYS/<id>/new/clients and so on) about its own clients.
#include <fmt/format.h>

#include "broker/shard.h"
#include "topics/topic.h"

namespace petrel::broker {

namespace {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

bool Shard::somebody_listens_to_sys() const { return shared_.index.has_first_level("$SYS"); }

void Shard::publish_sys() {
  if (now_ < sys_due_) return;
  sys_due_ = now_ + settings_.sys.interval_ms;
  if (!somebody_listens_to_sys()) return shared_.sys.mark_stale();
  for (const Ref<const wire::Message>& value : shared_.sys.refresh(now_, sys_totals(shared_))) {
    OutgoingPublish publish(value, now_, scratch_);
    route(publish);
  }
}

bool Shard::may_read_sys(const Connection& connection) const {
  if (connection.policy != nullptr) return connection.policy->may_read_sys;
  return settings_.sys.access != SysAccess::kNone;
}

// A session may come back through another listener than the one it subscribed through.
void Shard::end_unreadable_subscriptions(Session& session) {
  if (may_read_sys(*session.connection) || !somebody_listens_to_sys()) return;
  std::vector<std::string> ended;
  for (const SessionSubscription& subscription : session.subscriptions)
    if (std::string filter = shared_.index.filter(subscription.node); is_sys_filter(filter))
      ended.push_back(std::move(filter));
  for (const std::string& filter : ended) {
    refusals_.info(
        "subscription ended",
        {{"client", session.client_id}, {"filter", filter}, {"reason", "$SYS is not for this listener (sys.access)"}});
    unsubscribe(session, filter);
  }
}

void Shard::tell_event(std::string_view event, std::string_view payload) {
  if (!settings_.sys.enabled || !settings_.sys.events || !somebody_listens_to_sys()) return;
  publish({.topic = fmt::format("$SYS/{}/{}", settings_.sys.id, event), .payload = payload});
}

void Shard::tell_subscription_event(std::string_view event, const Session& session, std::string_view filter) {
  if (!settings_.sys.enabled || !settings_.sys.events || !somebody_listens_to_sys()) return;
  tell_event(event,
             fmt::format(R"({{"clientId":{},"topic":{}}})", json_string(session.client_id), json_string(filter)));
}

}  // namespace petrel::broker
