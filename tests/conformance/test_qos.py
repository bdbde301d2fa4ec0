"""Delivery with QoS 1 and 2, retransmission, order, flow control (2.2.1, 3.4 to 3.7, 4.3 to 4.6, 4.9)."""

import packets
from packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5
from registry import statement


def subscribed(mqtt, qos, lasting=False, **more):
    peer = mqtt.lasting(**more) if lasting else mqtt.client(**more)
    peer.subscribe(mqtt.topic(), qos=qos)
    return peer


# ---- The server as receiver


@statement(v5="MQTT-4.3.2-4 MQTT-2.2.1-5", v311="MQTT-4.3.2-2 MQTT-2.3.1-6")
def test_puback_has_the_packet_identifier(mqtt):
    peer = mqtt.client()
    for packet_id in (65535, 1, 300):
        answer = peer.publish(mqtt.topic(), b"x", 1, packet_id)
        assert (answer.type, answer.packet_id) == (PUBACK, packet_id)


@statement(v5="MQTT-4.3.2-5", v311="MQTT-4.3.2-2")
def test_packet_identifier_is_free_after_puback(mqtt):
    """The same one again, DUP or not, is a new message."""
    subscriber = subscribed(mqtt, 1)
    publisher = mqtt.client()
    for payload, dup in ((b"1", False), (b"2", True), (b"3", False)):
        publisher.publish(mqtt.topic(), payload, 1, 7, dup=dup)
        assert subscriber.take_acknowledged().payload == payload


@statement(v5="MQTT-4.3.3-8 MQTT-4.3.3-11 MQTT-2.2.1-5", v311="MQTT-4.3.3-2 MQTT-2.3.1-6")
def test_qos_2_exchange(mqtt):
    """PUBREC and PUBCOMP with the packet identifier; the message is delivered once."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    publisher.send(packets.publish(mqtt.version, mqtt.topic(), b"x", 2, 513))
    assert publisher.expect(PUBREC).packet_id == 513
    publisher.acknowledge(PUBREL, 513)
    answer = publisher.expect(PUBCOMP)
    assert (answer.packet_id, answer.code) == (513, 0)
    assert subscriber.take_acknowledged().payload == b"x"
    subscriber.expect_nothing()


@statement(v5="MQTT-4.3.3-10", v311="MQTT-4.3.3-2")
def test_qos_2_duplicates_are_not_delivered(mqtt):
    """Sent three times before PUBREL, on two connections: PUBREC each time, one delivery."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.lasting("sender")
    publisher.send(packets.publish(mqtt.version, mqtt.topic(), b"x", 2, 7))
    assert publisher.expect(PUBREC).packet_id == 7
    publisher.send(packets.publish(mqtt.version, mqtt.topic(), b"x", 2, 7, dup=True))
    assert publisher.expect(PUBREC).packet_id == 7
    publisher.disconnect()
    publisher = mqtt.lasting("sender")
    publisher.send(packets.publish(mqtt.version, mqtt.topic(), b"x", 2, 7, dup=True))
    assert publisher.expect(PUBREC).packet_id == 7
    publisher.acknowledge(PUBREL, 7)
    assert publisher.expect(PUBCOMP).packet_id == 7
    mqtt.publisher = publisher
    assert subscriber.take_acknowledged().payload == b"x"
    subscriber.expect_nothing()


@statement(v5="MQTT-4.3.3-12", v311="MQTT-4.3.3-2")
def test_packet_identifier_is_free_after_pubcomp(mqtt):
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    for payload, dup in ((b"1", False), (b"2", True), (b"3", False)):
        publisher.publish(mqtt.topic(), payload, 2, 7, dup=dup)
        assert subscriber.take_acknowledged().payload == payload


@statement(v5="MQTT-4.3.3-11", v311="MQTT-4.3.3-2")
def test_pubrel_is_answered_each_time(mqtt):
    """Also the second time, and for an exchange that the server does not know (5.0 has 0x92 for it)."""
    peer = mqtt.client()
    peer.publish(mqtt.topic(), b"x", 2, 7)
    for packet_id in (7, 99):
        peer.acknowledge(PUBREL, packet_id)
        answer = peer.expect(PUBCOMP)
        assert answer.packet_id == packet_id
        assert answer.code in ((0, 0x92) if mqtt.is_v5 else (0,))


@statement(v5="MQTT-4.3.3-9")
def test_packet_identifier_is_free_after_a_refusal(mqtt):
    """If the server refuses a QoS 2 message with a PUBREC of 0x80 or more, the same identifier serves a new message."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    publisher.send(packets.publish(V5, "$SYS/broker/version", b"x", 2, 7))
    answer = publisher.expect(PUBREC)
    if answer.code < 0x80:
        publisher.acknowledge(PUBREL, 7)
        publisher.expect(PUBCOMP)
    publisher.publish(mqtt.topic(), b"new", 2, 7)
    assert subscriber.take_acknowledged().payload == b"new"


@statement(v5="MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.6.2-1 MQTT-3.7.2-1")
def test_acknowledgements_in_every_form(mqtt):
    """Two bytes, three, with properties: the server reads them all, and sends only reason codes of the tables."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    more = {"reason_string": "why", "user_property": [("a", "b"), ("a", "b")]}
    for code, props in ((None, None), (0, None), (0, {}), (0, more)):
        publisher.publish(mqtt.topic(), b"1", 1)
        subscriber.acknowledge(PUBACK, subscriber.take().packet_id, code, props)
        publisher.publish(mqtt.topic(), b"2", 2)
        found = subscriber.take()
        subscriber.acknowledge(PUBREC, found.packet_id, code, props)
        assert subscriber.expect(PUBREL).packet_id == found.packet_id
        subscriber.acknowledge(PUBCOMP, found.packet_id, code, props)
        publisher.send(packets.publish(V5, mqtt.topic("nobody"), b"3", 2, 9))
        publisher.expect(PUBREC)
        publisher.acknowledge(PUBREL, 9, code, props)
        assert publisher.expect(PUBCOMP).code == 0
    subscriber.expect_nothing()


# ---- The server as sender


@statement(v5="MQTT-4.3.2-2 MQTT-4.3.2-1 MQTT-4.3.3-1 MQTT-4.3.3-2 MQTT-2.2.1-4", v311="MQTT-4.3.2-1 MQTT-4.3.3-1 MQTT-2.3.1-4")
def test_packet_identifiers_in_use_are_different(mqtt):
    """And not zero: packets.decode() sees to that. None of these is acknowledged yet."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    for index in range(20):
        publisher.publish(mqtt.topic(), b"x", 1 + index % 2)
    found = subscriber.take_many(20)
    assert len({one.packet_id for one in found}) == 20
    assert [(one.qos, one.dup) for one in found] == [(1 + index % 2, False) for index in range(20)]


@statement(v5="MQTT-2.2.1-4 MQTT-4.3.2-1", v311="MQTT-2.3.1-4 MQTT-4.3.2-1")
def test_packet_identifiers_go_round(mqtt):
    """66,000 messages, of which eight to sixteen are unacknowledged at any time: none gets an identifier that is in use."""
    subscriber = subscribed(mqtt, 1)
    publisher = mqtt.client()
    batch, group, held = 400, 8, []
    for _ in range(66000 // batch):
        publisher.send(b"".join(packets.publish(mqtt.version, mqtt.topic(), b"", 1, index + 1) for index in range(batch)))
        for _ in range(batch // group):
            found = [one.packet_id for one in subscriber.take_many(group)]
            assert len({*found, *held}) == len(found) + len(held)
            subscriber.send(b"".join(packets.acknowledge(mqtt.version, PUBACK, one) for one in held))
            held = found
        for _ in range(batch):
            publisher.expect(PUBACK)


@statement(v5="MQTT-4.3.3-4", v311="MQTT-4.3.3-1")
def test_pubrec_is_answered_with_pubrel(mqtt):
    """Of the same packet identifier, again if PUBREC comes again."""
    subscriber = subscribed(mqtt, 2)
    mqtt.client().publish(mqtt.topic(), b"x", 2)
    found = subscriber.take()
    for _ in range(2):
        subscriber.acknowledge(PUBREC, found.packet_id)
        assert subscriber.expect(PUBREL).packet_id == found.packet_id
    subscriber.acknowledge(PUBCOMP, found.packet_id)
    subscriber.expect_nothing()


@statement(v5="MQTT-4.3.3-4 MQTT-4.4.0-2")
def test_pubrec_with_an_error_ends_the_exchange(mqtt):
    """No PUBREL, and no retransmission when the client comes back."""
    subscriber = subscribed(mqtt, 2, lasting=True)
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"x", 2)
    subscriber.acknowledge(PUBREC, subscriber.take().packet_id, 0x80)
    subscriber.ping()
    publisher.publish(mqtt.topic(), b"next", 1)
    assert subscriber.take_acknowledged().payload == b"next"
    subscriber.ping()
    subscriber.disconnect()
    mqtt.lasting().expect_nothing()


@statement(v5="MQTT-4.4.0-2")
def test_puback_with_an_error_is_an_acknowledgement(mqtt):
    subscriber = subscribed(mqtt, 1, lasting=True)
    mqtt.client().publish(mqtt.topic(), b"x", 1)
    subscriber.acknowledge(PUBACK, subscriber.take().packet_id, 0x97)
    subscriber.ping()
    subscriber.disconnect()
    mqtt.lasting().expect_nothing()


@statement(
    v5="MQTT-4.4.0-1 MQTT-3.3.1-1 MQTT-4.3.2-3 MQTT-4.3.3-3",
    v311="MQTT-4.4.0-1 MQTT-3.3.1-1 MQTT-4.3.2-1 MQTT-4.3.3-1",
)
def test_unacknowledged_messages_are_sent_again(mqtt):
    """With DUP, under their packet identifiers, in their order, and only on the next connection."""
    subscriber = subscribed(mqtt, 2, lasting=True)
    publisher = mqtt.client()
    for index in range(6):
        publisher.publish(mqtt.topic(), b"%d" % index, 1 + index % 2)
    first = subscriber.take_many(6)
    subscriber.ping()
    assert not subscriber.early, "sent again on the same connection"
    subscriber.disconnect()
    again = mqtt.lasting()
    found = again.take_many(6)
    assert [(one.packet_id, one.payload, one.qos) for one in found] == [(one.packet_id, one.payload, one.qos) for one in first]
    assert all(one.dup for one in found)
    for one in found:
        again.complete(one)
    again.ping()
    again.disconnect()
    mqtt.lasting().expect_nothing()


@statement(v5="MQTT-4.4.0-1 MQTT-4.3.3-5 MQTT-4.3.3-6", v311="MQTT-4.4.0-1 MQTT-4.3.3-1")
def test_unacknowledged_pubrel_is_sent_again(mqtt):
    """And not the PUBLISH before it."""
    subscriber = subscribed(mqtt, 2, lasting=True)
    mqtt.client().publish(mqtt.topic(), b"x", 2)
    found = subscriber.take()
    subscriber.acknowledge(PUBREC, found.packet_id)
    subscriber.expect(PUBREL)
    subscriber.disconnect()
    again = mqtt.lasting()
    answer = again.read()
    assert (answer.type, answer.packet_id) == (PUBREL, found.packet_id)
    again.acknowledge(PUBCOMP, found.packet_id)
    again.ping()
    again.disconnect()
    mqtt.lasting().expect_nothing()


@statement(v5="MQTT-4.4.0-1", v311="MQTT-4.4.0-1")
def test_acknowledged_messages_are_not_sent_again(mqtt):
    """Of three, the middle one was acknowledged."""
    subscriber = subscribed(mqtt, 1, lasting=True)
    publisher = mqtt.client()
    for payload in (b"1", b"2", b"3"):
        publisher.publish(mqtt.topic(), payload, 1)
    found = subscriber.take_many(3)
    subscriber.complete(found[1])
    subscriber.ping()
    subscriber.disconnect()
    again = mqtt.lasting()
    assert [one.payload for one in again.take_many(2)] == [b"1", b"3"]
    again.expect_nothing()


@statement(v5="MQTT-4.5.0-1", v311="MQTT-4.5.0-1 MQTT-3.1.2-5")
def test_messages_wait_for_absent_sessions(mqtt):
    """QoS 1 and 2 for each session with a matching subscription, absent or not."""
    absent, present = subscribed(mqtt, 2, lasting=True), subscribed(mqtt, 2)
    absent.disconnect()
    publisher = mqtt.client()
    for qos in (1, 2):
        publisher.publish(mqtt.topic(), b"%d" % qos, qos)
    back = mqtt.lasting()
    for peer in (present, back):
        found = [peer.take_acknowledged() for _ in range(2)]
        assert [(one.payload, one.qos) for one in found] == [(b"1", 1), (b"2", 2)]


@statement(v5="MQTT-4.6.0-5 MQTT-4.6.0-6", v311="MQTT-4.6.0-5 MQTT-4.6.0-6")
def test_messages_arrive_in_order(mqtt):
    """Of one publisher, for each QoS, to subscribers of each QoS."""
    publisher = mqtt.client()
    subscribers = [subscribed(mqtt, qos) for qos in (0, 1, 2)]
    count = 15
    for qos in (0, 1, 2):
        ids = range(1, count + 1)
        publisher.send(b"".join(packets.publish(mqtt.version, mqtt.topic(), b"%d" % one, qos, one if qos else None) for one in ids))
        if qos:
            for one in ids:
                assert publisher.expect(PUBACK if qos == 1 else PUBREC).packet_id == one
        if qos == 2:
            publisher.send(b"".join(packets.acknowledge(mqtt.version, PUBREL, one) for one in ids))
            for one in ids:
                assert publisher.expect(PUBCOMP).packet_id == one
        for subscriber in subscribers:
            assert [int(subscriber.take_acknowledged().payload) for _ in ids] == list(ids)


@statement(v5="MQTT-4.6.0-5", v311="MQTT-4.6.0-1 MQTT-4.6.0-6")
def test_waiting_messages_arrive_in_order(mqtt):
    """What was sent and not acknowledged, then what waited, then what is new."""
    subscriber = subscribed(mqtt, 1, lasting=True)
    publisher = mqtt.client()
    for index in range(3):
        publisher.publish(mqtt.topic(), b"%d" % index, 1)
    subscriber.take_many(3)
    subscriber.disconnect()
    for index in range(3, 40):
        publisher.publish(mqtt.topic(), b"%d" % index, 1)
    back = mqtt.lasting()
    publisher.publish(mqtt.topic(), b"40", 1)
    assert [int(back.take_acknowledged().payload) for _ in range(41)] == list(range(41))


@statement(v311="MQTT-4.6.0-6 MQTT-4.6.0-4")
def test_pubrels_follow_the_order_of_pubrecs(mqtt):
    """The rules for a client's order hold for the server's deliveries, too (4.6)."""
    subscriber = subscribed(mqtt, 2)
    publisher = mqtt.client()
    for _ in range(5):
        publisher.publish(mqtt.topic(), b"x", 2)
    ids = [one.packet_id for one in subscriber.take_many(5)]
    for packet_id in ids:
        subscriber.acknowledge(PUBREC, packet_id)
    assert [subscriber.expect(PUBREL).packet_id for _ in ids] == ids


# ---- Flow control (5.0)


@statement(v5="MQTT-3.3.4-9 MQTT-4.9.0-1 MQTT-4.9.0-2")
def test_receive_maximum_of_the_client(mqtt):
    """No more than three messages without acknowledgement; each acknowledgement lets one more through."""
    for qos in (1, 2):
        subscriber = mqtt.client(props={"receive_maximum": 3})
        subscriber.subscribe(mqtt.topic(str(qos)), qos=qos)
        publisher = mqtt.client()
        for index in range(8):
            publisher.publish(mqtt.topic(str(qos)), b"%d" % index, qos)
        window = subscriber.take_many(3)
        for index in range(3, 8):
            subscriber.ping()
            assert not subscriber.early, "more than Receive Maximum"
            subscriber.complete(window.pop(0))
            window.append(subscriber.take())
            assert window[-1].payload == b"%d" % index


@statement(v5="MQTT-3.3.4-9 MQTT-4.9.0-2")
def test_pubrec_does_not_free_the_window(mqtt):
    """Only PUBCOMP does, or a PUBREC with an error."""
    subscriber = mqtt.client(props={"receive_maximum": 1})
    subscriber.subscribe(mqtt.topic(), qos=2)
    publisher = mqtt.client()
    for payload in (b"1", b"2", b"3"):
        publisher.publish(mqtt.topic(), payload, 2)
    found = subscriber.take()
    subscriber.acknowledge(PUBREC, found.packet_id)
    subscriber.expect(PUBREL)
    subscriber.ping()
    assert not subscriber.early
    subscriber.acknowledge(PUBCOMP, found.packet_id)
    found = subscriber.take()
    assert found.payload == b"2"
    subscriber.acknowledge(PUBREC, found.packet_id, 0x80)
    assert subscriber.take().payload == b"3"


@statement(v5="MQTT-3.3.4-10 MQTT-4.9.0-3")
def test_full_window_does_not_hold_up_anything_else(mqtt):
    """PINGRESP, SUBACK, UNSUBACK, PUBACK, PUBREC, PUBREL and QoS 0 messages pass."""
    peer = mqtt.client(props={"receive_maximum": 1})
    peer.subscribe(mqtt.topic(), qos=2)
    publisher = mqtt.client()
    for _ in range(3):
        publisher.publish(mqtt.topic(), b"x", 2)
    found = peer.take()
    peer.ping()
    peer.subscribe(mqtt.topic("0"), qos=0)
    peer.unsubscribe(mqtt.topic("none"))
    peer.publish(mqtt.topic("other"), b"x", 1)
    peer.publish(mqtt.topic("other"), b"x", 2)
    publisher.publish(mqtt.topic("0"), b"zero", 0)
    assert peer.take().payload == b"zero"
    peer.acknowledge(PUBREC, found.packet_id)
    assert peer.expect(PUBREL).packet_id == found.packet_id


@statement(v5="MQTT-3.3.4-9 MQTT-4.4.0-1")
def test_retransmission_keeps_to_the_new_receive_maximum(mqtt):
    """Four were under way; the client comes back with room for two."""
    subscriber = subscribed(mqtt, 1, lasting=True)
    publisher = mqtt.client()
    for index in range(4):
        publisher.publish(mqtt.topic(), b"%d" % index, 1)
    subscriber.take_many(4)
    subscriber.disconnect()
    back = mqtt.lasting(props={"receive_maximum": 2})
    window = back.take_many(2)
    back.ping()
    assert not back.early, "more than Receive Maximum"
    back.complete(window[0])
    assert back.take().payload == b"2"


@statement(v5="MQTT-3.3.4-7")
def test_client_beyond_the_servers_receive_maximum(mqtt):
    """A client must not; a server that notices says 0x93 and closes. It may as well take them all."""
    peer = mqtt.client()
    maximum = peer.connack.props.get("receive_maximum", 65535)
    if maximum > 5000:
        return
    peer.send(b"".join(packets.publish(V5, mqtt.topic(), b"", 2, index + 1) for index in range(maximum + 1)))
    answers = []
    while len(answers) <= maximum and (found := peer.read()) is not None:
        answers.append(found)
    assert {found.type for found in answers[:-1]} <= {PUBREC}
    if answers[-1].type != PUBREC:
        assert (answers[-1].type, answers[-1].code) == (packets.DISCONNECT, 0x93)
        assert peer.read() is None


@statement(v5="MQTT-3.2.2-9 MQTT-3.2.2-10 MQTT-3.2.2-12")
def test_maximum_qos(mqtt):
    """A server that announces less than QoS 2 still grants subscriptions, and refuses a will above; this one, if it does not."""
    peer = mqtt.client()
    maximum = peer.connack.props.get("maximum_qos", 2)
    for qos in (0, 1, 2):
        assert peer.subscribe(mqtt.topic(str(qos)), qos=qos).codes[0] <= qos
        will = packets.Will(mqtt.topic("will"), b"x", qos)
        if qos <= maximum:
            peer.publish(mqtt.topic("p"), b"x", qos)
            mqtt.client(will=will).disconnect()
        else:
            refused = mqtt.open()
            refused.connect(mqtt.client_id("refused"), code=0x9B, will=will)
            assert refused.expect_closed() == []


@statement(v5="MQTT-3.2.2-13")
def test_retain_available(mqtt):
    """A server that announces no retained messages refuses a retained will; one that does not say so takes it."""
    available = mqtt.client().connack.props.get("retain_available", 1)
    peer = mqtt.open()
    peer.connect(mqtt.client_id("w"), code=0 if available else 0x9A, will=packets.Will(mqtt.topic("will"), b"x", retain=True))


@statement(v5="MQTT-3.3.4-1 MQTT-4.3.2-4", v311="MQTT-3.3.4-1 MQTT-4.3.2-2")
def test_acknowledgements_that_nothing_waits_for(mqtt):
    """A PUBACK for no message: 5.0 and 3.1.1 leave the connection to the server. Either it ends, or all goes on as before."""
    peer = mqtt.client()
    for kind in (PUBACK, PUBREC, PUBCOMP):
        peer.acknowledge(kind, 4711)
    peer.send(packets.pingreq())
    kinds = []
    while (found := peer.read()) is not None and found.type != packets.PINGRESP:
        kinds.append(found.type)
    assert set(kinds) <= {PUBREL, packets.DISCONNECT}
    assert PUBLISH not in kinds
