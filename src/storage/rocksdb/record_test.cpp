#include "storage/rocksdb/record.h"

#include <algorithm>
#include <random>

namespace petrel::storage::rocks {
namespace {

wire::SubscriptionOptions options() {
  wire::SubscriptionOptions result;
  result.maximum_qos = wire::Qos::k2;
  result.no_local = true;
  result.retain_as_published = true;
  result.retain_handling = wire::RetainHandling::kDoNotSend;
  return result;
}

WillRecord will() {
  WillRecord result;
  result.topic = "will/topic";
  result.payload = std::string("a\0b", 3);
  result.forwarded_properties = "\x01\x01";
  result.qos = wire::Qos::k2;
  result.retain = true;
  result.delay_interval_s = 3'000'000'000;
  result.message_expiry_interval_s = 0;
  return result;
}

Ref<const wire::Message> message() {
  wire::Message::Parts parts;
  parts.topic = "a/b/\xc3\xa9";
  parts.payload = "payload";
  parts.forwarded_properties = std::string_view("\x03\x00\x01x", 4);
  parts.qos = wire::Qos::k2;
  parts.retain = true;
  parts.expires_at = 1'700'000'000'123;
  parts.publisher = 77;
  return wire::Message::create(parts);
}

QueueEntry entry() {
  QueueEntry result;
  result.qos = wire::Qos::k2;
  result.retain = true;
  result.identifiers = "\x0b\x07";
  result.shared_group = "$share/g/a";
  return result;
}

TEST(Record, KeysSortAsTheirNumbersDo) {
  std::vector<std::uint64_t> numbers{0, 1, 2, 255, 256, 65535, 65536, 1ULL << 32, (1ULL << 40) - 1, ~0ULL - 1, ~0ULL};
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
    EXPECT_LT(session_prefix(numbers[i]), session_prefix(numbers[i + 1]));
    EXPECT_LT(queue_key(numbers[i], ~0ULL), queue_key(numbers[i + 1], 0));
    EXPECT_LT(body_key(numbers[i]), body_key(numbers[i + 1]));
    EXPECT_LT(queue_key(9, numbers[i]), queue_key(9, numbers[i + 1]));
    EXPECT_LT(queue_key(numbers[i], ~0ULL), after_session(numbers[i]));
    EXPECT_LE(after_session(numbers[i]), session_prefix(numbers[i + 1]));
  }
  EXPECT_LT(queue_key(~0ULL, ~0ULL), after_session(~0ULL));
}

TEST(Record, KeysRoundTrip) {
  const std::string key = state_key(70'000, Kind::kSubscription, "a/#");
  const auto state = decode_state_key(key);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->session, 70'000U);
  EXPECT_EQ(state->kind, Kind::kSubscription);
  EXPECT_EQ(state->rest, "a/#");
  const std::string packet = packet_key(1, Kind::kIncoming, 65535);
  EXPECT_EQ(decode_packet_id(decode_state_key(packet)->rest), 65535);
  const auto queue = decode_queue_key(queue_key(3, 0x0102030405060708));
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->session, 3U);
  EXPECT_EQ(queue->message, 0x0102030405060708U);
  EXPECT_EQ(decode_body_key(body_key(99)), 99U);
}

TEST(Record, AnEntryOfAHundredThousandSessionsIsSmall) {
  EXPECT_LE(queue_key(100'000, ~0ULL).size(), 12U);
  QueueEntry usual;
  usual.qos = wire::Qos::k1;
  std::string bytes;
  append_entry(bytes, usual);
  EXPECT_EQ(bytes, "");
}

TEST(Record, SessionsRoundTrip) {
  std::string bytes;
  append_session(bytes, {5, "client", 0xffffffff, true, 1'700'000'000'000});
  SessionRecord read;
  ASSERT_TRUE(decode_session(bytes, read));
  EXPECT_EQ(read.client_id, "client");
  EXPECT_EQ(read.session_expiry_interval_s, 0xffffffffU);
  EXPECT_TRUE(read.connected);
  EXPECT_EQ(read.disconnected_at, 1'700'000'000'000);
}

TEST(Record, SubscriptionsRoundTrip) {
  for (const std::uint32_t identifier : {0U, 1U, 268'435'455U}) {
    std::string bytes;
    append_subscription(bytes, {"f", options(), identifier});
    SubscriptionRecord read;
    ASSERT_TRUE(decode_subscription(bytes, read));
    EXPECT_EQ(read.options, options());
    EXPECT_EQ(read.identifier, identifier);
  }
}

TEST(Record, OutgoingAndWillsRoundTrip) {
  std::string bytes;
  append_outgoing(bytes, {3, 0x123456789a, true});
  OutgoingRecord outgoing;
  ASSERT_TRUE(decode_outgoing(bytes, outgoing));
  EXPECT_EQ(outgoing.message, 0x123456789aU);
  EXPECT_TRUE(outgoing.released);

  bytes.clear();
  append_will(bytes, will());
  WillRecord read;
  ASSERT_TRUE(decode_will(bytes, read));
  EXPECT_EQ(read.topic, will().topic);
  EXPECT_EQ(read.payload, will().payload);
  EXPECT_EQ(read.forwarded_properties, will().forwarded_properties);
  EXPECT_EQ(read.qos, wire::Qos::k2);
  EXPECT_TRUE(read.retain);
  EXPECT_EQ(read.delay_interval_s, 3'000'000'000U);
  EXPECT_EQ(read.message_expiry_interval_s, 0U);
}

TEST(Record, EntriesAndMessagesRoundTrip) {
  std::string bytes;
  append_entry(bytes, entry());
  QueueEntry read;
  ASSERT_TRUE(decode_entry(bytes, read));
  EXPECT_EQ(read.qos, wire::Qos::k2);
  EXPECT_TRUE(read.retain);
  EXPECT_EQ(read.identifiers, "\x0b\x07");
  EXPECT_EQ(read.shared_group, "$share/g/a");

  bytes.clear();
  append_message(bytes, *message());
  const auto copy = decode_message(bytes);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->topic(), message()->topic());
  EXPECT_EQ(copy->payload(), "payload");
  EXPECT_EQ(copy->forwarded_properties(), message()->forwarded_properties());
  EXPECT_EQ(copy->qos(), wire::Qos::k2);
  EXPECT_TRUE(copy->retain());
  EXPECT_EQ(copy->expires_at(), 1'700'000'000'123);
  EXPECT_EQ(message_expiry(bytes), 1'700'000'000'123);
  EXPECT_EQ(message_expiry(bytes.substr(0, 8)), kNever);
  EXPECT_EQ(message_expiry(""), kNever);
  EXPECT_EQ(copy->publisher(), 0U);  // a name of the broker that ran then
}

TEST(Record, AcknowledgementsRoundTrip) {
  const AcknowledgedRecord record{{make_message_id(1ULL << 50, 0), make_message_id(7, 3)},
                                  {make_message_id(8, 3), make_message_id(1ULL << 51, 0)}};
  std::string bytes;
  append_acknowledged(bytes, record);
  AcknowledgedRecord read;
  ASSERT_TRUE(decode_acknowledged(bytes, read));
  EXPECT_EQ(read.floors, record.floors);
  EXPECT_EQ(read.above, record.above);
}

// Whatever the bytes: an answer, and no reading beyond them (AddressSanitizer watches).
void decode_everything(std::string_view bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const std::string_view view(exact.data(), exact.size());
  SessionRecord session;
  SubscriptionRecord subscription;
  OutgoingRecord outgoing;
  WillRecord will_record;
  QueueEntry queue_entry;
  AcknowledgedRecord acknowledged;
  (void)decode_state_key(view);
  (void)decode_packet_id(view);
  (void)decode_queue_key(view);
  (void)decode_body_key(view);
  (void)decode_session(view, session);
  (void)decode_subscription(view, subscription);
  (void)decode_outgoing(view, outgoing);
  (void)decode_will(view, will_record);
  (void)decode_entry(view, queue_entry);
  (void)decode_message(view);
  (void)decode_acknowledged(view, acknowledged);
}

TEST(Record, TruncatedAndArbitraryBytesAreRefusedOrRead) {
  std::string samples[5];
  append_session(samples[0], {5, "", 60, false, 1});
  append_outgoing(samples[1], {3, 1, true});
  append_will(samples[2], will());
  append_message(samples[3], *message());
  append_acknowledged(samples[4], {{256}, {512, 1024}});
  for (const std::string& sample : samples)
    for (std::size_t size = 0; size <= sample.size(); ++size) decode_everything(sample.substr(0, size));
  SessionRecord session;
  EXPECT_FALSE(decode_session(samples[0].substr(0, 5), session));
  OutgoingRecord outgoing;
  for (std::size_t size = 0; size < samples[1].size(); ++size)
    EXPECT_FALSE(decode_outgoing(samples[1].substr(0, size), outgoing));
  EXPECT_FALSE(decode_outgoing(samples[1] + "x", outgoing));
  EXPECT_FALSE(decode_message(samples[3].substr(0, 8)));
  EXPECT_FALSE(decode_queue_key("\x09" + std::string(17, 'x')));
  EXPECT_FALSE(decode_state_key(std::string("\x01\x05z", 3)));
  QueueEntry read;
  EXPECT_FALSE(decode_entry("\x03", read));  // QoS 3
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    decode_everything(bytes);
  }
}

}  // namespace
}  // namespace petrel::storage::rocks
