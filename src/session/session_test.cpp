// Outgoing, Incoming and topic aliases: the QoS state machines without a broker around them.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "session/incoming.h"
#include "session/outgoing.h"
#include "session/topic_aliases.h"

namespace petrel::session {
namespace {

using wire::Qos;
using wire::ReasonCode;

Delivery delivery(Qos qos, std::uint64_t id = 0) {
  Delivery d;
  d.message = wire::Message::create({.topic = "t", .payload = "p", .forwarded_properties = {}, .qos = qos});
  d.qos = qos;
  d.id = id;
  return d;
}

TEST(Outgoing, GivesPacketIdentifiersInSequenceFrom1_MQTT_2_2_1_3) {
  Outgoing out;
  out.begin_connection(10);
  EXPECT_EQ(out.send(delivery(Qos::k1)), 1);
  EXPECT_EQ(out.send(delivery(Qos::k2)), 2);
}

TEST(Outgoing, StopsAtTheReceiveMaximum_MQTT_3_3_4_9) {
  Outgoing out;
  out.begin_connection(2);
  out.send(delivery(Qos::k1));
  out.send(delivery(Qos::k1));
  EXPECT_FALSE(out.can_send());
  ASSERT_TRUE(out.on_puback(1).has_value());
  EXPECT_TRUE(out.can_send());
}

TEST(Outgoing, WrapsPast65535WithoutUsing0) {
  Outgoing out;
  out.begin_connection(1);
  wire::PacketId last = 0;
  for (int i = 0; i < 70000; ++i) {
    const wire::PacketId id = out.send(delivery(Qos::k1));
    ASSERT_EQ(id, last == 65535 ? 1 : last + 1);
    ASSERT_TRUE(out.on_puback(id).has_value());
    last = id;
  }
}

TEST(Outgoing, Qos2TakesPubrecThenPubcomp_MQTT_4_3_3) {
  Outgoing out;
  out.begin_connection(1);
  const wire::PacketId id = out.send(delivery(Qos::k2, 7));
  auto received = out.on_pubrec(id, ReasonCode::kSuccess);
  ASSERT_TRUE(received.has_value());
  EXPECT_TRUE(received->send_pubrel);
  EXPECT_EQ(received->finished->id, 7U);
  EXPECT_FALSE(out.can_send()) << "PUBREL still counts against the window";
  EXPECT_TRUE(out.on_pubrec(id, ReasonCode::kSuccess)->send_pubrel) << "a repeated PUBREC is answered again";
  ASSERT_TRUE(out.on_pubcomp(id).has_value());
  EXPECT_TRUE(out.idle());
}

TEST(Outgoing, PubrecWithAnErrorEndsTheExchange_MQTT_4_3_3_4) {
  Outgoing out;
  out.begin_connection(1);
  const auto result = out.on_pubrec(out.send(delivery(Qos::k2)), ReasonCode::kQuotaExceeded);
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(result->send_pubrel);
  EXPECT_TRUE(out.idle());
}

TEST(Outgoing, RefusesAcknowledgementsThatDoNotFit) {
  Outgoing out;
  out.begin_connection(10);
  const wire::PacketId one = out.send(delivery(Qos::k1));
  const wire::PacketId two = out.send(delivery(Qos::k2));
  EXPECT_EQ(out.on_puback(99).error().reason, ReasonCode::kPacketIdentifierNotFound);
  EXPECT_EQ(out.on_puback(0).error().reason, ReasonCode::kPacketIdentifierNotFound);
  EXPECT_EQ(out.on_puback(two).error().reason, ReasonCode::kProtocolError);
  EXPECT_EQ(out.on_pubrec(one, ReasonCode::kSuccess).error().reason, ReasonCode::kProtocolError);
  EXPECT_EQ(out.on_pubcomp(two).error().reason, ReasonCode::kProtocolError);
}

TEST(Outgoing, ResendsInOrderWithOriginalIdentifiers_MQTT_4_4_0_1) {
  Outgoing out;
  out.begin_connection(10);
  for (std::uint64_t i = 1; i <= 4; ++i) out.send(delivery(i % 2 == 0 ? Qos::k2 : Qos::k1, i));
  ASSERT_TRUE(out.on_pubrec(2, ReasonCode::kSuccess).has_value());
  ASSERT_TRUE(out.on_puback(1).has_value());
  out.begin_connection(2);
  EXPECT_FALSE(out.can_send()) << "old packets go first";
  auto first = out.next_resend();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->packet_id, 2);
  EXPECT_EQ(first->entry->state, Outgoing::State::kAwaitsPubcomp);
  auto second = out.next_resend();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->packet_id, 3);
  EXPECT_FALSE(out.next_resend()) << "the new connection's window is full";
  EXPECT_EQ(out.on_pubrec(4, ReasonCode::kSuccess).error().reason, ReasonCode::kPacketIdentifierNotFound)
      << "not sent on this connection";
  ASSERT_TRUE(out.on_pubcomp(2).has_value());
  EXPECT_EQ(out.next_resend()->packet_id, 4);
  ASSERT_TRUE(out.on_puback(3).has_value());
  EXPECT_TRUE(out.can_send());
}

TEST(Outgoing, ForgetsWhatCannotBeRepeated) {
  Outgoing out;
  out.begin_connection(10);
  Delivery d = delivery(Qos::k1);
  d.message = nullptr;
  out.send(std::move(d));
  out.begin_connection(10);
  EXPECT_FALSE(out.next_resend());
  EXPECT_TRUE(out.idle());
}

TEST(Outgoing, RestoresExchangesWithTheirIdentifiers) {
  Outgoing out;
  out.restore(65534, Outgoing::State::kAwaitsPubrec, delivery(Qos::k2, 1));
  out.restore(2, Outgoing::State::kAwaitsPubcomp, Delivery{});
  out.begin_connection(10);
  EXPECT_EQ(out.next_resend()->packet_id, 65534);
  EXPECT_EQ(out.next_resend()->packet_id, 2);
  EXPECT_FALSE(out.next_resend());
  EXPECT_EQ(out.send(delivery(Qos::k1)), 3);
}

// Random sends, acknowledgements in any order, reconnections: nothing is lost, nothing is finished twice.
TEST(Outgoing, LosesNothingUnderRandomUse) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    Outgoing out;
    out.begin_connection(static_cast<std::uint16_t>(1 + random() % 20));
    std::uint64_t sent = 0;
    std::vector<bool> finished;
    std::vector<std::pair<wire::PacketId, Outgoing::State>> known;
    const auto refresh = [&] {
      known.clear();
      out.for_each([&](wire::PacketId id, const Outgoing::Entry& e) { known.emplace_back(id, e.state); });
    };
    for (int step = 0; step < 2000; ++step) {
      const auto what = random() % 10;
      if (what < 5) {
        while (auto resend = out.next_resend()) ASSERT_NE(resend->entry->state, Outgoing::State::kDone);
        if (out.can_send()) {
          out.send(delivery(random() % 2 == 0 ? Qos::k1 : Qos::k2, sent++));
          finished.push_back(false);
        }
      } else if (what < 9) {
        refresh();
        if (known.empty()) continue;
        const auto [id, state] = known[random() % known.size()];
        Result<Outgoing::Acknowledged, wire::Error> r =
            state == Outgoing::State::kAwaitsPuback
                ? out.on_puback(id)
                : (state == Outgoing::State::kAwaitsPubrec ? out.on_pubrec(id, ReasonCode::kSuccess)
                                                           : out.on_pubcomp(id));
        if (r.has_value() && r->finished) {
          ASSERT_FALSE(finished[r->finished->id]);
          finished[r->finished->id] = true;
        }
      } else {
        out.begin_connection(static_cast<std::uint16_t>(1 + random() % 20));
      }
    }
    std::size_t held = 0;
    out.for_each([&](wire::PacketId, const Outgoing::Entry& e) {
      held += e.state != Outgoing::State::kAwaitsPubcomp ? 1U : 0U;
    });
    ASSERT_EQ(held + static_cast<std::size_t>(std::count(finished.begin(), finished.end(), true)), sent)
        << "seed " << seed;
  }
}

TEST(Incoming, TakesAQos2MessageOnce_MQTT_4_3_3_10) {
  Incoming in;
  in.begin_connection(10);
  EXPECT_EQ(in.take_qos2(5), Incoming::Taken::kNew);
  EXPECT_EQ(in.take_qos2(5), Incoming::Taken::kDuplicate);
  EXPECT_TRUE(in.release(5));
  EXPECT_FALSE(in.release(5));
  EXPECT_EQ(in.take_qos2(5), Incoming::Taken::kNew);
}

TEST(Incoming, HoldsEveryPacketIdentifierThereIs) {
  Incoming in;
  in.begin_connection(65535);
  std::mt19937 random(1);
  std::vector<wire::PacketId> ids;
  for (std::uint32_t id = 1; id <= 65535; ++id) ids.push_back(static_cast<wire::PacketId>(id));
  std::shuffle(ids.begin(), ids.end(), random);
  for (const wire::PacketId id : ids) ASSERT_EQ(in.take_qos2(id), Incoming::Taken::kNew);
  for (const wire::PacketId id : ids) ASSERT_EQ(in.take_qos2(id), Incoming::Taken::kDuplicate);
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kTooMany);
  std::shuffle(ids.begin(), ids.end(), random);
  for (const wire::PacketId id : ids) {
    ASSERT_TRUE(in.release(id));
    ASSERT_FALSE(in.release(id));
  }
  EXPECT_EQ(in.take_qos2(7), Incoming::Taken::kNew);
  EXPECT_FALSE(in.holds(8));
}

TEST(Incoming, WhatIsHeldFromBeforeDoesNotCount) {
  Incoming in;
  in.begin_connection(3);
  for (wire::PacketId id = 1; id <= 3; ++id) EXPECT_EQ(in.take_qos2(id), Incoming::Taken::kNew);
  in.begin_connection(1);
  EXPECT_EQ(in.take_qos2(2), Incoming::Taken::kDuplicate);
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kNew);
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kTooMany);
  in.acknowledged_qos1();
  for (wire::PacketId id = 1; id <= 3; ++id) EXPECT_TRUE(in.release(id));
  EXPECT_EQ(in.take_qos2(4), Incoming::Taken::kNew);
  EXPECT_EQ(in.take_qos2(5), Incoming::Taken::kTooMany);
}

TEST(Incoming, EnforcesTheReceiveMaximum_MQTT_3_3_4_7) {
  Incoming in;
  in.begin_connection(2);
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kNew);
  EXPECT_EQ(in.take_qos2(1), Incoming::Taken::kNew);
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kTooMany);
  EXPECT_EQ(in.take_qos2(2), Incoming::Taken::kTooMany);
  EXPECT_EQ(in.take_qos2(1), Incoming::Taken::kDuplicate) << "a repetition is not a new packet";
  in.acknowledged_qos1();
  EXPECT_EQ(in.take_qos1(), Incoming::Taken::kNew);
}

TEST(TopicAliases, IncomingKnowsOnlyWhatWasDefined_MQTT_3_3_2_8) {
  IncomingAliases in(2);
  EXPECT_FALSE(in.define(0, "a"));
  EXPECT_FALSE(in.define(3, "a"));
  EXPECT_TRUE(in.define(2, "a/b"));
  EXPECT_EQ(in.find(2), "a/b");
  EXPECT_EQ(in.find(1), "");
  EXPECT_TRUE(in.define(2, "c/d"));
  EXPECT_EQ(in.find(2), "c/d");
}

TEST(TopicAliases, TopicsOfOneHashAreKeptApart) {
  OutgoingAliases out(4);
  EXPECT_FALSE(out.use("one/topic", 7).topic_known);
  EXPECT_TRUE(out.use("one/topic", 7).topic_known);
  EXPECT_FALSE(out.use("another", 7).topic_known);
}

TEST(TopicAliases, OutgoingNeverUsesAnAliasForAnotherTopic) {
  std::mt19937 random(1);
  OutgoingAliases out(4);
  std::string peer[5];
  int known = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string topic = "topic/" + std::to_string(random() % (i % 2 == 0 ? 3 : 50));
    const auto alias = out.use(topic);
    ASSERT_LE(alias.alias, 4);
    if (alias.alias == 0) continue;
    if (alias.topic_known) {
      ASSERT_EQ(peer[alias.alias], topic);
      ++known;
    } else {
      peer[alias.alias] = topic;
    }
  }
  EXPECT_GT(known, 2000) << "frequent topics are to gain from it";
}

}  // namespace
}  // namespace petrel::session
