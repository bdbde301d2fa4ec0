"""Peers that are slow, silent, broken or many: each is ended for a logged reason, and the others do not notice."""

import select
import socket
import struct
import time

import pytest
from paho.mqtt.packettypes import PacketTypes

import metrics
import raw_peer
from broker_process import free_port, resident_factor, wait_until
from paho_peer import PahoPeer
from raw_peer import RawPeer, connect_packet, disconnect_reason, properties, publish_packet, subscribe_packet
from settings import settings

MIB = 1 << 20
LEVELS = [raw_peer.V31, raw_peer.V311, raw_peer.V5]


def round_trips(peer, topic, count):
    for index in range(count):
        peer.publish(topic, b"%d" % index, 1)
        assert peer.take_one().payload == b"%d" % index


@pytest.mark.petrel_only
@pytest.mark.parametrize("qos", [0, 1])
def test_client_that_never_reads(start_broker, name, qos):
    """96 MiB for a subscriber that reads nothing: memory stays bounded, others go on, the subscriber is ended."""
    running = start_broker(settings(max_output_bytes=MIB, max_queued_bytes=8 * MIB, write_timeout_s=2))
    stuck = RawPeer(running, receive_buffer=4096)
    stuck.connect("stuck-peer", props=properties(PacketTypes.CONNECT, ReceiveMaximum=65535))
    stuck.subscribe(name("flood"), qos)
    with PahoPeer(running) as bystander, RawPeer(running) as flooder:
        bystander.subscribe(name("calm"), 1)
        flooder.connect("flooder")
        round_trips(bystander, name("calm"), 10)
        before = running.resident_bytes()
        peak = before
        body = b"x" * 65536
        for _ in range(24):
            for index in range(1, 65):
                flooder.send(publish_packet(name("flood"), body, qos=qos, packet_id=index))
            for _ in range(64 * qos):
                flooder.expect(raw_peer.PUBACK)
            flooder.ping()
            round_trips(bystander, name("calm"), 4)
            peak = max(peak, running.resident_bytes())
        assert peak - before < 32 * MIB * resident_factor(), f"the broker grew by {(peak - before) / MIB:.0f} MiB"
        line = running.wait_log("stuck-peer")
        assert "flooder" not in line
        round_trips(bystander, name("calm"), 10)
    stuck.close()


@pytest.mark.petrel_only
def test_qos_0_behind_a_large_message_comes_to_a_client_that_reads(start_broker, name):
    """A message of three times max_output_bytes fills the reader's socket; what comes behind it meanwhile waits."""
    running = start_broker(settings(max_output_bytes=MIB))
    with RawPeer(running, receive_buffer=65536) as reader, RawPeer(running) as publisher:
        reader.connect("reader")
        reader.subscribe(name("news"), 0)
        publisher.connect("publisher")
        small = b"".join(publish_packet(name("news"), b"%d" % index) for index in range(200))
        publisher.send(publish_packet(name("news"), bytes(3 * MIB)) + small)
        publisher.ping()
        assert len(reader.read_publish().payload) == 3 * MIB
        assert [reader.read_publish().payload for _ in range(200)] == [b"%d" % index for index in range(200)]


@pytest.mark.petrel_only
def test_qos_1_for_a_client_that_never_reads_is_kept_within_its_window(start_broker, name):
    """What a stuck subscriber has not acknowledged waits in its session, and comes when it returns."""
    # The client that returns must not be taken for a stuck one when this machine pauses.
    running = start_broker(settings(max_output_bytes=MIB, write_timeout_s=4))
    keep = {"clean": False, "props": properties(PacketTypes.CONNECT, SessionExpiryInterval=60)}
    stuck = RawPeer(running, receive_buffer=4096)
    stuck.connect("stuck-peer", **keep)
    stuck.subscribe(name("t"), 1)
    body = b"x" * 65536
    with PahoPeer(running) as publisher:
        publisher.publish_all(name("t"), [b"%03d" % index + body for index in range(200)], 1)
        running.wait_log("stuck-peer")
        with RawPeer(running) as back:
            assert back.connect("stuck-peer", **keep).session_present
            heard = []
            while len(heard) < 200:
                message = back.read_publish()
                heard.append(int(message.payload[:3]))
                back.acknowledge(message)
    stuck.close()
    assert heard == list(range(200))


@pytest.mark.petrel_only
def test_client_that_asks_and_never_reads_the_answers(start_broker):
    """Its input is left unread while its output is full: memory stays bounded, and nothing is lost once it reads."""
    running = start_broker(settings(max_output_bytes=MIB))
    with RawPeer(running, receive_buffer=4096) as deaf:
        deaf.connect("deaf-peer")
        before = running.resident_bytes()
        asked, block = 0, raw_peer.packet(raw_peer.PINGREQ, 0) * 32768
        deaf.socket.setblocking(False)
        while select.select([], [deaf.socket], [], 1)[1]:
            asked += deaf.socket.send(block[asked % 2 :])
            assert asked < 64 * MIB, "a client is read without end that does not read"
        assert running.resident_bytes() - before < 16 * MIB * resident_factor()
        answered = 0
        while answered < asked - asked % 2:
            assert select.select([deaf.socket], [], [], deaf.timeout_s)[0], f"{answered} of {asked} bytes answered"
            answered += len(deaf.socket.recv(MIB))
        deaf.socket.settimeout(deaf.timeout_s)
        deaf.send(block[asked % 2 : 2])
        deaf.ping()


def test_packet_that_takes_longer_than_the_keep_alive(broker, name):
    """Whoever sends all the time is alive, though no packet is complete."""
    keep_alive_s, pieces, pause_s = 4, 28, 0.25
    assert pieces * pause_s > 1.5 * keep_alive_s
    # All levels at a time: a pause that this machine makes must be far below one and a half times the keep alive.
    peers = [RawPeer(broker, version) for version in LEVELS]
    for peer in peers:
        peer.connect(name.client(f"slow{peer.version}"), keep_alive=keep_alive_s)
    packets = [publish_packet(name("t"), b"x" * 100_000, peer.version, qos=1, packet_id=1) for peer in peers]
    for piece in range(pieces):
        for peer, whole in zip(peers, packets):
            peer.send(whole[len(whole) * piece // pieces : len(whole) * (piece + 1) // pieces])
        time.sleep(pause_s)
    for peer in peers:
        peer.expect(raw_peer.PUBACK)
        peer.close()


@pytest.mark.petrel_only
def test_one_byte_at_a_time_during_connect(start_broker, name):
    """A CONNECT that never ends is ended by the broker's own limit, however regularly its bytes come."""
    running = start_broker(settings(connect_timeout_s=1))
    mark = len(running.log())
    with PahoPeer(running) as bystander:
        bystander.subscribe(name("calm"), 1)
        data = connect_packet("x" * 200)
        # The broker counts from the connection.
        started = time.monotonic()
        with RawPeer(running) as slow:
            for byte in data:
                slow.send(bytes([byte]))
                if select.select([slow.socket], [], [], 0.1)[0]:
                    break
                round_trips(bystander, name("calm"), 1)
            slow.expect_closed()
            assert time.monotonic() - started >= 0.9
            running.wait_log(r"connect.*time|time.*connect", start=mark)


@pytest.mark.petrel_only
def test_silent_connection_is_ended(start_broker):
    running = start_broker(settings(connect_timeout_s=1))
    mark = len(running.log())
    with RawPeer(running) as silent:
        assert silent.expect_closed() == []
    running.wait_log(r"connect.*time|time.*connect", start=mark)


@pytest.mark.parametrize("version", LEVELS)
def test_packets_in_single_bytes(broker, name, version):
    """Every packet of a conversation in one-byte segments: the broker keeps only the incomplete tail."""
    with RawPeer(broker, version) as peer:
        conversation = [
            (connect_packet(name.client("s"), version), raw_peer.CONNACK),
            (subscribe_packet([(name("t"), 1)], version), raw_peer.SUBACK),
            (publish_packet(name("t"), b"x" * 300, version, qos=1, packet_id=9), raw_peer.PUBACK),
        ]
        for data, answer in conversation:
            for byte in data:
                peer.send(bytes([byte]))
            peer.expect(answer)
        assert peer.read_publish().payload == b"x" * 300


def test_many_packets_in_one_segment(broker, name):
    with RawPeer(broker) as peer:
        data = connect_packet(name.client("s")) + subscribe_packet([(name("t"), 0)])
        data += b"".join(publish_packet(name("t"), b"%d" % index) for index in range(500))
        peer.send(data)
        peer.expect(raw_peer.CONNACK)
        peer.expect(raw_peer.SUBACK)
        assert [int(peer.read_publish().payload) for _ in range(500)] == list(range(500))


def leave_in_a_hurry(broker, index, topic):
    """One of five ways to come and go."""
    peer = RawPeer(broker)
    way = index % 5
    if way == 1:
        peer.send(connect_packet("half a packet")[:7])
    if way >= 2:
        peer.connect(f"hurry-{index}")
    if way == 3:
        peer.subscribe(topic, 1)
    if way == 4:
        peer.send(publish_packet(topic, b"x" * 1000, qos=1, packet_id=1)[:500])
    if index % 2:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_opens_and_leaves(broker, name):
    """2 000 connections that end abruptly in all stages leave no descriptor behind."""
    with PahoPeer(broker) as bystander:
        bystander.subscribe(name("calm"), 1)
        leave_in_a_hurry(broker, 0, name("t"))
        round_trips(bystander, name("calm"), 1)
        before = broker.descriptors()
        for index in range(2000):
            leave_in_a_hurry(broker, index, name("t"))
        wait_until(lambda: broker.descriptors() <= before, f"the descriptors return to {before}")
        round_trips(bystander, name("calm"), 5)


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "publish": publish_packet("t", b"x"),
    "pingreq": b"\xc0\x00",
    "wrong-name": raw_peer.packet(raw_peer.CONNECT, 0, raw_peer.string("MQTX") + b"\x04\x02\0\0" + raw_peer.string("x")),
    "reserved-flag": raw_peer.packet(raw_peer.CONNECT, 0, raw_peer.string("MQTT") + b"\x04\x03\0\0" + raw_peer.string("x")),
    "bad-length": b"\x10\xff\xff\xff\xff\x7f",
}


@pytest.mark.petrel_only
@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_at_first(start_broker, kind):
    """[MQTT-3.1.0-1]: what does not begin with a CONNECT is closed, and the log says why."""
    running = start_broker()  # its own: the log leaves out lines of a kind that strangers caused too often
    with RawPeer(running) as peer:
        port = peer.socket.getsockname()[1]
        peer.send(GARBAGE[kind])
        peer.expect_closed()
    running.wait_log(rf"127\.0\.0\.1:{port}\b.*reason")


@pytest.mark.parametrize("level,name_of_protocol", [(6, "MQTT"), (2, "MQIsdp"), (0, "MQTT")])
def test_unknown_protocol_level(broker, level, name_of_protocol):
    """[MQTT-3.1.2-2]: CONNACK with 0x84 (or 0x01 of the older levels) and close, or close alone."""
    with RawPeer(broker) as peer:
        body = raw_peer.string(name_of_protocol) + bytes([level, 2, 0, 0]) + raw_peer.string("x")
        peer.send(raw_peer.packet(raw_peer.CONNECT, 0, body))
        for found in peer.expect_closed():
            assert found.type == raw_peer.CONNACK and found.body[1] in (0x84, 0x01)


@pytest.mark.petrel_only
@pytest.mark.parametrize("version", LEVELS)
def test_oversized_packet(start_broker, name, version):
    """A length beyond the limit ends the connection when its header is read: the body is not awaited."""
    running = start_broker(settings(max_packet_bytes=10000))
    mark = len(running.log())
    with RawPeer(running, version) as peer:
        peer.connect("large-peer")
        peer.send(bytes([0x30]) + raw_peer.variable_length(100_000_000) + b"\0\x01t")
        assert disconnect_reason(peer.expect_closed()) == (0x95 if version == raw_peer.V5 else None)
    running.wait_log("large-peer", start=mark)


@pytest.mark.parametrize("version", LEVELS)
def test_keep_alive_timeout(broker, name, version):
    """[MQTT-3.1.2-22]: silence for one and a half times the keep alive ends the connection, with its will."""
    with PahoPeer(broker) as watcher, RawPeer(broker, version) as peer:
        watcher.subscribe(name("will"), 1)
        # The broker counts from the CONNECT: the answer may be late.
        started = time.monotonic()
        peer.connect(name.client("s"), keep_alive=1, will=(name("will"), b"silent", 1, False, None))
        last = peer.expect_closed()
        assert time.monotonic() - started >= 1.4
        assert disconnect_reason(last) in ((0x8D, None) if version == raw_peer.V5 else (None,))
        assert watcher.take_one().payload == b"silent"


def test_connection_storm(broker, name):
    """2 000 clients connect at once; each is served, and the clients of before are, too."""
    with PahoPeer(broker) as bystander:
        bystander.subscribe(name("calm"), 1)
        peers = [RawPeer(broker, timeout_s=20) for _ in range(2000)]
        for index, peer in enumerate(peers):
            peer.send(connect_packet(f"storm-{index}") + subscribe_packet([(name(f"storm/{index % 10}"), 0)]))
        round_trips(bystander, name("calm"), 5)
        for peer in peers:
            assert peer.expect(raw_peer.CONNACK).body[1] == 0
            peer.expect(raw_peer.SUBACK)
        for index in range(10):
            bystander.publish(name(f"storm/{index}"), b"%d" % index, 1)
        for index, peer in enumerate(peers):
            assert peer.read_publish().payload == b"%d" % (index % 10)
        for peer in peers:
            peer.close()
        round_trips(bystander, name("calm"), 5)


@pytest.mark.petrel_only
def test_what_comes_from_one_who_was_told_to_go_costs_nothing(start_broker, name):
    """A packet that took several turns was malformed at its end: until the peer hangs up, what it sends is read and dropped."""
    port = free_port()
    running = start_broker(listeners=[{"address": f"http://127.0.0.1:{port}"}])

    def turns():
        families = metrics.read(f"http://127.0.0.1:{port}/metrics")
        return sum(sample.value for sample in families["petrel_loop_turn_seconds"].samples if sample.name.endswith("_count"))

    with RawPeer(running) as peer:
        peer.connect(name.client("wordy"))
        peer.send(subscribe_packet([(f"{index}/".rjust(100, "f"), 0) for index in range(3000)])[:-1] + b"\x03")
        assert disconnect_reason([peer.expect(raw_peer.DISCONNECT)]) == 0x82
        peer.send(raw_peer.packet(raw_peer.PINGREQ, 0))
        before = turns()
        time.sleep(0.5)
        assert turns() - before < 1000
