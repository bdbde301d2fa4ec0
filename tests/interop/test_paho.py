"""paho through the broker: quality of service, retained messages, wills, sessions, in all three protocol levels."""

import hashlib

import pytest

from paho_peer import V5, V31, V311, PahoPeer, until_fence

LEVELS = [V31, V311, V5]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_once_and_in_order(broker, name, level, qos):
    sent = [str(index).encode() for index in range(300)]
    with PahoPeer(broker, name.client("s"), level) as subscriber, PahoPeer(broker, name.client("p"), level) as publisher:
        assert subscriber.subscribe(name("t"), qos) == [qos]
        publisher.publish_all(name("t"), sent, qos)
        taken = subscriber.take(300)
    assert [message.payload for message in taken] == sent
    assert {(message.qos, message.retain, message.dup) for message in taken} == {(qos, False, False)}


@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_lower_qos_of_the_two_counts(broker, name, published, granted):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), granted)
        peer.publish(name("t"), b"x", published)
        assert peer.take_one().qos == min(published, granted)


def test_every_shard_reaches_every_other(broker, name):
    """Client ids spread over the shards: each of twelve clients hears each, once, in the sender's order."""
    peers = [PahoPeer(broker, name.client(f"c{index}")).connect() for index in range(12)]
    for peer in peers:
        peer.subscribe(name("#"), 1)
    for index, peer in enumerate(peers):
        peer.publish_all(name(str(index)), [b"%d" % count for count in range(10)], 1)
    for peer in peers:
        heard = {}
        for message in peer.take(120):
            heard.setdefault(message.topic, []).append(int(message.payload))
        assert heard == {name(str(index)): list(range(10)) for index in range(12)}
    for peer in peers:
        peer.leave()


@pytest.mark.parametrize("level", LEVELS)
def test_retained_message_is_replaced_and_cleared(broker, name, level):
    with PahoPeer(broker, name.client("p"), level) as publisher:
        publisher.publish(name("t"), b"old", 1, retain=True)
        publisher.publish(name("t"), b"new", 1, retain=True)
        with PahoPeer(broker, name.client("s"), level) as subscriber:
            subscriber.subscribe(name("t"), 1)
            message = subscriber.take_one()
            assert (message.payload, message.retain, message.qos) == (b"new", True, 1)
        publisher.publish(name("t"), b"", 1, retain=True)
        with PahoPeer(broker, name.client("s2"), level) as subscriber:
            subscriber.subscribe(name("t"), 1)
            subscriber.subscribe(name("fence"), 1)
            assert until_fence(publisher, subscriber, name("fence"), 1) == []


@pytest.mark.parametrize("level", LEVELS)
def test_will_after_a_lost_connection(broker, name, level):
    with PahoPeer(broker, name.client("w"), level) as watcher:
        watcher.subscribe(name("will"), 2)
        will = {"topic": name("will"), "payload": b"lost", "qos": 2}
        PahoPeer(broker, name.client("v"), level, will=will).connect().drop()
        message = watcher.take_one()
        assert (message.payload, message.qos, message.retain) == (b"lost", 2, False)


@pytest.mark.parametrize("level", LEVELS)
def test_no_will_after_a_normal_disconnect(broker, name, level):
    with PahoPeer(broker, name.client("w"), level) as watcher, PahoPeer(broker, name.client("p"), level) as publisher:
        watcher.subscribe(name("will"), 1)
        watcher.subscribe(name("fence"), 1)
        will = {"topic": name("will"), "payload": b"lost", "qos": 1}
        leaver = PahoPeer(broker, name.client("v"), level, will=will).connect()
        leaver.leave()
        # The same client id again: its connection follows the end of the first in the broker, whatever the shard.
        with PahoPeer(broker, name.client("v"), level):
            assert until_fence(publisher, watcher, name("fence"), 1) == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("qos", [1, 2])
def test_offline_messages_come_in_order(broker, name, level, qos):
    keep = {"SessionExpiryInterval": 120} if level == V5 else {}
    sleeper = PahoPeer(broker, name.client("s"), level, clean=False, **keep).connect()
    assert not sleeper.session_present
    sleeper.subscribe(name("t"), qos)
    sleeper.leave()
    sent = [str(index).encode() for index in range(200)]
    with PahoPeer(broker, name.client("p"), level) as publisher:
        publisher.publish_all(name("t"), sent, qos)
        with PahoPeer(broker, name.client("s"), level, clean=False, **keep) as awake:
            assert level == V31 or awake.session_present
            assert awake.payloads(200) == sent
            publisher.publish(name("t"), b"live", qos)
            assert awake.take_one().payload == b"live"


@pytest.mark.parametrize("level", LEVELS)
def test_clean_session_forgets(broker, name, level):
    keep = {"SessionExpiryInterval": 120} if level == V5 else {}
    first = PahoPeer(broker, name.client("s"), level, clean=False, **keep).connect()
    first.subscribe(name("t"), 1)
    first.leave()
    with PahoPeer(broker, name.client("p"), level) as publisher:
        publisher.publish(name("t"), b"to be forgotten", 1)
        with PahoPeer(broker, name.client("s"), level, clean=True) as again:
            assert not again.session_present
            again.subscribe(name("fence"), 1)
            publisher.publish(name("t"), b"nobody subscribes", 1)
            assert until_fence(publisher, again, name("fence"), 1) == []


def test_unacknowledged_message_comes_again_with_dup(broker, name):
    """[MQTT-4.4.0-1]: what the client has not acknowledged is sent again when the session resumes. (With QoS 2 Paho sends
    PUBREC by itself, so whether the message or its PUBREL comes again depends on when the connection is cut.)"""
    qos = 1
    reader = PahoPeer(broker, name.client("s"), V311, clean=False, manual_ack=True).connect()
    reader.subscribe(name("t"), qos)
    with PahoPeer(broker) as publisher:
        publisher.publish(name("t"), b"x", qos)
        assert not reader.take_one().dup
        reader.drop()
        with PahoPeer(broker, name.client("s"), V311, clean=False) as again:
            again.subscribe(name("fence"), qos)
            message, *more = until_fence(publisher, again, name("fence"), qos)
            assert message.payload == b"x" and not more
            assert message.dup


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_large_payload(broker, name, qos):
    body = bytes(range(256)) * 4096
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), qos)
        for _ in range(4):
            peer.publish(name("t"), body, qos)
        for message in peer.take(4):
            assert hashlib.sha256(message.payload).digest() == hashlib.sha256(body).digest()


def test_many_topics(broker, name):
    topics = [name(f"a{index % 10}/b{index % 100}/c{index}") for index in range(2000)]
    with PahoPeer(broker) as subscriber, PahoPeer(broker) as publisher:
        subscriber.subscribe(name("+/+/+"), 0)
        for index in range(0, 2000, 2):
            subscriber.client.subscribe(topics[index], 0)
        for _ in range(1000):
            subscriber.acknowledged.get(timeout=10)
        subscriber.unsubscribe(name("+/+/+"))
        subscriber.subscribe(name("fence"), 1)
        for topic in topics:
            publisher.client.publish(topic, topic.encode(), qos=1)
        heard = until_fence(publisher, subscriber, name("fence"), 1)
    assert [message.topic for message in heard] == topics[::2]
    assert all(message.payload.decode() == message.topic for message in heard)


@pytest.mark.petrel_only
def test_overlapping_subscriptions_deliver(broker, name):
    """[MQTT-3.3.5-1] with the highest QoS of the matching subscriptions (mosquitto 2.0 takes the first)."""
    with PahoPeer(broker, version=V311, client_id=name.client("s")) as peer:
        peer.subscribe(name("a/+"), 0)
        peer.subscribe(name("a/#"), 2)
        peer.subscribe(name("fence"), 2)
        peer.publish(name("a/b"), b"x", 2)
        assert max(message.qos for message in until_fence(peer, peer, name("fence"), 2)) == 2


def test_subscription_is_replaced_not_doubled(broker, name):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), 0)
        peer.subscribe(name("t"), 1)
        peer.subscribe(name("fence"), 1)
        peer.publish(name("t"), b"x", 1)
        assert [message.qos for message in until_fence(peer, peer, name("fence"), 1)] == [1]


def test_empty_payload_and_utf8_topic(broker, name):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("#"), 1)
        peer.publish(name("grüße/世界/🐦"), b"", 1)
        message = peer.take_one()
        assert (message.topic, message.payload) == (name("grüße/世界/🐦"), b"")
