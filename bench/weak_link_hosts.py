"""For bench/weak-link: brokers on the near host of a weak link, clients on either, and figures of what they see."""

import dataclasses
import heapq
import pathlib
import random
import selectors
import socket
import ssl
import struct
import threading
import time

from broker import Broker
from broker_process import listener_table
from layers import frame, upgrade_request
from packet_socket import PUBLISH, packet, string
from weak_link import NEAR

PORTS = {"tcp": 1883, "tls": 8883, "ws": 8083, "wss": 8084}

@dataclasses.dataclass
class Peer:
    """A broker and what it is told: petrel's keys of a listener and of [limits], lines of mosquitto's configuration."""

    name: str
    program: str
    keys: dict = dataclasses.field(default_factory=dict)
    limits: dict = dataclasses.field(default_factory=dict)
    lines: tuple = ()
    kind: str = "petrel"


class Running(Broker):
    """A peer with a listener for each door on the near host."""

    host = NEAR

    def __init__(self, peer, link, folder, files):
        certificate, key = files
        config = pathlib.Path(folder) / "broker.conf"
        if peer.kind == "petrel":
            text = 'store = "memory"\nthreads = 1\nlog.level = "error"\n'
            text += "".join(f"limits.{name} = {value}\n" for name, value in peer.limits.items())
            for door, port in PORTS.items():
                served = {"certificate": certificate, "key": key} if door in ("tls", "wss") else {}
                text += listener_table({"address": f"{door}://{NEAR}:{port}", "allow_anonymous": True, **served, **peer.keys})
            command = [peer.program, "serve", "-c", str(config)]
        elif peer.kind == "mosquitto":
            lines = ["persistence false", "log_type none", "max_inflight_messages 0", "max_queued_messages 0", "allow_anonymous true"]
            lines += peer.lines
            for door, port in PORTS.items():
                lines += [f"listener {port} {NEAR}"] + ["protocol websockets"] * (door in ("ws", "wss"))
                lines += [f"certfile {certificate}", f"keyfile {key}"] * (door in ("tls", "wss"))
            text = "\n".join(lines) + "\n"
            command = [peer.program, "-c", str(config)]
        else:
            text = ""
            command = [peer.program, str(PORTS["tcp"])]
        config.write_text(text)
        self._near = link.near
        with self._near:
            super().__init__(command, PORTS["tcp"])

    def __enter__(self):
        with self._near:
            return super().__enter__()


# --- a connection through any door, one step after the other


class Opening:
    """From the first packet to CONNACK: how long it takes, and what it needs."""

    def __init__(self, link, door, context=None, session=None, fast_open=False):
        with link.far:
            self.socket = socket.socket()
        self.socket.settimeout(30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = (NEAR, PORTS[door])
        self.tls = None
        begin = time.monotonic()
        self.connected = not fast_open  # else with the first data
        if self.connected:
            self.socket.connect(self.address)
        if context:
            self._handshake(context, session)
        if door in ("ws", "wss"):
            self._send(upgrade_request())
            head = b""
            while b"\r\n\r\n" not in head:
                head += self._receive()
            assert head.startswith(b"HTTP/1.1 101"), head
        connect = packet(1, 0, string("MQTT") + b"\4\2\0\0" + string("opening"))
        self._send(connect if door in ("tcp", "tls") else frame(connect))
        answer = b""
        while b"\x20\x02\x00\x00" not in answer:
            answer += self._receive()
        self.seconds = time.monotonic() - begin
        self.session = self.tls.session if self.tls else None
        self.resumed = bool(self.tls and self.tls.session_reused)

    def _put(self, data):
        if self.connected:
            self.socket.sendall(data)
        else:
            self.socket.settimeout(None)
            assert self.socket.sendto(data, socket.MSG_FASTOPEN, self.address) == len(data)
            self.socket.settimeout(30)
            self.connected = True

    def _flush(self):
        if self.output.pending:
            self._put(self.output.read())

    def _feed(self):
        self._flush()
        data = self.socket.recv(65536)
        assert data, "the broker has closed the connection"
        self.input.write(data)

    def _handshake(self, context, session):
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, session=session)
        while True:
            try:
                # What ends the handshake goes with the next data, in one packet.
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._feed()

    def _send(self, data):
        if not self.tls:
            return self._put(data)
        self.tls.write(data)
        self._flush()

    def _receive(self):
        if not self.tls:
            data = self.socket.recv(65536)
            assert data, "the broker has closed the connection"
            return data
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self._feed()

    def close(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# --- messages both ways


class Client:
    """MQTT 3.1.1 over TCP. `arrived` is told (topic, payload)."""

    def __init__(self, host, name, subscription, qos, arrived, keep_alive=0):
        with host:
            self.socket = socket.socket()
        self.socket.settimeout(30)
        self.socket.connect((NEAR, PORTS["tcp"]))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name, self.arrived = name, arrived
        self.received = bytearray()
        self.packet_id = 0
        self.closed = False
        self.socket.sendall(packet(1, 0, string("MQTT") + b"\4\2" + struct.pack("!H", keep_alive) + string(name)))
        self._await(2)
        if subscription:
            self.socket.sendall(packet(8, 2, b"\0\1" + string(subscription) + bytes([qos])))
            self._await(9)

    def _await(self, kind):
        while True:
            self.received += self.socket.recv(4096)
            if found := self._next():
                assert found[0] >> 4 == kind, found
                return

    def _next(self):
        size, shift, at = 0, 0, 1
        while at < len(self.received):
            byte = self.received[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                if len(self.received) < at + size:
                    return None
                found = self.received[0], bytes(self.received[at : at + size])
                del self.received[: at + size]
                return found
        return None

    def publish(self, topic, payload, qos=1):
        self.packet_id = self.packet_id % 65535 + 1
        number = struct.pack("!H", self.packet_id) if qos else b""
        self.socket.sendall(packet(PUBLISH, qos << 1, string(topic) + number + payload))

    def on_readable(self):
        data = self.socket.recv(65536)
        self.closed = not data
        self.received += data
        answers = b""
        while found := self._next():
            kind, body = found
            if kind >> 4 != PUBLISH:
                continue
            at = 2 + struct.unpack_from("!H", body)[0]
            topic = body[2:at].decode()
            if kind >> 1 & 3:
                answers += packet(4, 0, body[at : at + 2])
                at += 2
            self.arrived(topic, body[at:])
        if answers:
            self.socket.sendall(answers)

    def close(self):
        self.socket.close()


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


class Traffic:
    """`devices` behind the weak link and an application beside the broker send each other small messages of QoS 1."""

    def __init__(self, link, devices, seed):
        self.link = link
        self.delays = {"down": [], "up": []}
        self.seen = set()
        self.repeated = 0
        self.sent = 0
        self.chance = random.Random(seed)
        self.app = Client(link.near, "app", "up/#", 1, self._arrived)
        self.devices = [None] * devices
        threads = [threading.Thread(target=self._connect, args=(index,)) for index in range(devices)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(self.devices), "a device has not connected"
        self.waiting = selectors.DefaultSelector()
        for client in [self.app, *self.devices]:
            self.waiting.register(client.socket, selectors.EVENT_READ, client)

    def _connect(self, index):
        self.devices[index] = Client(self.link.far, f"device{index}", f"down/{index}", 1, self._arrived)

    def _arrived(self, topic, payload):
        number, sent_at = struct.unpack_from("!Id", payload)
        self.repeated += number in self.seen
        if number not in self.seen:
            self.seen.add(number)
            self.delays[topic.split("/")[0]].append(time.monotonic() - sent_at)

    def plan(self, seconds, per_second):
        """When who says something: mostly alone, sometimes two shortly one after the other."""
        plan = []
        for index in range(len(self.devices)):
            for direction in ("down", "up"):
                at = 0.0
                while (at := at + self.chance.expovariate(per_second)) < seconds:
                    plan.append((at, index, direction))
                    if self.chance.random() < 0.3:
                        plan.append((at + 0.03, index, direction))
        heapq.heapify(plan)
        return plan

    def run(self, seconds, per_second, payload_bytes, patience_s=60):
        plan = self.plan(seconds, per_second)
        begin = time.monotonic()
        end = begin + seconds + patience_s
        while (plan or len(self.seen) < self.sent) and time.monotonic() < end:
            now = time.monotonic()
            while plan and begin + plan[0][0] <= now:
                _, index, direction = heapq.heappop(plan)
                client = self.app if direction == "down" else self.devices[index]
                body = struct.pack("!Id", self.sent, time.monotonic()).ljust(payload_bytes, b".")
                self.sent += 1
                client.publish(f"{direction}/{index}", body)
            wait = max(0, begin + plan[0][0] - now) if plan else 0.2
            for key, _ in self.waiting.select(wait):
                key.data.on_readable()
                assert not key.data.closed, f"{key.data.name} has lost its connection"

    def close(self):
        for client in [self.app, *self.devices]:
            client.close()
