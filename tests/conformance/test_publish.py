"""PUBLISH: forwarding, retained messages, and what 5.0 adds to a message (3.3)."""

import pytest

import packets
from packets import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, options
from registry import statement


@statement(v5="MQTT-3.3.2-3 MQTT-3.3.2-1", v311="MQTT-3.3.2-3 MQTT-3.3.2-1")
def test_topic_and_payload_arrive_as_sent(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("#"))
    payloads = [b"", b"\x00", bytes(range(256)), b"x" * 70000]
    for payload in payloads:
        mqtt.client().publish(mqtt.topic("a/b"), payload)
        found = subscriber.take()
        assert (found.topic, found.payload) == (mqtt.topic("a/b"), payload)


@statement(v5="MQTT-1.5.4-3 MQTT-4.7.3-4", v311="MQTT-1.5.3-3 MQTT-4.7.3-4")
def test_byte_order_mark_is_kept(mqtt):
    """U+FEFF is a character like another: it is delivered, and a topic with it is not the topic without it."""
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("\ufeffa"))
    publisher = mqtt.client()
    publisher.publish(mqtt.topic("a"), b"other")
    publisher.publish(mqtt.topic("\ufeffa"), b"x")
    assert subscriber.take().topic == mqtt.topic("\ufeffa")
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-3 MQTT-4.3.1-1 MQTT-3.3.1-2", v311="MQTT-3.3.1-3 MQTT-4.3.1-1 MQTT-3.3.1-2")
def test_dup_is_not_propagated(mqtt):
    """DUP tells of a retransmission between two parties: the first copy to a subscriber has none."""
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=2)
    publisher = mqtt.client()
    for qos in (1, 2):
        publisher.publish(mqtt.topic(), b"x", qos, dup=True)
        found = subscriber.take_acknowledged()
        assert (found.qos, found.dup) == (qos, False)
    low = mqtt.client()
    low.subscribe(mqtt.topic(), qos=0)
    publisher.publish(mqtt.topic(), b"x", 1, dup=True)
    assert not low.take().dup


@statement(v5="MQTT-3.3.4-1 MQTT-2.2.1-5", v311="MQTT-3.3.4-1 MQTT-2.3.1-6")
def test_answers_by_qos(mqtt):
    """None for QoS 0, PUBACK for 1, PUBREC for 2, each with the packet identifier that it answers."""
    peer = mqtt.client()
    peer.publish(mqtt.topic(), b"x", 0)
    assert not peer.early
    for packet_id in (1, 2, 255, 256, 65535):
        assert peer.publish(mqtt.topic(), b"x", 1, packet_id).type == PUBACK
        assert peer.publish(mqtt.topic(), b"x", 2, packet_id).type == packets.PUBREC


@statement(v5="MQTT-2.2.1-2", v311="MQTT-2.3.1-5")
def test_qos_0_has_no_packet_identifier(mqtt):
    """Two bytes before the payload would show."""
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=0)
    mqtt.client().publish(mqtt.topic(), b"payload", 1)
    found = subscriber.take()
    assert (found.qos, found.payload) == (0, b"payload")


# ---- Retained messages


@statement(v5="MQTT-3.3.1-5 MQTT-3.3.1-9", v311="MQTT-3.3.1-5 MQTT-3.3.1-6 MQTT-3.3.1-8")
def test_retained_message_is_stored_and_replaced(mqtt):
    publisher = mqtt.client()
    for payload in (b"old", b"new"):
        publisher.publish(mqtt.topic("a"), payload, 1, retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("#"), qos=1)
    found = subscriber.take_acknowledged()
    assert (found.topic, found.payload, found.qos, found.retain, found.dup) == (mqtt.topic("a"), b"new", 1, True, False)
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-5 MQTT-3.8.4-8", v311="MQTT-3.3.1-5 MQTT-3.8.4-6")
def test_retained_message_keeps_its_qos(mqtt):
    """Delivered with the lower of the two."""
    for published in (0, 1, 2):
        mqtt.client().publish(mqtt.topic(str(published)), b"x", published, retain=True)
    for granted in (0, 1, 2):
        subscriber = mqtt.client()
        for published in (0, 1, 2):
            subscriber.subscribe(mqtt.topic(str(published)), qos=granted)
            assert subscriber.take_acknowledged().qos == min(published, granted)


@statement(v311="MQTT-3.3.1-7")
def test_retained_qos_0_discards_the_older_one(mqtt):
    """The new one should be kept and may be discarded; the old one must be."""
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"old", 1, retain=True)
    publisher.publish(mqtt.topic(), b"new", 0, retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=1)
    subscriber.ping()
    assert [found.payload for found in subscriber.early] in ([b"new"], [])


@statement(v5="MQTT-3.3.1-6 MQTT-3.3.1-7", v311="MQTT-3.3.1-10 MQTT-3.3.1-11")
def test_empty_retained_message_clears(mqtt):
    """It is delivered to those who are there, and whoever comes later gets nothing."""
    publisher, present = mqtt.client(), mqtt.client()
    publisher.publish(mqtt.topic(), b"old", 1, retain=True)
    present.subscribe(mqtt.topic())
    assert present.take().payload == b"old"
    publisher.publish(mqtt.topic(), b"", 1, retain=True)
    found = present.take()
    assert (found.payload, found.retain) == (b"", False)
    late = mqtt.client()
    late.subscribe(mqtt.topic())
    late.expect_nothing()


@statement(v5="MQTT-3.3.1-8", v311="MQTT-3.3.1-12")
def test_message_without_retain_leaves_the_retained_one(mqtt):
    publisher = mqtt.client()
    publisher.publish(mqtt.topic("none"), b"x")
    publisher.publish(mqtt.topic("kept"), b"kept", retain=True)
    publisher.publish(mqtt.topic("kept"), b"x")
    publisher.publish(mqtt.topic("kept"), b"")
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("#"))
    assert subscriber.take().payload == b"kept"
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-12", v311="MQTT-3.3.1-9")
def test_retain_flag_is_cleared_for_established_subscriptions(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic())
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    assert not subscriber.take().retain


@statement(v5="MQTT-3.3.1-13")
def test_retain_as_published(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), retain_as_published=True)
    publisher = mqtt.client()
    for retain in (True, False):
        publisher.publish(mqtt.topic(), b"x", retain=retain)
        assert subscriber.take().retain == retain


@statement(v5="MQTT-3.3.1-12 MQTT-3.3.1-13")
def test_retained_message_has_retain_whatever_the_option(mqtt):
    """Sent because of a new subscription: RETAIN is set, with Retain As Published or without."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    for as_published in (False, True):
        subscriber = mqtt.client()
        subscriber.subscribe(mqtt.topic(), retain_as_published=as_published)
        assert subscriber.take().retain


@statement(v5="MQTT-3.3.1-9 MQTT-3.8.4-4", v311="MQTT-3.3.1-6 MQTT-3.8.4-3")
def test_retained_messages_come_again_with_each_subscribe(mqtt):
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    for _ in range(3):
        subscriber.subscribe(mqtt.topic())
        assert subscriber.take().payload == b"x"


@statement(v5="MQTT-3.3.1-10")
def test_retain_handling_1(mqtt):
    """Only a new subscription is sent retained messages; once ended, it is new again."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    assert subscriber.take().payload == b"x"
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    subscriber.expect_nothing()
    subscriber.unsubscribe(mqtt.topic())
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    assert subscriber.take().payload == b"x"


@statement(v5="MQTT-3.3.1-10")
def test_retain_handling_1_in_a_resumed_session(mqtt):
    """A subscription that the session has kept did already exist."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    first = mqtt.lasting()
    first.subscribe(mqtt.topic(), retain_handling=1)
    assert first.take().payload == b"x"
    first.disconnect()
    back = mqtt.lasting()
    back.subscribe(mqtt.topic(), retain_handling=1)
    back.expect_nothing()


@statement(v5="MQTT-3.3.1-11")
def test_retain_handling_2(mqtt):
    publisher, subscriber = mqtt.client(), mqtt.client()
    publisher.publish(mqtt.topic(), b"retained", retain=True)
    subscriber.subscribe(mqtt.topic(), retain_handling=2)
    publisher.publish(mqtt.topic(), b"live")
    assert subscriber.take().payload == b"live"
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-9", v311="MQTT-3.3.1-6")
def test_retained_messages_of_a_wildcard(mqtt):
    """One for each matching topic, and no other."""
    publisher = mqtt.client()
    for text in ("a", "a/b", "a/b/c", "d"):
        publisher.publish(mqtt.topic(text), text.encode(), retain=True)
    for name, expected in (("a/#", {b"a", b"a/b", b"a/b/c"}), ("+", {b"a", b"d"}), ("+/b", {b"a/b"})):
        subscriber = mqtt.client()
        subscriber.subscribe(mqtt.topic(name))
        subscriber.ping()
        assert sorted(found.payload for found in subscriber.early) == sorted(expected)


# ---- What 5.0 adds to a message


PROPERTIES = {
    "payload_format_indicator": 1,
    "content_type": "text/plain; charset=utf-8",
    "response_topic": "answers/here",
    "correlation_data": b"\x00\x01\xff",
    "user_property": [("b", "2"), ("a", "1"), ("b", "2"), ("", ""), ("ä", "ö")],
}


@statement(v5="MQTT-3.3.2-4 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.2-20")
def test_properties_are_passed_on(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=2)
    for qos in (0, 1, 2):
        mqtt.client().publish(mqtt.topic(), b"x", qos, props=PROPERTIES)
        assert subscriber.take_acknowledged().props == PROPERTIES


@statement(v5="MQTT-3.3.2-4 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.2-20")
def test_properties_are_kept_with_retained_and_waiting_messages(mqtt):
    absent = mqtt.lasting()
    absent.subscribe(mqtt.topic(), qos=1)
    absent.disconnect()
    mqtt.client().publish(mqtt.topic(), b"x", 1, retain=True, props=PROPERTIES)
    assert mqtt.lasting().take_acknowledged().props == PROPERTIES
    late = mqtt.client()
    late.subscribe(mqtt.topic())
    assert late.take().props == PROPERTIES


@statement(v5="MQTT-3.3.2-4")
def test_no_property_is_added(mqtt):
    """A message without properties arrives without; payload format 0 is not 1."""
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic())
    mqtt.client().publish(mqtt.topic(), b"x")
    assert subscriber.take().props == {}
    mqtt.client().publish(mqtt.topic(), b"x", props={"payload_format_indicator": 0})
    assert subscriber.take().props in ({}, {"payload_format_indicator": 0})


@statement(v5="MQTT-3.3.2-6")
def test_message_expiry_interval_is_passed_on(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic())
    mqtt.client().publish(mqtt.topic(), b"x", props={"message_expiry_interval": 600})
    assert 590 < subscriber.take().props["message_expiry_interval"] <= 600


@statement(v5="MQTT-3.3.2-6")
@pytest.mark.takes_time
def test_message_expiry_interval_counts_down(mqtt):
    """By the time the message has waited: retained, and for an absent client."""
    absent = mqtt.lasting()
    absent.subscribe(mqtt.topic(), qos=1)
    absent.disconnect()
    mqtt.client().publish(mqtt.topic(), b"x", 1, retain=True, props={"message_expiry_interval": 600})
    mqtt.let_pass(2)
    late = mqtt.client()
    late.subscribe(mqtt.topic())
    for found in (late.take(), mqtt.lasting().take_acknowledged()):
        assert 580 < found.props["message_expiry_interval"] <= 598


@statement(v5="MQTT-3.3.2-5")
@pytest.mark.takes_time
def test_expired_message_is_not_delivered(mqtt):
    """Neither to an absent client nor, retained, to a later one; the message behind it arrives."""
    absent = mqtt.lasting()
    absent.subscribe(mqtt.topic("#"), qos=2)
    absent.disconnect()
    publisher = mqtt.client()
    for qos in (1, 2):
        publisher.publish(mqtt.topic(f"a{qos}"), b"expired", qos, retain=True, props={"message_expiry_interval": 1})
    publisher.publish(mqtt.topic("b"), b"lasting", 1)
    mqtt.let_pass(3)
    late = mqtt.client()
    late.subscribe(mqtt.topic("#"))
    late.expect_nothing()
    back = mqtt.lasting()
    assert back.take_acknowledged().payload == b"lasting"
    back.expect_nothing()


@statement(v5="MQTT-4.3.3-7")
@pytest.mark.takes_time
def test_expiry_does_not_hold_for_what_was_sent(mqtt):
    """A QoS 2 message that was sent once is delivered to its end, past its expiry."""
    subscriber = mqtt.lasting()
    subscriber.subscribe(mqtt.topic(), qos=2)
    mqtt.client().publish(mqtt.topic(), b"x", 2, props={"message_expiry_interval": 1})
    first = subscriber.take()
    subscriber.drop()
    mqtt.let_pass(3)
    back = mqtt.lasting()
    again = back.take()
    assert (again.packet_id, again.payload, again.dup) == (first.packet_id, b"x", True)
    back.complete(again)


@statement(v5="MQTT-4.3.3-13")
@pytest.mark.takes_time
def test_receiving_goes_on_past_expiry(mqtt):
    """A message whose expiry passes between PUBREC and PUBREL still gets its PUBCOMP."""
    peer = mqtt.client()
    peer.send(packets.publish(V5, mqtt.topic(), b"x", 2, 9, props={"message_expiry_interval": 1}))
    assert peer.expect(packets.PUBREC).packet_id == 9
    mqtt.let_pass(2)
    peer.acknowledge(packets.PUBREL, 9)
    answer = peer.expect(packets.PUBCOMP)
    assert (answer.packet_id, answer.code) == (9, 0)


# ---- Topic aliases


@statement(v5="MQTT-3.3.2-12")
def test_alias_to_the_server(mqtt):
    """1 and the announced maximum; defined, used, defined anew."""
    subscriber, publisher = mqtt.client(), mqtt.client()
    subscriber.subscribe(mqtt.topic("#"))
    maximum = publisher.connack.props.get("topic_alias_maximum", 0)
    for alias in {1, maximum} if maximum else ():
        for name in ("a", "b"):
            publisher.publish(mqtt.topic(name), b"defined", props={"topic_alias": alias})
            publisher.publish("", b"used", props={"topic_alias": alias})
            found = subscriber.take_many(2)
            assert [(one.topic, one.payload) for one in found] == [(mqtt.topic(name), b"defined"), (mqtt.topic(name), b"used")]
            assert all("topic_alias" not in one.props for one in found)


@statement(v5="MQTT-3.3.2-9")
def test_alias_above_the_maximum(mqtt):
    """A client must not; a server calls it 0x94, and closes."""
    peer = mqtt.client()
    above = peer.connack.props.get("topic_alias_maximum", 0) + 1
    if above <= 65535:
        peer.send(packets.publish(V5, mqtt.topic(), b"x", props={"topic_alias": above}))
        peer.expect_end(0x94)


@statement(v5="MQTT-3.3.2-7")
def test_alias_ends_with_its_connection(mqtt):
    publisher = mqtt.lasting()
    if not publisher.connack.props.get("topic_alias_maximum"):
        return
    publisher.publish(mqtt.topic(), b"x", props={"topic_alias": 1})
    publisher.disconnect()
    again = mqtt.lasting()
    again.send(packets.publish(V5, "", b"x", props={"topic_alias": 1}))
    again.expect_end(0x82, also=(0x94,))


@statement(v5="MQTT-3.1.2-26 MQTT-3.3.2-11 MQTT-3.3.2-8")
def test_aliases_to_the_client_keep_to_its_maximum(mqtt):
    """More topics than aliases, each published thrice: every message arrives under its name."""
    subscriber = mqtt.client(props={"topic_alias_maximum": 2})
    subscriber.subscribe(mqtt.topic("#"))
    known = {}
    for _ in range(3):
        for name in "abcd":
            mqtt.client().publish(mqtt.topic(name), name.encode())
            found = subscriber.take()
            alias = found.props.get("topic_alias")
            assert alias is None or 1 <= alias <= 2
            if found.topic and alias:
                known[alias] = found.topic
            assert (found.topic or known[alias]) == mqtt.topic(name)


@statement(v5="MQTT-3.1.2-27")
def test_no_alias_to_a_client_without_maximum(mqtt):
    for props in (None, {"topic_alias_maximum": 0}):
        subscriber = mqtt.client(props=props)
        subscriber.subscribe(mqtt.topic())
        for _ in range(3):
            mqtt.client().publish(mqtt.topic(), b"x")
            found = subscriber.take()
            assert found.topic and "topic_alias" not in found.props


@statement(v5="MQTT-3.3.2-7")
def test_alias_to_the_client_ends_with_its_connection(mqtt):
    """On the next connection the first message names its topic."""
    subscriber = mqtt.lasting(props={"topic_alias_maximum": 5})
    subscriber.subscribe(mqtt.topic(), qos=1)
    for _ in range(3):
        mqtt.client().publish(mqtt.topic(), b"x", 1)
        subscriber.take_acknowledged()
    subscriber.ping()
    subscriber.disconnect()
    back = mqtt.lasting(props={"topic_alias_maximum": 5})
    mqtt.client().publish(mqtt.topic(), b"x", 1)
    assert back.take_acknowledged().topic == mqtt.topic()


# ---- Subscription identifiers


@statement(v5="MQTT-3.3.4-3 MQTT-3.3.4-4")
def test_subscription_identifier(mqtt):
    subscriber = mqtt.client()
    for name, identifier in (("a", 1), ("b", 268435455)):
        subscriber.subscribe(mqtt.topic(name), props={"subscription_identifier": identifier})
        mqtt.client().publish(mqtt.topic(name), b"x")
        assert subscriber.take().props["subscription_identifier"] == [identifier]
    subscriber.subscribe(mqtt.topic("c"))
    mqtt.client().publish(mqtt.topic("c"), b"x")
    assert "subscription_identifier" not in subscriber.take().props


@statement(v5="MQTT-3.3.4-2 MQTT-3.3.4-3 MQTT-3.3.4-4 MQTT-3.3.4-5")
def test_overlapping_subscriptions_with_identifiers(mqtt):
    """In one copy all identifiers, or in each copy its own; the highest QoS of the matching ones is kept to."""
    subscriber = mqtt.client()
    for name, qos, identifier in (("a", 0, 1), ("+", 2, 2), ("#", 1, 3)):
        subscriber.subscribe(mqtt.topic(name), qos=qos, props={"subscription_identifier": identifier})
    subscriber.subscribe(mqtt.topic("a/#"), qos=0)
    mqtt.client().publish(mqtt.topic("a"), b"x", 2)
    mqtt.client().publish(mqtt.topic("fence/fence"), b"fence", 0)
    copies = []
    while (found := subscriber.take_acknowledged()).payload != b"fence":
        copies.append(found)
    identifiers = [sorted(found.props.get("subscription_identifier", [])) for found in copies]
    assert max(found.qos for found in copies) == 2
    if len(copies) == 1:
        assert identifiers == [[1, 2, 3]]
    else:
        assert sorted(identifiers) == [[], [1], [2], [3]]
        assert {found.props.get("subscription_identifier", [0])[0]: found.qos for found in copies} == {0: 0, 1: 0, 2: 2, 3: 1}


@statement(v5="MQTT-3.8.4-3 MQTT-3.3.4-3")
def test_new_subscribe_replaces_the_identifier(mqtt):
    subscriber = mqtt.client()
    for props, expected in (({"subscription_identifier": 1}, [1]), ({"subscription_identifier": 2}, [2]), (None, None)):
        subscriber.subscribe(mqtt.topic(), props=props)
        mqtt.client().publish(mqtt.topic(), b"x")
        assert subscriber.take().props.get("subscription_identifier") == expected
        subscriber.expect_nothing()


@statement(v5="MQTT-3.3.4-3 MQTT-3.1.2-5")
def test_identifier_is_part_of_the_session(mqtt):
    subscriber = mqtt.lasting()
    subscriber.subscribe(mqtt.topic(), qos=1, props={"subscription_identifier": 77})
    subscriber.disconnect()
    mqtt.client().publish(mqtt.topic(), b"waits", 1)
    back = mqtt.lasting()
    mqtt.client().publish(mqtt.topic(), b"live", 1)
    assert [back.take_acknowledged().props["subscription_identifier"] for _ in range(2)] == [[77], [77]]


@statement(v5="MQTT-3.3.4-3")
def test_identifier_with_retained_messages(mqtt):
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), props={"subscription_identifier": 5})
    assert subscriber.take().props["subscription_identifier"] == [5]


@statement(v5="MQTT-3.3.4-2", v311="MQTT-3.3.5-1")
def test_overlapping_subscriptions_keep_to_the_highest_qos(mqtt):
    subscriber = mqtt.client()
    for name, qos in (("a", 0), ("+", 1), ("#", 2)):
        subscriber.subscribe(mqtt.topic(name), qos=qos)
    mqtt.client().publish(mqtt.topic("a"), b"x", 2)
    mqtt.client().publish(mqtt.topic("fence/fence"), b"fence", 0)
    copies = []
    while (found := subscriber.take_acknowledged()).payload != b"fence":
        copies.append(found.qos)
    assert max(copies) == 2 and len(copies) <= 3


# ---- Sizes


@statement(v5="MQTT-3.1.2-24 MQTT-3.1.2-25")
def test_packets_larger_than_the_client_takes_are_discarded(mqtt):
    """For this client only, and as if they had been delivered: with room for one message at a time, the next one comes."""
    limit = 200
    subscriber = mqtt.client(props={"maximum_packet_size": limit, "receive_maximum": 1})
    other = mqtt.client()
    for peer in (subscriber, other):
        peer.subscribe(mqtt.topic(), qos=2)
    publisher = mqtt.client()
    for qos in (0, 1, 2):
        publisher.publish(mqtt.topic(), b"x" * limit, qos)
        publisher.publish(mqtt.topic(), b"fits %d" % qos, qos)
        found = subscriber.take_acknowledged()
        assert found.payload == b"fits %d" % qos and found.size <= limit
        assert [len(other.take_acknowledged().payload) for _ in range(2)] == [limit, 6]


@statement(v5="MQTT-3.1.2-24")
def test_packet_of_exactly_the_maximum_size(mqtt):
    subscriber = mqtt.client(props={"maximum_packet_size": 100})
    subscriber.subscribe(mqtt.topic())
    publisher = mqtt.client()
    bare = len(packets.publish(V5, mqtt.topic(), b""))
    for size in (101, 100):
        publisher.publish(mqtt.topic(), b"x" * (size - bare))
    assert subscriber.take().size == 100


@statement(v5="MQTT-3.1.2-25")
def test_waiting_message_larger_than_the_client_now_takes(mqtt):
    """Sent once and not acknowledged; the client comes back with less room, and what follows must not wait for ever."""
    first = mqtt.lasting()
    first.subscribe(mqtt.topic(), qos=1)
    mqtt.client().publish(mqtt.topic(), b"x" * 300, 1)
    first.take()
    first.drop()
    back = mqtt.lasting(props={"maximum_packet_size": 200, "receive_maximum": 1})
    mqtt.client().publish(mqtt.topic(), b"fits", 1)
    assert back.take_acknowledged().payload == b"fits"


@statement(
    v5="MQTT-3.4.2-2 MQTT-3.4.2-3 MQTT-3.5.2-2 MQTT-3.5.2-3 MQTT-3.6.2-2 MQTT-3.6.2-3 "
    "MQTT-3.7.2-2 MQTT-3.7.2-3 MQTT-3.9.2-1 MQTT-3.9.2-2 MQTT-3.11.2-1 MQTT-3.11.2-2"
)
def test_answers_keep_to_maximum_packet_size(mqtt):
    """A limit at which no answer has room for a Reason String or a User Property, while the CONNACK still fits."""
    connack = mqtt.client("probe").connack
    limit = max(connack.size, 8)
    peer = mqtt.client(props={"maximum_packet_size": limit})
    answers = [
        peer.subscribe(mqtt.topic()),
        peer.publish(mqtt.topic("nobody"), b"x", 1),
        peer.publish(mqtt.topic("nobody"), b"x", 2),
        peer.unsubscribe(mqtt.topic("other")),
    ]
    peer.acknowledge(PUBREC, 98)
    if (found := peer.read()).type == PUBREL:
        answers.append(found)
        peer.acknowledge(PUBREL, 99)
        found = peer.expect(PUBCOMP)
    answers.append(found)
    for answer in answers:
        assert answer.size <= limit


# ---- No Local


@statement(v5="MQTT-3.8.3-3")
def test_no_local(mqtt):
    """The publishing client itself gets nothing; with the option off, and from others, it does."""
    peer, other = mqtt.client(), mqtt.client()
    peer.subscribe((mqtt.topic("quiet"), options(1, no_local=True)), (mqtt.topic("loud"), options(1)))
    for name in ("quiet", "loud"):
        peer.publish(mqtt.topic(name), b"own", 1)
        other.publish(mqtt.topic(name), b"other", 1)
    heard = [peer.take_acknowledged() for _ in range(3)]
    assert sorted((found.topic, found.payload) for found in heard) == sorted(
        [(mqtt.topic("quiet"), b"other"), (mqtt.topic("loud"), b"own"), (mqtt.topic("loud"), b"other")]
    )
    peer.expect_nothing()


@statement(v5="MQTT-3.8.3-3")
def test_no_local_goes_by_client_id(mqtt):
    """Published on one connection, delivered on the client's next: it is the same client id."""
    peer = mqtt.lasting()
    peer.subscribe((mqtt.topic(), options(1, no_local=True)))
    peer.publish(mqtt.topic(), b"own", 1)
    peer.disconnect()
    back = mqtt.lasting()
    back.publish(mqtt.topic(), b"own", 1)
    mqtt.client().publish(mqtt.topic(), b"other", 1)
    assert back.take_acknowledged().payload == b"other"
    back.expect_nothing()


@statement(v5="MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.7.2-1", v311="MQTT-3.3.5-2")
def test_publish_that_the_broker_does_not_take(mqtt):
    """A name under $SYS is the broker's own. Before 5.0 a refusal cannot be told: a positive answer, or the end of the connection."""
    peer = mqtt.client()
    peer.send(packets.publish(mqtt.version, "$SYS/broker/version", b"x", 1, 7))
    found = peer.read()
    if found is not None and found.type != packets.DISCONNECT:
        assert (found.type, found.packet_id) == (PUBACK, 7)
        peer.ping()
