"""Clients made of bytes, all driven by one loop, whose state outlives their connections and the broker."""

import pathlib
import selectors
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from packet_socket import CONNACK, CONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL  # noqa: E402
from packet_socket import SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, V5, V311, packet, string  # noqa: E402

SESSION_EXPIRY_S = 3600


class Loop:
    """Reads what has come and hands it to the clients, until a condition holds."""

    def __init__(self, host, port):
        self.address = (host, port)
        self.selector = selectors.DefaultSelector()
        self.last_input = time.monotonic()

    def turn(self, timeout_s):
        for key, _ in self.selector.select(timeout_s):
            key.data.on_readable()
            self.last_input = time.monotonic()

    def run(self, until, deadline_s, quiet_s=None):
        """False: the deadline has passed, or nothing has come for quiet_s, and the condition does not hold."""
        end = time.monotonic() + deadline_s
        self.last_input = time.monotonic()
        while not until():
            now = time.monotonic()
            if now > end or (quiet_s and now - self.last_input > quiet_s):
                return False
            self.turn(0.02)
        return True


class Client:
    """A session that lasts: connects again with Clean Session 0, and expects to be known once it has been."""

    def __init__(self, loop, name, report, version=V5, clean=False):
        self.loop, self.name, self.report, self.version, self.clean = loop, name, report, version, clean
        self.socket = None
        self.buffer = bytearray()
        self.open = False
        self.established = False  # a CONNACK has come: the broker has promised to know the session
        self.packet_id = 0

    # --- connection

    def connect(self, will=None):
        self.socket = socket.create_connection(self.loop.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop.selector.register(self.socket, selectors.EVENT_READ, self)
        self.buffer.clear()
        flags = 0x02 if self.clean else 0
        properties = b""
        if self.version == V5:
            properties = b"\x05\x11" + struct.pack("!I", 0 if self.clean else SESSION_EXPIRY_S)
        tail = string(self.name)
        if will:
            topic, delay_s = will
            flags |= 0x04 | 1 << 3
            tail += b"\x05\x18" + struct.pack("!I", delay_s) + string(topic) + string("will")
        self.send(CONNECT, 0, string("MQTT") + bytes([self.version, flags]) + b"\0\0" + properties + tail)

    def send(self, kind, flags, body=b""):
        if self.socket is None:
            return
        try:
            self.socket.sendall(packet(kind, flags, body))
        except OSError:
            pass  # seen when it is read

    def drop(self):
        if self.socket is None:
            return
        self.loop.selector.unregister(self.socket)
        self.socket.close()
        self.socket, self.open = None, False

    def on_readable(self):
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return self.drop()
        self.buffer += data
        at = 0
        while frame := self._frame(at):
            kind, flags, body, at = frame
            self.on_packet(kind, flags, body)
        del self.buffer[:at]

    def _frame(self, at):
        value = shift = 0
        for place in range(at + 1, min(at + 5, len(self.buffer))):
            byte = self.buffer[place]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                end = place + 1 + value
                if end > len(self.buffer):
                    return None
                return self.buffer[at] >> 4, self.buffer[at] & 15, bytes(self.buffer[place + 1 : end]), end
        return None

    # --- packets

    def on_packet(self, kind, flags, body):
        if kind == CONNACK:
            self.on_connack(body[0] & 1, body[1])
        else:
            getattr(self, HANDLERS[kind])(flags, body)

    def on_connack(self, session_present, code):
        if code != 0:
            self.report("session", f"{self.name} was refused with code {code}")
            return
        if self.established and not self.clean and not session_present:
            self.report("session", f"the session of {self.name} is gone")
            self.on_session_lost()
        self.established = True
        self.open = True
        self.on_open()

    def on_open(self):
        pass

    def on_session_lost(self):
        pass

    def next_packet_id(self):
        self.packet_id = self.packet_id % 65535 + 1
        return self.packet_id

    def no_properties(self):
        return b"\0" if self.version == V5 else b""


HANDLERS = {
    PUBLISH: "on_publish",
    PUBACK: "on_puback",
    PUBREC: "on_pubrec",
    PUBREL: "on_pubrel",
    PUBCOMP: "on_pubcomp",
    SUBACK: "on_suback",
    UNSUBACK: "on_unsuback",
    PINGRESP: "on_pingresp",
    14: "on_disconnect",
}


class Sender(Client):
    """Publishes with QoS 1 and 2 and sends again what was not acknowledged, as the specification asks of a client."""

    class Outgoing:
        def __init__(self, message, topic, qos, payload, retain):
            self.message, self.topic, self.qos, self.payload, self.retain = message, topic, qos, payload, retain
            self.released = False

    def __init__(self, *args, ledger, **more):
        super().__init__(*args, **more)
        self.ledger = ledger
        self.inflight = {}  # by packet id, in the order of sending

    def publish(self, message, topic, qos, payload, retain=False):
        packet_id = self.next_packet_id()
        while packet_id in self.inflight:
            packet_id = self.next_packet_id()
        self.inflight[packet_id] = self.Outgoing(message, topic, qos, payload, retain)
        self._send(packet_id, dup=False)

    def _send(self, packet_id, dup):
        one = self.inflight[packet_id]
        flags = (8 if dup else 0) | one.qos << 1 | (1 if one.retain else 0)
        self.send(PUBLISH, flags, string(one.topic) + struct.pack("!H", packet_id) + self.no_properties() + one.payload)

    def on_open(self):
        for packet_id, one in self.inflight.items():
            if one.released:
                self.send(PUBREL, 2, struct.pack("!H", packet_id))
            else:
                self.ledger.sent_again(one.message)
                self._send(packet_id, dup=True)

    def refused(self, body):
        return len(body) > 2 and body[2] >= 0x80

    def on_puback(self, _, body):
        one = self.inflight.pop(struct.unpack_from("!H", body)[0], None)
        if one and self.refused(body):
            self.report("refused", f"{one.message} with code {body[2]:#x}")
        elif one:
            self.ledger.acknowledged(one.message)

    def on_pubrec(self, _, body):
        packet_id = struct.unpack_from("!H", body)[0]
        one = self.inflight.get(packet_id)
        if one is None:
            return
        if self.refused(body):
            self.report("refused", f"{one.message} with code {body[2]:#x}")
            del self.inflight[packet_id]
            return
        if not one.released:
            one.released = True
            self.ledger.acknowledged(one.message)
        self.send(PUBREL, 2, struct.pack("!H", packet_id))

    def on_pubcomp(self, _, body):
        self.inflight.pop(struct.unpack_from("!H", body)[0], None)

    def on_disconnect(self, _, body):
        self.report("session", f"{self.name} was disconnected with code {body[0] if body else 0:#x}")


class Receiver(Client):
    """Subscribes once, acknowledges all that comes, and hands each message on: what is QoS 2 once."""

    def __init__(self, *args, on_message, filters=(), qos=2, **more):
        super().__init__(*args, **more)
        self.on_message, self.qos = on_message, qos
        self.wanted = list(filters)
        self.asked = {}  # packet id -> (filter, whether it is to be)
        self.confirmed = {}  # filter -> whether it is
        self.held = set()  # packet ids of QoS 2 exchanges
        self.pongs = 0

    def on_open(self):
        self.asked.clear()
        for name in self.wanted:
            if name not in self.confirmed:
                self.subscribe(name)

    def on_session_lost(self):
        self.held.clear()
        self.confirmed.clear()

    def subscribe(self, name):
        packet_id = self.next_packet_id()
        self.asked[packet_id] = (name, True)
        self.confirmed.pop(name, None)
        self.send(SUBSCRIBE, 2, struct.pack("!H", packet_id) + self.no_properties() + string(name) + bytes([self.qos]))

    def unsubscribe(self, name):
        packet_id = self.next_packet_id()
        self.asked[packet_id] = (name, False)
        self.confirmed.pop(name, None)
        self.send(UNSUBSCRIBE, 2, struct.pack("!H", packet_id) + self.no_properties() + string(name))

    def subscribed(self):
        return all(self.confirmed.get(name) for name in self.wanted)

    def on_suback(self, _, body):
        name, wanted = self.asked.pop(struct.unpack_from("!H", body)[0])
        if body[-1] > 2:
            self.report("refused", f"{self.name}'s subscription {name} with code {body[-1]:#x}")
        self.confirmed[name] = wanted

    on_unsuback = on_suback

    def on_publish(self, flags, body):
        size = struct.unpack_from("!H", body)[0]
        topic, at = body[2 : 2 + size].decode(), 2 + size
        qos = flags >> 1 & 3
        packet_id = 0
        if qos:
            packet_id = struct.unpack_from("!H", body, at)[0]
            at += 2
        if self.version == V5:
            at += 1 + body[at]  # its properties are short
        if qos == 2 and packet_id in self.held:
            return self.send(PUBREC, 0, struct.pack("!H", packet_id))
        self.on_message(self, topic, body[at:], qos)
        if qos == 1:
            self.send(PUBACK, 0, struct.pack("!H", packet_id))
        elif qos == 2:
            self.held.add(packet_id)
            self.send(PUBREC, 0, struct.pack("!H", packet_id))

    def on_pubrel(self, _, body):
        self.held.discard(struct.unpack_from("!H", body)[0])
        self.send(PUBCOMP, 0, body[:2])

    def ping(self):
        self.send(PINGREQ, 0)

    def on_pingresp(self, *_):
        self.pongs += 1

    def on_disconnect(self, _, body):
        self.report("session", f"{self.name} was disconnected with code {body[0] if body else 0:#x}")


__all__ = ["Client", "Loop", "Receiver", "Sender", "V5", "V311"]
