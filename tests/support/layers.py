"""What lies between a test's packets and the socket: TLS, WebSocket, or both. Each is a socket as far as PacketSocket needs one."""

import os
import socket
import ssl


class WebSocket:
    """Sends each piece as one frame, reads the payload of frames. A Close frame is the end."""

    def __init__(self, below):
        self.below = below
        self.frames, self.payload = bytearray(), bytearray()
        self.below.sendall(
            b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
            b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        )
        while b"\r\n\r\n" not in self.frames:
            piece = self.below.recv(4096)
            assert piece, f"no upgrade: {bytes(self.frames)}"
            self.frames += piece
        head, _, rest = self.frames.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), bytes(head)
        self.frames = bytearray(rest)

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
