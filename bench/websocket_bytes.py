#!/usr/bin/env python3
"""Bytes that a browser receives for chat messages: without compression, with it, and with context. Starts brokers of its own.

    bench/websocket_bytes.py [PETREL]

One message at a time, as people write; and a history of fifty retained messages at once. Counted are bytes of TCP's payload."""

import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ("yes no maybe when where the a of to and see you tomorrow train late again bring picture of our new house coffee at nine "
         "please thanks funny not sure call me back weather cold beautiful message again tonight").split()


def chat(number, words):
    random.seed(number * 1000 + words)
    return json.dumps({
        "id": f"{random.getrandbits(64):016x}", "room": "general", "from": random.choice(["anna", "bert", "chiara", "deniz"]),
        "at": 1763700000000 + number * 4711, "text": " ".join(random.choice(WORDS) for _ in range(words)), "reply": None,
    }).encode()


def length(size):
    out = b""
    while True:
        size, low = divmod(size, 128)
        out += bytes([low | (0x80 if size else 0)])
        if not size:
            return out


def packet(first, body):
    return bytes([first]) + length(len(body)) + body


def text(value):
    return len(value).to_bytes(2, "big") + value



def publish(topic, payload, retain=False):
    return packet(0x31 if retain else 0x30, text(topic) + payload)


class Publisher:
    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port))
        self.send(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x3c" + text(b"publisher")))
        assert self.link.recv(4) == b"\x20\x02\x00\x00"

    def send(self, data):
        self.link.sendall(data)

    def settle(self):
        self.send(b"\xc0\x00")
        assert self.link.recv(2) == b"\xd0\x00"


class Reader:
    """Counts what comes; a message has come when its frame is whole."""

    def __init__(self, port, offer, name):
        self.link = socket.create_connection(("127.0.0.1", port))
        extension = f"Sec-WebSocket-Extensions: {offer}\r\n" if offer else ""
        self.link.sendall(f"GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n{extension}\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.link.recv(1)
        assert (b"permessage-deflate" in head) == bool(offer), head
        self.send(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x3c" + text(name)))
        assert self.frame() == 4
        self.bytes = 0

    def send(self, data):
        assert len(data) < 126
        self.link.sendall(bytes([0x82, 0x80 | len(data)]) + bytes(4) + data)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            data += self.link.recv(size - len(data))
        return data

    def frame(self):
        size, header = self.exactly(2)[1], 2
        if size == 126:
            size, header = int.from_bytes(self.exactly(2), "big"), 4
        self.exactly(size)
        self.bytes = getattr(self, "bytes", 0) + header + size
        return size

    def quiet(self):
        """Reads what has come until nothing more does."""
        self.link.settimeout(0.3)
        try:
            while True:
                self.frame()
        except TimeoutError:
            pass
        self.link.settimeout(None)


def measure(binary, words, offer, context):
    with tempfile.TemporaryDirectory() as folder, socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        tcp, ws = one.getsockname()[1], two.getsockname()[1]
        one.close()
        two.close()
        config = pathlib.Path(folder) / "petrel.toml"
        config.write_text(f'[[listener]]\naddress = "ws://127.0.0.1:{ws}"\ncompression_context = {"true" if context else "false"}\n'
                          f'[[listener]]\naddress = "tcp://127.0.0.1:{tcp}"\n')
        broker = subprocess.Popen([binary, "serve", "-c", config, "--store", "memory", "--log-level", "error"])
        try:
            for _ in range(200):
                try:
                    publisher = Publisher(tcp)
                    break
                except OSError:
                    time.sleep(0.02)
            reader = Reader(ws, offer, b"reader")
            reader.send(packet(0x82, b"\x00\x01" + text(b"room/one") + b"\x00"))
            reader.frame()
            reader.bytes = 0
            for number in range(100):
                publisher.send(publish(b"room/one", chat(number, words)))
                reader.frame()
            single = reader.bytes / 100
            for number in range(50):
                publisher.send(publish(b"history/%d" % number, chat(number, words), retain=True))
            publisher.settle()
            reader.bytes = 0
            reader.send(packet(0x82, b"\x00\x02" + text(b"history/#") + b"\x00"))
            reader.quiet()
            return single, reader.bytes
        finally:
            broker.terminate()
            broker.wait()


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "release" / "petrel"
    offer = "permessage-deflate; client_max_window_bits"
    print("| payload | | without | compressed | with context |\n|---|---|---|---|---|")
    for words in (6, 30, 150):
        size = round(sum(len(chat(number, words)) for number in range(100)) / 100)
        rows = [measure(binary, words, *how) for how in (("", False), (offer, False), (offer, True))]
        print(f"| {size} | one at a time, each | " + " | ".join(f"{single:.0f}" for single, _ in rows) + " |")
        print(f"| {size} | history of 50 | " + " | ".join(f"{history:.0f}" for _, history in rows) + " |")


if __name__ == "__main__":
    main()
