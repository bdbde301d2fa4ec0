"""The clients of the conformance tests, and the scene that makes them."""

import itertools
import os

import packets
from layers import through
from packet_socket import Overdue, PacketSocket
from packets import CONNACK, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, V5, Connack, Disconnect


class Peer(PacketSocket):
    """A client that takes only what a server of its version may send. Every read has a deadline."""

    def __init__(self, scene):
        super().__init__(*scene.address, scene.deadline_s)
        self.socket = through(scene.transport, self.socket, scene.authority_file)
        self.scene = scene
        self.version = scene.version
        self.client_id = ""
        self.connack = None
        self.ended = False

    def close(self):
        self.ended = True
        super().close()

    # What is read is decoded; publishes that come before an awaited packet are kept for later reads.

    def read(self, timeout_s=None):
        if self.early:
            return self.early.popleft()
        frame = super().read(timeout_s)
        return frame and packets.decode(frame, self.version)

    def take(self):
        """The next message."""
        try:
            found = self.read()
        except Overdue:
            raise AssertionError("no message came") from None
        assert found is not None, "the broker closed the connection where a PUBLISH was due"
        assert found.type == PUBLISH, f"{found} where a PUBLISH was due"
        return found

    def expect_closed(self, timeout_s=None):
        try:
            return super().expect_closed(timeout_s)
        except Overdue:
            raise AssertionError("the connection was not closed") from None

    def take_many(self, count):
        return [self.take() for _ in range(count)]

    def take_acknowledged(self):
        """The next message, with its QoS 1 or 2 exchange done."""
        found = self.take()
        self.complete(found)
        return found

    def complete(self, message):
        if message.qos == 1:
            self.acknowledge(PUBACK, message.packet_id)
        if message.qos == 2:
            self.acknowledge(PUBREC, message.packet_id)
            assert self.expect(PUBREL).packet_id == message.packet_id
            self.acknowledge(PUBCOMP, message.packet_id)

    def ping(self):
        """A round trip: what the broker had for this client when it read the PINGREQ has come when this returns."""
        self.send(packets.pingreq())
        self.expect(PINGRESP)

    def expect_nothing(self):
        """No message has come, and none is under way: whoever published last sends fences of QoS 0 and 2, and they come first."""
        publisher = self.scene.publisher
        if publisher is None or publisher.ended:
            publisher = self.scene.client()
        fence = f"{self.scene.run}/fence/{next(self.scene.numbers)}"
        self.subscribe(fence, qos=2, packet_id=65000)
        for qos in (0, 2):
            publisher.publish(fence, b"fence", qos, packet_id=65000 if qos else None)
        for _ in range(2):
            found = self.take_acknowledged()
            assert found.topic == fence, f"not expected: {found}"

    def expect_end(self, code=None, also=()):
        """The broker closes, having sent nothing else than at most a DISCONNECT (5.0) with a fitting reason code."""
        last = self.expect_closed()
        assert len(last) <= (1 if self.version == V5 else 0), f"sent before the connection was closed: {last}"
        for found in last:
            assert isinstance(found, Disconnect) and found.type == packets.DISCONNECT, f"{found} where a DISCONNECT was due"
            assert found.code >= 0x80, f"DISCONNECT with {found.code:#x} for an error"
            if code is not None:
                allowed = {code, *also, packets.MALFORMED_PACKET, packets.PROTOCOL_ERROR, packets.UNSPECIFIED_ERROR}
                assert found.code in allowed, f"DISCONNECT with {found.code:#x}, not {code:#x}"
        if self.version == V5 and code is not None and self.scene.is_petrel:
            assert [found.code for found in last if found.code in {code, *also}], f"petrel owes a DISCONNECT with {code:#x}: {last}"
        self.close()

    # One method per packet.

    def connect(self, client_id="", code=0, **more):
        """Sends CONNECT and returns the CONNACK, which must have `code`."""
        self.client_id = client_id
        self.send(packets.connect(self.version, client_id, **more))
        self.connack = self.expect(CONNACK)
        assert self.connack.code == code, f"CONNACK with {self.connack.code:#x}, not {code:#x}"
        return self.connack

    def subscribe(self, *filters, qos=0, packet_id=1, props=None, code=None, **options):
        """Subscribes to `filters`, which are names or (name, options) pairs; returns the SUBACK."""
        pairs = [one if isinstance(one, tuple) else (one, packets.options(qos, **options)) for one in filters]
        self.send(packets.subscribe(self.version, pairs, packet_id, props))
        found = self.expect(SUBACK)
        assert found.packet_id == packet_id
        if code is None:
            assert max(found.codes) < 0x80, f"SUBACK with {found.codes}"
        else:
            assert found.codes == [code], f"SUBACK with {found.codes}"
        return found

    def unsubscribe(self, *filters, packet_id=2, props=None):
        self.send(packets.unsubscribe(self.version, filters, packet_id, props))
        found = self.expect(UNSUBACK)
        assert found.packet_id == packet_id
        return found

    def publish(self, topic, payload=b"", qos=0, packet_id=None, **more):
        """Publishes and ends the exchange; QoS 0 ends with a round trip, so that the broker has read it. Returns the first answer."""
        self.scene.publisher = self
        packet_id = packet_id or (1 if qos else None)
        self.send(packets.publish(self.version, topic, payload, qos, packet_id, **more))
        if qos == 0:
            return self.ping()
        answer = self.expect(PUBACK if qos == 1 else PUBREC)
        assert answer.packet_id == packet_id
        if qos == 2 and answer.code < 0x80:
            self.acknowledge(PUBREL, packet_id)
            assert self.expect(PUBCOMP).packet_id == packet_id
        return answer

    def acknowledge(self, kind, packet_id, code=None, props=None):
        self.send(packets.acknowledge(self.version, kind, packet_id, code, props))

    def disconnect(self, code=None, props=None):
        """Ends the connection as a client should, and waits until the broker has done so, too."""
        self.send(packets.disconnect(self.version, code, props))
        last = self.expect_closed()
        assert not last, f"sent after the client's DISCONNECT: {last}"
        self.close()

    def drop(self):
        """Ends the connection without DISCONNECT: the broker reads the end of the stream."""
        self.close()


class Scene:
    """What one test needs of the broker under test: clients of one protocol version, topics and client ids of its own."""

    numbers = itertools.count(1)
    run = f"{os.getpid() % 36**3:x}"

    transport, authority_file = "tcp", None

    def __init__(self, address, version, is_petrel, deadline_s):
        self.address = address
        self.deadline_s = deadline_s
        self.version = version
        self.is_petrel = is_petrel
        self.number = next(self.numbers)
        self.peers = []
        self.publisher = None

    @property
    def is_v5(self):
        return self.version == V5

    def topic(self, text="t"):
        """A topic name or filter that no other test uses."""
        return f"{self.run}/{self.number}/{text}"

    def client_id(self, text="c"):
        """At most 23 characters, digits and letters only: [MQTT-3.1.3-5]."""
        return f"r{self.run}n{self.number}{text}"

    def open(self, version=None):
        """A connection on which nothing has been sent."""
        peer = Peer(self)
        if version is not None:
            peer.version = version
        self.peers.append(peer)
        return peer

    def client(self, text=None, version=None, **more):
        """A connected client. Without a name of its own it gets one by number."""
        peer = self.open(version)
        peer.connect(self.client_id(text or f"x{len(self.peers)}"), **more)
        return peer

    def lasting(self, text="keeper", expiry_s=600, props=None, clean=False, **more):
        """A connected client whose session outlives the connection, in the way of the version."""
        if self.is_v5:
            props = {"session_expiry_interval": expiry_s, **(props or {})}
        return self.client(text, clean=clean, props=props, **more)

    def let_pass(self, seconds):
        """Returns when so many seconds have passed on the broker's own clock: a will with that delay tells."""
        topic = self.topic(f"clock{len(self.peers)}")
        watcher = self.client(version=V5)
        watcher.subscribe(topic)
        will = packets.Will(topic, b"now", props={"will_delay_interval": seconds})
        self.client(version=V5, will=will, props={"session_expiry_interval": 600}).drop()
        assert watcher.take().payload == b"now"

    def close(self):
        for peer in self.peers:
            peer.close()


def connack_refuses(peer, codes):
    """The CONNACK of a refused CONNECT, if there is one, has one of `codes` and no Session Present; then the broker closes."""
    last = peer.expect_closed()
    assert len(last) <= 1, f"more than a CONNACK for a refused CONNECT: {last}"
    for found in last:
        assert isinstance(found, Connack), f"{found} where a CONNACK was due"
        assert found.code in codes, f"CONNACK with {found.code:#x}"
        assert not found.session_present, "Session Present with a refusal"
    peer.close()
    return last[0] if last else None
