// The bytes on disk: keys that sort as the store reads them, and compact values. Every decoder checks bounds and
// returns nothing for what it does not understand; encoders append. What changes here changes kFormat (directory.h).
//
// State keys: session, kind, rest. One session's records lie together, its own first:
//   'a' session   'b' acknowledgements   'c' subscription (+ filter)   'd' outgoing (+ packet id)
//   'e' incoming (+ packet id)   'f' will
// Queue keys: session, message id. Body keys: message id. Retained keys: topic.
// A session id is written as a count of bytes and so many bytes, big-endian: small and in order.
//
// Threads: any; pure functions. Views point into what was decoded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/store.h"

namespace petrel::storage::rocks {

enum class Kind : char {
  kSession = 'a',
  kAcknowledgements = 'b',
  kSubscription = 'c',
  kOutgoing = 'd',
  kIncoming = 'e',
  kWill = 'f',
};

// --- keys

void append_session_id(std::string& out, SessionId session);
std::string session_prefix(SessionId session);
// The least key that is greater than all of the session's.
std::string after_session(SessionId session);
std::string state_key(SessionId session, Kind kind, std::string_view rest = {});
std::string packet_key(SessionId session, Kind kind, wire::PacketId packet_id);
std::string queue_key(SessionId session, MessageId message);
std::string body_key(MessageId message);

struct StateKey {
  SessionId session = 0;
  Kind kind = Kind::kSession;
  std::string_view rest;
};
std::optional<StateKey> decode_state_key(std::string_view key);
std::optional<wire::PacketId> decode_packet_id(std::string_view rest);
struct QueueKey {
  SessionId session = 0;
  MessageId message = 0;
};
std::optional<QueueKey> decode_queue_key(std::string_view key);
std::optional<MessageId> decode_body_key(std::string_view key);

// --- values

void append_session(std::string& out, const SessionRecord& record);
bool decode_session(std::string_view bytes, SessionRecord& record);  // all but the id

void append_subscription(std::string& out, const SubscriptionRecord& record);
bool decode_subscription(std::string_view bytes, SubscriptionRecord& record);  // all but the filter

void append_outgoing(std::string& out, const OutgoingRecord& record);
bool decode_outgoing(std::string_view bytes, OutgoingRecord& record);  // all but the packet id

void append_will(std::string& out, const WillRecord& record);
bool decode_will(std::string_view bytes, WillRecord& record);

// How a session is to receive a message; nothing at all for QoS 1 without more, the usual case.
void append_entry(std::string& out, const QueueEntry& entry);
bool decode_entry(std::string_view bytes, QueueEntry& entry);  // all but id and message

// Not kept: Message::publisher(), which names a session of the running broker.
void append_message(std::string& out, const wire::Message& message);
Ref<const wire::Message> decode_message(std::string_view bytes);  // null: damaged
TimeMs message_expiry(std::string_view bytes);                    // kNever for what does not say

struct AcknowledgedRecord {
  std::vector<MessageId> floors;  // one for each lane, with the lane in its low bits
  std::vector<MessageId> above;   // ascending
};
void append_acknowledged(std::string& out, const AcknowledgedRecord& record);
bool decode_acknowledged(std::string_view bytes, AcknowledgedRecord& record);

}  // namespace petrel::storage::rocks
