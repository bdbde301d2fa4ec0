"""SUBSCRIBE and UNSUBSCRIBE, topic names and topic filters (3.8 to 3.11, 4.7)."""

import packets
from packets import SUBACK, UNSUBACK, options
from registry import statement


@statement(v5="MQTT-3.8.4-1 MQTT-3.8.4-2 MQTT-2.2.1-6", v311="MQTT-3.8.4-1 MQTT-3.8.4-2 MQTT-2.3.1-7")
def test_suback_has_the_packet_identifier(mqtt):
    peer = mqtt.client()
    for packet_id in (1, 65535, 256):
        assert peer.subscribe(mqtt.topic(), packet_id=packet_id).packet_id == packet_id


@statement(
    v5="MQTT-3.8.4-5 MQTT-3.8.4-6 MQTT-3.8.4-7 MQTT-3.9.3-1 MQTT-3.9.3-2",
    v311="MQTT-3.8.4-4 MQTT-3.8.4-5 MQTT-3.9.3-1 MQTT-3.9.3-2",
)
def test_one_reason_code_for_each_filter(mqtt):
    """In the order of the filters, each the QoS that was granted."""
    peer = mqtt.client()
    wanted = [2, 0, 1, 1, 0, 2]
    pairs = [(mqtt.topic(f"{index}"), options(qos)) for index, qos in enumerate(wanted)]
    assert peer.subscribe(*pairs).codes == wanted
    publisher = mqtt.client()
    for index in range(len(wanted)):
        publisher.publish(mqtt.topic(str(index)), b"x", 2)
    heard = {found.topic: found.qos for found in (peer.take_acknowledged() for _ in wanted)}
    assert heard == {mqtt.topic(f"{index}"): qos for index, qos in enumerate(wanted)}


@statement(v5="MQTT-3.8.4-5", v311="MQTT-3.8.4-4")
def test_same_filter_twice_in_one_packet(mqtt):
    """As if two packets had come: the second entry holds, and the message arrives once."""
    peer = mqtt.client()
    assert peer.subscribe((mqtt.topic(), 2), (mqtt.topic(), 0)).codes == [2, 0]
    mqtt.client().publish(mqtt.topic(), b"x", 1)
    assert peer.take().qos == 0
    peer.expect_nothing()


@statement(v5="MQTT-3.8.4-3", v311="MQTT-3.8.4-3")
def test_new_subscription_replaces_the_old_one(mqtt):
    """Same filter, another QoS: one copy, with the QoS of the last."""
    peer = mqtt.client()
    for qos in (0, 2, 1):
        peer.subscribe(mqtt.topic("+"), qos=qos)
        mqtt.client().publish(mqtt.topic("a"), b"x", 2)
        assert peer.take_acknowledged().qos == qos
        peer.expect_nothing()


@statement(v5="MQTT-3.8.4-4", v311="MQTT-3.8.4-3")
def test_no_message_is_lost_while_a_subscription_is_replaced(mqtt):
    """A publisher goes on while the subscriber subscribes again and again."""
    subscriber, publisher = mqtt.client(), mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=1)
    count = 200
    for index in range(count):
        publisher.send(packets.publish(mqtt.version, mqtt.topic(), b"%d" % index, 1, index + 1))
        subscriber.send(packets.subscribe(mqtt.version, [(mqtt.topic(), 1)], packet_id=index + 1))
    heard, answers = [], 0
    while len(heard) < count or answers < count:
        found = subscriber.read()
        if found.type == SUBACK:
            answers += 1
        else:
            heard.append(int(found.payload))
            subscriber.complete(found)
    assert heard == list(range(count))


@statement(v5="MQTT-3.8.4-8", v311="MQTT-3.8.4-6")
def test_delivered_qos_is_the_lower_one(mqtt):
    for granted in (0, 1, 2):
        subscriber = mqtt.client()
        subscriber.subscribe(mqtt.topic(), qos=granted)
        for published in (0, 1, 2):
            mqtt.client().publish(mqtt.topic(), b"x", published)
            assert subscriber.take_acknowledged().qos == min(granted, published)


def matches(mqtt, expected, others, name):
    """Messages to `expected` arrive at a subscriber of `name`, those to `others` do not."""
    subscriber, publisher = mqtt.client(), mqtt.client()
    subscriber.subscribe(mqtt.topic(name))
    for topic in [*others, *expected]:
        publisher.publish(mqtt.topic(topic), topic.encode())
    heard = [subscriber.take().topic for _ in expected]
    assert sorted(heard) == sorted(mqtt.topic(topic) for topic in expected)
    subscriber.expect_nothing()


@statement(v5="MQTT-4.7.1-1", v311="MQTT-4.7.1-2")
def test_multi_level_wildcard(mqtt):
    """The parent level and everything below it."""
    matches(mqtt, ["a", "a/", "a/b", "a/b/c", "a//"], ["ab", "b/a", "A/b"], "a/#")


@statement(v5="MQTT-4.7.1-1", v311="MQTT-4.7.1-2")
def test_multi_level_wildcard_alone(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe("#")
    mqtt.client().publish(mqtt.topic("a/b"), b"mine")
    while subscriber.take().payload != b"mine":
        pass


@statement(v5="MQTT-4.7.1-2", v311="MQTT-4.7.1-3")
def test_single_level_wildcard(mqtt):
    """Exactly one level, which may be empty."""
    matches(mqtt, ["a/b/c", "a//c"], ["a/c", "a/b/b/c", "a/b/c/d", "a/b", "b/b/c"], "a/+/c")


@statement(v5="MQTT-4.7.1-2", v311="MQTT-4.7.1-3")
def test_single_level_wildcard_at_the_end(mqtt):
    matches(mqtt, ["a/b", "a/"], ["a", "a/b/", "a/b/c"], "a/+")


@statement(v5="MQTT-4.7.1-2", v311="MQTT-4.7.1-3")
def test_single_level_wildcards_at_both_ends(mqtt):
    """Of the whole filter: the first level is this run's, the second this test's."""
    subscriber = mqtt.client()
    subscriber.subscribe(f"+/{mqtt.number}/+")
    mqtt.client().publish(mqtt.topic("a"), b"x")
    assert subscriber.take().topic == mqtt.topic("a")


@statement(v5="MQTT-4.7.1-1 MQTT-4.7.1-2", v311="MQTT-4.7.1-2 MQTT-4.7.1-3")
def test_both_wildcards(mqtt):
    matches(mqtt, ["a/x/c", "a/x/c/d", "a//c/d/e"], ["a/c", "a/x/d", "b/x/c"], "a/+/c/#")


@statement(v5="MQTT-4.7.1-1 MQTT-4.7.1-2 MQTT-3.8.4-7", v311="MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT-3.8.4-5")
def test_misplaced_wildcards_are_refused(mqtt):
    """By a failure in the SUBACK or by closing the connection; the specification names no other way."""
    for name in ("a#", "#/a", "a/#/b", "##", "#a", "a/b#", "a+", "+a", "a/+b/c", "a/b+/c", "++"):
        refused(mqtt, mqtt.topic(name) if name[0] == "a" else name)


def refused(mqtt, name):
    peer = mqtt.client()
    peer.send(packets.subscribe(mqtt.version, [(name, 0)]))
    found = peer.read()
    if found is not None and found.type == SUBACK:
        assert found.codes[0] >= 0x80, f"{name} was granted"
    elif found is not None:
        assert found.type == packets.DISCONNECT and found.code >= 0x80
        assert peer.read() is None


@statement(v5="MQTT-4.7.3-1", v311="MQTT-4.7.3-1")
def test_empty_filter_is_refused(mqtt):
    refused(mqtt, "")


@statement(v5="MQTT-4.7.3-1", v311="MQTT-4.7.3-1")
def test_topics_of_one_character(mqtt):
    """A single separator is a topic of two empty levels."""
    subscriber = mqtt.client()
    subscriber.subscribe("/", qos=1)
    mqtt.client().publish("/", mqtt.topic().encode(), 1)
    while subscriber.take_acknowledged().payload != mqtt.topic().encode():
        pass


@statement(v5="MQTT-4.7.3-4", v311="MQTT-4.7.3-4")
def test_names_are_not_normalized(mqtt):
    """Case, composed and decomposed characters, spaces, empty levels: different bytes, different topics."""
    matches(mqtt, ["Ä b"], ["ä b", "A\u0308 b", "Äb", "Ä  b", "/Ä b", "Ä b/", "Ä%20b"], "Ä b")


@statement(v5="MQTT-4.7.3-3", v311="MQTT-4.7.3-3")
def test_longest_topic(mqtt):
    """65,535 bytes is what the length field can say: a server takes it, or refuses it by its limits, and does not fall over it."""
    peer = mqtt.client()
    name = (mqtt.topic() + "x" * 65535)[:65535]
    peer.send(packets.subscribe(mqtt.version, [(name, 0)]))
    found = peer.read()
    if found is not None and found.type == SUBACK and found.codes[0] == 0:
        mqtt.client().publish(name, b"x")
        assert peer.take().topic == name


@statement(v5="MQTT-4.7.2-1", v311="MQTT-4.7.2-1")
def test_wildcards_do_not_match_dollar_topics(mqtt):
    """At the first level; a filter that names the $ level matches, and $ elsewhere is a character like another."""
    # The subscriptions come first and the publisher is one: what a wildcard took in would come before the last message.
    topic = f"$mine/{mqtt.topic()}"
    wild, named = mqtt.client(), mqtt.client()
    wild.subscribe(("#", 0), (f"+/{mqtt.topic()}", 0), ("+/#", 0))
    named.subscribe((topic, 0), ("$mine/#", 0))
    publisher = mqtt.client()
    publisher.publish(topic, b"dollar")
    publisher.publish(mqtt.topic("$a"), b"plain")
    publisher.publish(mqtt.topic("end"), b"end")
    heard = []
    while (found := wild.take()).topic != mqtt.topic("end"):
        heard.append(found.topic)
    assert not [one for one in heard if one.startswith("$")]
    assert mqtt.topic("$a") in heard
    named.ping()
    assert {found.topic for found in named.early} <= {topic}


@statement(v5="MQTT-4.7.2-1", v311="MQTT-4.7.2-1")
def test_retained_dollar_topics_do_not_match_wildcards(mqtt):
    """$SYS messages, where a server has them, are such; so is whatever else it retains under $."""
    mqtt.client().publish(f"$mine/{mqtt.topic()}", b"dollar", retain=True)
    mqtt.client().publish(mqtt.topic(), b"plain", retain=True)
    peer = mqtt.client()
    peer.subscribe(f"+/{mqtt.topic()}", f"+/{mqtt.number}/t")
    assert peer.take().topic == mqtt.topic()
    peer.expect_nothing()


# ---- UNSUBSCRIBE


@statement(
    v5="MQTT-3.10.4-4 MQTT-3.10.4-5 MQTT-2.2.1-6 MQTT-3.11.3-1 MQTT-3.11.3-2",
    v311="MQTT-3.10.4-4 MQTT-3.10.4-5 MQTT-2.3.1-7",
)
def test_unsuback(mqtt):
    """For filters that were subscribed and others; 5.0 says which, in their order."""
    peer = mqtt.client()
    peer.subscribe(mqtt.topic("a"), mqtt.topic("b"))
    answer = peer.unsubscribe(mqtt.topic("a"), mqtt.topic("none"), mqtt.topic("b"), packet_id=65535)
    assert answer.codes == ([0, 0x11, 0] if mqtt.is_v5 else [])
    assert peer.unsubscribe(mqtt.topic("none"), packet_id=1).type == UNSUBACK


@statement(v5="MQTT-3.10.4-2 MQTT-3.10.4-1", v311="MQTT-3.10.4-2 MQTT-3.10.4-1")
def test_nothing_comes_after_unsubscribe(mqtt):
    peer = mqtt.client()
    peer.subscribe(mqtt.topic("a"), mqtt.topic("b/#"))
    peer.unsubscribe(mqtt.topic("b/#"))
    publisher = mqtt.client()
    publisher.publish(mqtt.topic("b/c"), b"x", 1)
    publisher.publish(mqtt.topic("a"), b"still here", 1)
    assert peer.take().payload == b"still here"
    peer.expect_nothing()


@statement(v5="MQTT-3.10.4-1", v311="MQTT-3.10.4-1")
def test_filters_are_compared_character_by_character(mqtt):
    """Filters that match the same topics, and such as differ a little, are not the subscribed one."""
    peer = mqtt.client()
    peer.subscribe(mqtt.topic("a/+"))
    others = ("a/#", "a/b", "A/+", "a/+/", "+/+", "#")
    answer = peer.unsubscribe(*(mqtt.topic(name) for name in others))
    assert answer.codes == ([0x11] * len(others) if mqtt.is_v5 else [])
    mqtt.client().publish(mqtt.topic("a/b"), b"x")
    assert peer.take().payload == b"x"


@statement(v5="MQTT-3.10.4-6", v311="MQTT-3.10.4-6")
def test_unsubscribe_with_several_filters(mqtt):
    """One answer, and all of them are gone."""
    peer = mqtt.client()
    names = [mqtt.topic(name) for name in ("a", "b", "c")]
    peer.subscribe(*names)
    peer.unsubscribe(*names)
    for name in names:
        mqtt.client().publish(name, b"x")
    peer.expect_nothing()


@statement(v5="MQTT-3.10.4-3", v311="MQTT-3.10.4-3")
def test_delivery_under_way_is_completed_after_unsubscribe(mqtt):
    """QoS 2: the message is out when UNSUBSCRIBE comes; PUBREC is still answered, and a lost connection does not end it."""
    peer = mqtt.lasting()
    peer.subscribe(mqtt.topic(), qos=2)
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"1", 1)
    publisher.publish(mqtt.topic(), b"2", 2)
    one, two = peer.take_many(2)
    peer.unsubscribe(mqtt.topic())
    peer.complete(two)
    peer.ping()
    peer.disconnect()
    back = mqtt.lasting()
    again = back.take_acknowledged()
    assert (again.packet_id, again.payload, again.dup) == (one.packet_id, b"1", True)
    back.expect_nothing()


@statement(v311="MQTT-3.8.3-2")
def test_wildcards_are_supported_or_refused(mqtt):
    """A server without wildcards would refuse the filter; one that grants it delivers."""
    peer = mqtt.client()
    peer.send(packets.subscribe(mqtt.version, [(mqtt.topic("+"), 0)]))
    if peer.expect(SUBACK).codes[0] < 0x80:
        mqtt.client().publish(mqtt.topic("a"), b"x")
        assert peer.take().payload == b"x"
