"""A weak link between broker and client: packets get lost, the link goes dead. Real IP packets between two network namespaces."""

import contextlib
import random
import select
import struct

import pytest

from raw_peer import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawPeer, packet, publish_packet
from settings import settings
from weak_link import NEAR, WeakLink

PORT = 1883
MESSAGES = 150


@pytest.fixture
def link():
    with WeakLink() as made:
        made.set({"delay_ms": 10})
        yield made


@pytest.fixture
def near_broker(link, start_broker):
    """Starts a broker on the near host whose listener has the given keys."""

    def start(config=None, **keys):
        with link.near:
            return start_broker(
                config,
                args=("--log-level", "debug"),
                listeners=[{"address": f"tcp://{NEAR}:{PORT}", "allow_anonymous": True, **keys}],
            )

    return start


class Address:
    host, port = NEAR, PORT


def far_peer(link, **more):
    with link.far:
        return RawPeer(Address, **more)


def near_peer(link, running):
    with link.near:
        return RawPeer(running)


def watch_will(link, running, topic):
    app = near_peer(link, running)
    app.connect("app")
    app.subscribe(topic)
    return app


@pytest.mark.petrel_only
def test_a_dead_link_is_noticed_by_what_it_does_not_acknowledge(link, near_broker, name):
    """A client without a keep alive: only TCP can tell. Its will is published."""
    running = near_broker(dead_link_min_s=3, dead_link_max_s=3)
    with watch_will(link, running, name("will")) as app, far_peer(link) as device:
        device.connect("device", keep_alive=0, will=(name("will"), "gone", 0, False, None))
        device.subscribe(name("t"), 1)
        link.cut()
        app.publish(name("t"), b"into the void", qos=1, packet_id=1)
        assert app.read_publish().payload == b"gone"
        running.wait_log("client=device .*timed out")


@pytest.mark.petrel_only
def test_a_dead_link_is_noticed_in_silence(link, near_broker, name):
    """Nothing is sent, and the client has no keep alive: it is probed."""
    running = near_broker(dead_link_min_s=3, dead_link_max_s=3)
    with watch_will(link, running, name("will")) as app, far_peer(link) as device:
        device.connect("device", keep_alive=0, will=(name("will"), "gone", 0, False, None))
        link.cut()
        assert app.read_publish().payload == b"gone"
        running.wait_log("client=device .*timed out")


@pytest.mark.petrel_only
def test_a_link_that_only_loses_the_way_down_is_dead_too(link, near_broker, name):
    """The client's pings arrive, so its keep alive says nothing; what is sent to it is not acknowledged."""
    running = near_broker(dead_link_min_s=3, dead_link_max_s=3)
    with watch_will(link, running, name("will")) as app, far_peer(link) as device:
        device.connect("device", keep_alive=65535, will=(name("will"), "gone", 0, False, None))
        link.cut("down")
        device.send(packet(12, 0))
        assert app.read_publish().payload == b"gone"
        running.wait_log("client=device .*timed out")


class Device:
    """Receives and sends with QoS 1 and 2 over a link that loses packets; comes back when its connection is lost."""

    def __init__(self, link, topics, seed):
        self.link, self.topics = link, topics
        self.heard = {1: [], 2: []}
        self.unreleased = set()  # packet identifiers of QoS 2 that have been received and not yet released
        self.waiting = {}  # what has been sent and not yet acknowledged: packet identifier to packet
        self.to_send = [(qos, b"%d" % index) for index in range(MESSAGES) for qos in (1, 2)]
        random.Random(seed).shuffle(self.to_send)
        self.next_id = 0
        self.peer = None

    def come(self, first=False):
        if self.peer:
            self.peer.close()
        self.peer = far_peer(self.link, version=4)
        assert self.peer.connect("device", clean=False).session_present is not first
        if first:
            self.peer.subscribe(self.topics("down"), 2)
        for sent in self.waiting.values():
            self.peer.send(sent)

    def send_some(self, window=20):
        while self.to_send and len(self.waiting) < window:
            qos, payload = self.to_send.pop()
            self.next_id += 1
            sent = publish_packet(self.topics(f"up/{qos}"), payload, 4, qos=qos, packet_id=self.next_id)
            self.waiting[self.next_id] = bytes([sent[0] | 8]) + sent[1:]
            self.peer.send(sent)

    def take(self, found):
        if found.type == PUBLISH:
            message = self.peer.decode_publish(found)
            if message.qos == 1:
                self.heard[1].append(message.payload)
                self.peer.acknowledge(message)
            else:
                if message.packet_id not in self.unreleased:
                    self.heard[2].append(message.payload)
                self.unreleased.add(message.packet_id)
                self.peer.send(packet(PUBREC, 0, struct.pack("!H", message.packet_id)))
            return
        number = struct.unpack("!H", found.body[:2])[0]
        if found.type == PUBREL:
            self.unreleased.discard(number)
            self.peer.send(packet(PUBCOMP, 0, found.body))
        elif found.type == PUBREC:
            self.waiting[number] = packet(PUBREL, 2, found.body)
            self.peer.send(self.waiting[number])
        else:
            assert found.type in (PUBACK, PUBCOMP), found
            self.waiting.pop(number, None)

    def step(self):
        """Whether a packet was there."""
        found = self.peer._parse()  # pylint: disable=protected-access
        if not found and select.select([self.peer.socket], [], [], 0.05)[0]:
            data = self.peer.socket.recv(65536)
            assert data, "the broker has closed the connection"
            self.peer.buffer += data
            found = self.peer._parse()  # pylint: disable=protected-access
        if found:
            self.take(found)
        return bool(found)


@pytest.mark.petrel_only
def test_what_is_promised_arrives_over_a_link_that_loses_packets(link, near_broker, name):
    """Both ways, QoS 1 at least once and QoS 2 exactly once, over losses, an outage and three lost connections."""
    running = near_broker(settings(max_inflight_messages=20))
    device = Device(link, name, seed=5)
    device.come(first=True)
    with near_peer(link, running) as app:
        app.connect("app")
        app.subscribe(name("up/#"), 2)
        link.set({"delay_ms": 5, "jitter_ms": 5, "loss": 0.03, "bits_per_s": 1_000_000}, seed=7)
        for index in range(MESSAGES):
            for qos in (1, 2):
                app.publish(name("down"), b"%d" % index, qos=qos, packet_id=2 * index + qos)
        arrived = {1: [], 2: []}
        breaks = [100, 300, 450]
        expected = {b"%d" % index for index in range(MESSAGES)}
        while device.to_send or device.waiting or not all(expected <= set(heard) for heard in device.heard.values()):
            if breaks and len(device.heard[1]) + len(device.heard[2]) + device.next_id > breaks[0]:
                breaks.pop(0)
                link.cut()
                link.mend()
                device.peer.buffer.clear()
                device.come()
            with contextlib.suppress(ConnectionError):
                device.send_some()
                device.step()
        while not all(expected <= set(heard) for heard in arrived.values()):
            found = app.read()
            if found.type == PUBREL:
                app.send(packet(PUBCOMP, 0, found.body))
                continue
            message = app.decode_publish(found)
            arrived[message.qos].append(message.payload)
            app.send(packet(PUBACK if message.qos == 1 else PUBREC, 0, struct.pack("!H", message.packet_id)))
        assert not breaks
        lost = link.count()
    assert lost["down"]["lost"] and lost["up"]["lost"], "the link lost nothing"
    assert sorted(device.heard[2]) == sorted(expected), "QoS 2 towards the device"
    assert sorted(arrived[2]) == sorted(expected), "QoS 2 from the device"
    device.peer.close()
