"""Every limit over real sockets: the reason code of the specification, a log line that names the key, and service for the rest."""

import contextlib
import socket
import struct

import pytest
from paho.mqtt.packettypes import PacketTypes

import raw_peer
from broker_process import resident_factor, wait_until
from raw_peer import RawPeer, connect_packet, disconnect_reason, packet, properties, publish_packet, subscribe_packet

pytestmark = pytest.mark.petrel_only

MIB = 1 << 20
QUOTA_EXCEEDED = 0x97
SERVER_UNAVAILABLE = 3  # what 3.x has instead


def limits(**values):
    return "[limits]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def reason(found):
    """Of a PUBACK or PUBREC."""
    return found.body[2] if len(found.body) > 2 else 0


def keep(seconds=600):
    return {"clean": False, "props": properties(PacketTypes.CONNECT, SessionExpiryInterval=seconds)}


@pytest.mark.parametrize("version, code", [(raw_peer.V31, SERVER_UNAVAILABLE), (raw_peer.V311, SERVER_UNAVAILABLE), (raw_peer.V5, QUOTA_EXCEEDED)])
def test_max_connections(start_broker, name, version, code):
    running = start_broker(limits(max_connections=3))
    inside = [RawPeer(running) for _ in range(3)]
    for index, peer in enumerate(inside):
        peer.connect(name.client(f"in{index}"))
    with RawPeer(running, version) as refused:
        refused.connect(name.client("out"), code=code)
        refused.expect_closed()
    running.wait_log(r"connection refused.*limits\.max_connections is reached")
    inside[0].disconnect()
    with RawPeer(running, version) as admitted:
        admitted.connect(name.client("out"))
    for peer in inside:
        peer.close()


def test_connections_without_connect_do_not_pile_up(start_broker, name):
    """Strangers may be 64 more than the clients; the next is closed without a word."""
    running = start_broker(limits(max_connections=1, connect_timeout_s=60))
    strangers = [socket.create_connection((running.host, running.port)) for _ in range(80)]
    running.wait_log(r"connection refused.*limits\.max_connections is reached")
    closed = set()

    def enough_are_closed():
        # Each thread of the broker closes its own, when it comes to them.
        for stranger in {*strangers} - closed:
            stranger.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                assert stranger.recv(1) == b""
                closed.add(stranger)
        return len(closed) >= 15

    wait_until(enough_are_closed, "15 of 80 are closed")
    for stranger in strangers:
        stranger.close()


def test_max_sessions(start_broker, name):
    running = start_broker(limits(max_sessions=2))
    for index in range(2):
        with RawPeer(running) as peer:
            peer.connect(name.client(f"s{index}"), **keep())
            peer.disconnect()
    with RawPeer(running) as refused:
        refused.connect(name.client("s2"), code=QUOTA_EXCEEDED)
    running.wait_log(r"connection refused.*limits\.max_sessions is reached")
    with RawPeer(running) as known:
        assert known.connect(name.client("s1"), **keep()).session_present


def test_max_connect_bytes(start_broker, name):
    running = start_broker(limits(max_connect_bytes=2048))
    with RawPeer(running) as large:
        large.send(bytes([0x10]) + raw_peer.variable_length(MIB))
        assert large.expect_closed() == []
    running.wait_log(r"limits\.max_connect_bytes")
    with RawPeer(running) as fitting:
        fitting.connect("x" * 1900)


def test_user_properties(start_broker, name):
    running = start_broker(limits(max_user_properties=4))
    many = [("k", "v")] * 5
    with RawPeer(running) as peer:
        peer.connect(name.client("a"))
        peer.subscribe(name("t"), 1)
        peer.send(publish_packet(name("t"), b"no", qos=1, packet_id=1, props=properties(PacketTypes.PUBLISH, UserProperty=many)))
        assert reason(peer.expect(raw_peer.PUBACK)) == QUOTA_EXCEEDED
        peer.send(publish_packet(name("t"), b"no", props=properties(PacketTypes.PUBLISH, UserProperty=many)))
        peer.send(publish_packet(name("t"), b"yes", props=properties(PacketTypes.PUBLISH, UserProperty=many[1:])))
        assert peer.read_publish().payload == b"yes"
        peer.send(subscribe_packet([(name("u"), 0)], props=properties(PacketTypes.SUBSCRIBE, UserProperty=many)))
        assert disconnect_reason(peer.expect_closed()) == QUOTA_EXCEEDED
    with RawPeer(running) as refused:
        refused.connect(name.client("b"), props=properties(PacketTypes.CONNECT, UserProperty=many), code=QUOTA_EXCEEDED)
    running.wait_log(r"limits\.max_user_properties is reached")


def test_subscriptions_and_filters(start_broker, name):
    running = start_broker(limits(max_subscriptions=5, max_subscriptions_per_client=3, max_filter_levels=4, max_filter_bytes=60))
    with RawPeer(running) as one, RawPeer(running) as other, RawPeer(running, raw_peer.V311) as old:
        one.connect(name.client("one"))
        other.connect(name.client("other"))
        old.connect(name.client("old"))

        def codes(peer, *filters):
            peer.send(subscribe_packet([(each, 0) for each in filters], peer.version))
            return list(peer.expect(raw_peer.SUBACK).body[-len(filters) :])

        assert codes(one, "a", "b", "c", "d", "a") == [0, 0, 0, QUOTA_EXCEEDED, 0]
        assert codes(other, "a/b/c/d", "a/b/c/d/e", "x" * 61, "y", "z") == [0, 0x8F, 0x8F, 0, QUOTA_EXCEEDED]
        assert codes(old, "q", "a/b/c/d/e") == [0x80, 0x80]
    running.wait_log(r"subscription refused.*limits\.max_subscriptions_per_client is reached")
    running.wait_log(r"subscription refused.*limits\.max_filter_levels is reached")
    running.wait_log(r"subscription refused.*limits\.max_filter_bytes is reached")
    running.wait_log(r"subscription refused.*limits\.max_subscriptions is reached")


@pytest.mark.parametrize("key, value", [("max_retained_messages", 1), ("max_retained_bytes", 1500)])
def test_retained(start_broker, name, key, value):
    running = start_broker(limits(**{key: value}))
    body = b"x" * 1000
    with RawPeer(running) as peer, RawPeer(running, raw_peer.V311) as old:
        peer.connect(name.client("peer"))
        old.connect(name.client("old"))
        peer.publish(name("kept"), body, qos=1, packet_id=1, retain=True)
        for qos, answer in [(1, raw_peer.PUBACK), (2, raw_peer.PUBREC)]:
            peer.send(publish_packet(name("more"), body, qos=qos, packet_id=2, retain=True))
            assert reason(peer.expect(answer)) == QUOTA_EXCEEDED
        peer.send(publish_packet(name("more"), body, retain=True))
        old.publish(name("more"), body, qos=1, packet_id=1, retain=True)
        peer.ping()
        peer.subscribe(name("#"))
        assert peer.read_publish().topic == name("kept")
        peer.ping()
        assert not peer.early, "nothing beyond the limit was kept"
    running.wait_log(rf"retained message not kept.*limits\.{key} is reached")


def fill(writer, topic, body):
    """Publishes until the broker refuses; how many it took."""
    for count in range(10_000):
        writer.send(publish_packet(topic, body, qos=1, packet_id=1 + count % 60_000))
        answer = reason(writer.expect(raw_peer.PUBACK))
        if answer == QUOTA_EXCEEDED:
            return count
        assert answer == 0, f"PUBACK with {answer:#x}"
    raise AssertionError("10 000 messages fit")


def test_max_memory_bytes(start_broker, name):
    """Memory is bounded, nothing acknowledged is lost, and an old client's publications wait in its socket."""
    running = start_broker(limits(max_memory_bytes=16 * MIB))
    body = b"x" * 50_000
    with RawPeer(running) as writer, RawPeer(running, raw_peer.V311) as old, RawPeer(running) as hoarder:
        hoarder.connect(name.client("hoarder"), **keep())
        hoarder.subscribe(name("hoard"), 1)
        hoarder.disconnect()
        writer.connect(name.client("writer"))
        old.connect(name.client("old"))
        before = running.resident_bytes()
        taken = fill(writer, name("hoard"), body)
        assert 200 < taken < 400
        running.wait_log(r"memory is used up.*limits\.max_memory_bytes is reached")
        with RawPeer(running) as refused:
            refused.connect(name.client("new"), code=QUOTA_EXCEEDED)
        old.send(publish_packet(name("hoard"), b"last", raw_peer.V311, qos=1, packet_id=1))
        running.wait_log("publisher is not read")
        assert running.resident_bytes() - before < 48 * MIB * resident_factor()
        with RawPeer(running) as back:
            assert back.connect(name.client("hoarder"), **keep()).session_present
            heard = 0
            while True:
                message = back.read_publish()
                back.acknowledge(message)
                if message.payload == b"last":
                    break
                heard += 1
            assert heard == taken
        old.expect(raw_peer.PUBACK)
        running.wait_log("memory is free again")
        with RawPeer(running) as admitted:
            admitted.connect(name.client("new"))
        writer.publish(name("hoard"), body, qos=1, packet_id=1)


def test_receive_maximum_and_aliases_name_themselves(start_broker, name):
    running = start_broker(limits(receive_maximum=2, topic_alias_maximum=1))
    with RawPeer(running) as hasty:
        hasty.connect(name.client("hasty"))
        for packet_id in (1, 2, 3):
            hasty.send(publish_packet(name("t"), qos=2, packet_id=packet_id))
        assert disconnect_reason(hasty.expect_closed()) == 0x93
    with RawPeer(running) as aliaser:
        assert aliaser.connect(name.client("aliaser")).properties.TopicAliasMaximum == 1
        aliaser.send(publish_packet(name("t"), props=properties(PacketTypes.PUBLISH, TopicAlias=2)))
        assert disconnect_reason(aliaser.expect_closed()) == 0x94


def test_many_refusals_are_few_lines(start_broker, name):
    """A crowd in front of a full broker does not fill the disk with log lines."""
    running = start_broker(limits(max_connections=1))
    with RawPeer(running) as inside:
        inside.connect(name.client("in"))
        for index in range(200):
            with RawPeer(running) as outside:
                outside.send(connect_packet(name.client(f"out{index}")))
                outside.expect(raw_peer.CONNACK)
        inside.send(packet(raw_peer.PINGREQ, 0))
        inside.expect(raw_peer.PINGRESP)
        assert running.log().count("connection refused") <= 2 * 20 + 2


def test_counters_are_told(start_broker, name):
    running = start_broker(limits(max_connections=1))
    with RawPeer(running) as inside:
        inside.connect(name.client("in"))
        for _ in range(3):
            with RawPeer(running) as outside:
                outside.connect(name.client("out"), code=QUOTA_EXCEEDED)
        inside.subscribe("$SYS/broker/limits/max_connections")
        assert inside.read_publish().payload == b"3"


def test_receive_maximum_is_for_those_who_know_it(start_broker, name):
    """3.x clients know no Receive Maximum: theirs is the protocol's."""
    running = start_broker(limits(receive_maximum=2))
    with RawPeer(running, raw_peer.V311) as old:
        old.connect(name.client("old"))
        for packet_id in range(1, 10):
            old.send(publish_packet(name("t"), version=raw_peer.V311, qos=2, packet_id=packet_id))
        for packet_id in range(1, 10):
            assert struct.unpack("!H", old.expect(raw_peer.PUBREC).body)[0] == packet_id


def test_a_publisher_that_waits_for_memory_may_hang_up(start_broker, name):
    """It is not read, but that its connection is gone is seen at once: its will comes, and no time-out is awaited."""
    running = start_broker(limits(max_memory_bytes=16 * MIB, write_timeout_s=3600))
    with RawPeer(running) as writer, RawPeer(running) as hoarder, RawPeer(running) as heir:
        hoarder.connect(name.client("hoarder"), **keep())
        hoarder.subscribe(name("hoard"), 1)
        hoarder.disconnect()
        heir.connect(name.client("heir"))
        heir.subscribe(name("will"))
        writer.connect(name.client("writer"))
        old = RawPeer(running, raw_peer.V311)
        old.connect(name.client("old"), will=(name("will"), b"gone", 0, False, None))
        fill(writer, name("hoard"), b"x" * 50_000)
        old.send(publish_packet(name("hoard"), b"last", raw_peer.V311, qos=1, packet_id=1))
        running.wait_log("publisher is not read")
        old.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        old.close()
        assert heir.read_publish().payload == b"gone"
