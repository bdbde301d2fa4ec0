"""Wills (3.1.2.5 to 3.1.2.7, 3.1.3.2, 3.14.4)."""

import pytest

import packets
from packet_socket import PacketSocket
from packets import Will
from registry import statement


def watch(mqtt, qos=0, text="will", **options):
    watcher = mqtt.client()
    watcher.subscribe(mqtt.topic(text), qos=qos, **options)
    return watcher


@statement(v5="MQTT-3.1.2-7 MQTT-3.1.2-8 MQTT-3.1.2-14", v311="MQTT-3.1.2-8 MQTT-3.1.2-16")
def test_will_is_published_when_the_connection_breaks(mqtt):
    watcher = watch(mqtt)
    mqtt.client(will=Will(mqtt.topic("will"), b"gone")).drop()
    found = watcher.take()
    assert (found.payload, found.retain) == (b"gone", False)
    late = watch(mqtt)
    late.expect_nothing()


@statement(v5="MQTT-3.1.2-8 MQTT-3.1.2-12", v311="MQTT-3.1.2-8 MQTT-3.1.2-14")
def test_will_has_its_qos(mqtt):
    watcher = watch(mqtt, 2)
    for qos in (0, 1, 2):
        mqtt.client(will=Will(mqtt.topic("will"), b"%d" % qos, qos)).drop()
        found = watcher.take_acknowledged()
        assert (found.payload, found.qos) == (b"%d" % qos, qos)


@statement(v5="MQTT-3.1.2-8", v311="MQTT-3.1.2-8")
def test_will_is_published_after_a_protocol_error(mqtt):
    watcher = watch(mqtt)
    peer = mqtt.client(will=Will(mqtt.topic("will"), b"gone"))
    peer.send(packets.connect(mqtt.version, peer.client_id))
    peer.expect_closed()
    assert watcher.take().payload == b"gone"


@statement(v5="MQTT-3.1.2-8", v311="MQTT-3.1.2-8")
def test_will_is_published_on_takeover(mqtt):
    """The first connection ends without a DISCONNECT of the client, and its will has no delay."""
    watcher = watch(mqtt)
    first = mqtt.client("same", will=Will(mqtt.topic("will"), b"taken over"))
    mqtt.client("same")
    first.expect_closed()
    assert watcher.take().payload == b"taken over"


@statement(v5="MQTT-3.14.4-3 MQTT-3.1.2-10 MQTT-3.1.2-8", v311="MQTT-3.14.4-3 MQTT-3.1.2-10")
def test_disconnect_discards_the_will(mqtt):
    watcher = watch(mqtt)
    mqtt.client("same", will=Will(mqtt.topic("will"), b"gone")).disconnect()
    mqtt.client("same").drop()
    fence = mqtt.client(will=Will(mqtt.topic("will"), b"fence"))
    fence.drop()
    assert watcher.take().payload == b"fence"


@statement(v5="MQTT-3.1.2-8")
def test_disconnect_with_will(mqtt):
    """Reason code 0x04, and any other than 0x00: the will is published."""
    watcher = watch(mqtt)
    for code in (0x04, 0x80):
        mqtt.client(will=Will(mqtt.topic("will"), b"%d" % code)).disconnect(code)
        assert watcher.take().payload == b"%d" % code


@statement(v311="MQTT-3.1.2-12")
def test_no_will_without_flag(mqtt):
    """A client that had a will and connects again without one leaves none."""
    watcher = watch(mqtt)
    mqtt.client("same", will=Will(mqtt.topic("will"), b"first")).drop()
    assert watcher.take().payload == b"first"
    mqtt.client("same").drop()
    mqtt.client(will=Will(mqtt.topic("will"), b"fence")).drop()
    assert watcher.take().payload == b"fence"


@statement(v5="MQTT-3.1.2-10", v311="MQTT-3.1.2-10")
def test_will_is_published_once(mqtt):
    """Once published it is gone from the session, which lives on."""
    watcher = watch(mqtt)
    mqtt.lasting(will=Will(mqtt.topic("will"), b"once")).drop()
    assert watcher.take().payload == b"once"
    mqtt.lasting().drop()
    mqtt.client(will=Will(mqtt.topic("will"), b"fence")).drop()
    assert watcher.take().payload == b"fence"


@statement(v5="MQTT-3.1.2-15", v311="MQTT-3.1.2-17")
def test_retained_will(mqtt):
    watcher = watch(mqtt)
    mqtt.client(will=Will(mqtt.topic("will"), b"gone", 1, retain=True)).drop()
    assert not watcher.take().retain
    late = watch(mqtt)
    found = late.take()
    assert (found.payload, found.retain) == (b"gone", True)


@statement(v5="MQTT-3.1.2-9", v311="MQTT-3.1.2-9")
def test_will_without_payload(mqtt):
    """A will payload of zero bytes is a field like another."""
    watcher = watch(mqtt)
    mqtt.client(will=Will(mqtt.topic("will"), b"")).drop()
    assert watcher.take().payload == b""


@statement(v5="MQTT-3.1.3-10 MQTT-3.3.2-4 MQTT-3.3.2-15 MQTT-3.3.2-16 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.2-20")
def test_will_properties_are_passed_on(mqtt):
    watcher = watch(mqtt)
    props = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answers/here",
        "correlation_data": b"\x00\x01\xff",
        "user_property": [("b", "2"), ("a", "1"), ("b", "2"), ("", "")],
    }
    mqtt.client(will=Will(mqtt.topic("will"), b"gone", props={"will_delay_interval": 0, **props})).drop()
    assert watcher.take().props == props


@statement(v5="MQTT-3.3.2-6")
def test_will_carries_its_expiry(mqtt):
    watcher = watch(mqtt)
    mqtt.client(will=Will(mqtt.topic("will"), b"gone", props={"message_expiry_interval": 600})).drop()
    assert 590 < watcher.take().props["message_expiry_interval"] <= 600


@statement(v5="MQTT-3.1.2-8")
@pytest.mark.takes_time
def test_will_delay(mqtt):
    """Two wills of sessions that last: the one with the longer delay comes later, although its client left first."""
    watcher = watch(mqtt)
    for delay, name in ((7, "later"), (1, "sooner")):
        will = Will(mqtt.topic("will"), name.encode(), props={"will_delay_interval": delay})
        mqtt.lasting(name, will=will).drop()
    assert [watcher.take().payload for _ in range(2)] == [b"sooner", b"later"]


@statement(v5="MQTT-3.1.2-8")
@pytest.mark.takes_time
def test_will_comes_at_the_latest_when_the_session_ends(mqtt):
    """The delay is an hour, the session expires after a second."""
    watcher = watch(mqtt)
    will = Will(mqtt.topic("will"), b"gone", props={"will_delay_interval": 3600})
    mqtt.lasting(expiry_s=1, will=will).drop()
    assert watcher.take().payload == b"gone"


@statement(v5="MQTT-3.1.2-8")
def test_will_comes_when_a_clean_start_ends_the_session(mqtt):
    """The session ends by a new connection with Clean Start: the will with its hour of delay is due."""
    watcher = watch(mqtt)
    mqtt.lasting("same", will=Will(mqtt.topic("will"), b"gone", props={"will_delay_interval": 3600})).disconnect(0x04)
    mqtt.client("same", clean=True)
    assert watcher.take().payload == b"gone"


@statement(v5="MQTT-3.1.3-9")
@pytest.mark.takes_time
def test_will_is_not_sent_if_the_client_returns_in_time(mqtt):
    watcher = watch(mqtt)
    will = Will(mqtt.topic("will"), b"must not come", props={"will_delay_interval": 5})
    mqtt.lasting("same", will=will).disconnect(0x04)
    back = mqtt.lasting("same")
    assert back.connack.session_present
    mqtt.let_pass(6)
    watcher.expect_nothing()


@statement(v5="MQTT-3.1.2-14 MQTT-3.3.1-8", v311="MQTT-3.1.2-16")
def test_will_that_is_not_retained_leaves_the_retained_message(mqtt):
    mqtt.client().publish(mqtt.topic("will"), b"kept", retain=True)
    mqtt.client(will=Will(mqtt.topic("will"), b"gone")).drop()
    watcher = watch(mqtt)
    while (found := watcher.take()).payload != b"kept":
        assert found.payload == b"gone" and not found.retain
    assert found.retain


@statement(v5="MQTT-3.1.4-6 MQTT-3.1.2-7", v311="MQTT-3.1.2-8")
def test_refused_connect_leaves_no_will(mqtt):
    """A will is stored if the CONNECT is accepted: this one is of an unknown level."""
    watcher = watch(mqtt)
    peer = mqtt.open()
    will = Will(mqtt.topic("will"), b"must not come")
    peer.send(packets.connect(mqtt.version, mqtt.client_id("bad"), level=9, will=will))
    while PacketSocket.read(peer) is not None:
        pass
    mqtt.client(will=Will(mqtt.topic("will"), b"fence")).drop()
    assert watcher.take().payload == b"fence"
