"""A blocking socket that speaks frames of MQTT packets: what every client made of bytes needs, whatever it then reads into them."""

import collections
import socket
import struct
import time

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

V31, V311, V5 = 3, 4, 5

Packet = collections.namedtuple("Packet", "type flags body")


def variable_length(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind, flags, body=b""):
    return bytes([kind << 4 | flags]) + variable_length(len(body)) + body


class Overdue(AssertionError):
    """What was due has not come before its deadline."""


class PacketSocket:
    """Every read has a deadline."""

    def __init__(self, host, port, timeout_s=10.0, receive_buffer=None):
        self.timeout_s = timeout_s
        self.buffer = bytearray()
        self.early = collections.deque()
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _parse(self):
        value, shift, at = 0, 0, 1
        while at < len(self.buffer) and at < 5:
            byte = self.buffer[at]
            value |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if not byte & 0x80:
                assert byte or at == 2, f"a Remaining Length of more bytes than it needs: {bytes(self.buffer[:at]).hex(' ')}"
                if len(self.buffer) < at + value:
                    return None
                found = Packet(self.buffer[0] >> 4, self.buffer[0] & 15, bytes(self.buffer[at : at + value]))
                del self.buffer[: at + value]
                return found
        return None

    def read(self, timeout_s=None):
        """The next packet; None when the broker has closed the connection."""
        if self.early:
            return self.early.popleft()
        end = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            found = self._parse()
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise Overdue("no packet before the deadline")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            except TimeoutError:
                raise Overdue("no packet before the deadline") from None
            if not data:
                return None
            self.buffer += data

    def expect(self, kind, timeout_s=None):
        """The next packet of type `kind`; publishes that come before it are kept for later reads."""
        end = time.monotonic() + (timeout_s or self.timeout_s)
        kept = []
        try:
            while True:
                found = self.read(max(0.01, end - time.monotonic()))
                assert found is not None, f"the broker closed the connection where packet type {kind} was due"
                if found.type == kind:
                    return found
                assert found.type == PUBLISH, f"packet type {found.type} where {kind} was due: {found}"
                kept.append(found)
        finally:
            self.early.extendleft(reversed(kept))

    def expect_closed(self, timeout_s=None):
        """Reads until the broker has closed, and returns what it still sent."""
        last = []
        while (found := self.read(timeout_s)) is not None:
            last.append(found)
        return last
