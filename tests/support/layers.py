"""What lies between a test's packets and the socket: TLS, WebSocket, or both. Each is a socket as far as PacketSocket needs one."""

import os
import socket
import ssl


def upgrade_request(*headers, path="/mqtt", protocol="mqtt"):
    lines = [f"GET {path} HTTP/1.1", "Host: broker", "Upgrade: websocket", "Connection: Upgrade", *headers]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Protocol: {protocol}"]
    return "\r\n".join([*lines, "", ""]).encode()


def upgrade(link, *headers, **more):
    """Asks for WebSocket. The head of the answer; what follows it is not read."""
    link.sendall(upgrade_request(*headers, **more))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = link.recv(1)
        assert byte, f"no answer: {answer}"
        answer += byte
    return answer.decode()


def frame(payload, opcode=2):
    """A masked frame, of the mask that changes nothing."""
    assert len(payload) < 126
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


class WebSocket:
    """Sends each piece as one frame, reads the payload of frames. A Close frame is the end."""

    def __init__(self, below):
        self.below = below
        self.frames, self.payload = bytearray(), bytearray()
        head = upgrade(below)
        assert head.startswith("HTTP/1.1 101 "), head

    def sendall(self, data):
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
        mask = os.urandom(4)
        key = int.from_bytes(mask * (size // 4 + 1), "big") >> 8 * (4 - size % 4)
        masked = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
        self.below.sendall(b"\x82" + length + mask + masked)

    def _take_frame(self):
        """The next whole frame as (opcode, payload), or None."""
        if len(self.frames) < 2:
            return None
        size, at = self.frames[1], 2
        if size > 125:
            at = 4 if size == 126 else 10
            if len(self.frames) < at:
                return None
            size = int.from_bytes(self.frames[2:at], "big")
        if len(self.frames) < at + size:
            return None
        frame = self.frames[0] & 15, bytes(self.frames[at : at + size])
        del self.frames[: at + size]
        return frame

    def recv(self, most):
        while not self.payload:
            frame = self._take_frame()
            if frame is None:
                piece = self.below.recv(65536)
                if not piece:
                    return b""
                self.frames += piece
            elif frame[0] == 8:
                return b""
            else:
                self.payload += frame[1]
        taken = bytes(self.payload[:most])
        del self.payload[:most]
        return taken

    def __getattr__(self, name):
        return getattr(self.below, name)


class HalfClosing(ssl.SSLSocket):
    """One that can still be read after its writing end is shut."""

    def shutdown(self, how):
        socket.socket.shutdown(self, how)


def through(transport, link, authority_file=None):
    """`link` with the layers of tls, ws or wss on it; tcp has none."""
    if transport in ("tls", "wss"):
        context = ssl.create_default_context(cafile=authority_file)
        context.sslsocket_class = HalfClosing
        link = context.wrap_socket(link, server_hostname="localhost")
    return WebSocket(link) if transport in ("ws", "wss") else link
