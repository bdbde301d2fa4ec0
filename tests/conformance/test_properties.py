"""What 5.0 adds to a message: its properties, its expiry, topic aliases (3.3.2.3)."""

import pytest

import packets
from packets import V5
from registry import statement


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
