"""PUBLISH: what is forwarded, how it is answered, and how large it may be (3.3, 3.1.2.11.4)."""

import packets
from packets import PUBACK, PUBCOMP, PUBREC, PUBREL, V5
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


@statement(v5="MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.7.2-1", v311="MQTT-3.3.5-2")
def test_publish_that_the_broker_does_not_take(mqtt):
    """A name under $SYS is the broker's own. Before 5.0 a refusal cannot be told: a positive answer, or the end of the connection."""
    peer = mqtt.client()
    peer.send(packets.publish(mqtt.version, "$SYS/broker/version", b"x", 1, 7))
    found = peer.read()
    if found is not None and found.type != packets.DISCONNECT:
        assert (found.type, found.packet_id) == (PUBACK, 7)
        peer.ping()
