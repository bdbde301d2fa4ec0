#!/usr/bin/env python3
"""Bytes that a browser receives for chat messages: without compression, with it, and with context. Starts brokers of its own.

    bench/websocket_bytes.py [PETREL]

One message at a time, as people write; and a history of fifty retained messages at once. Counted are bytes of TCP's payload."""

import json
import pathlib
import random
import socket
import sys
import tempfile

from broker import ROOT, Broker, free_port
from layers import frame, upgrade
from packet_socket import CONNACK, CONNECT, PINGREQ, PINGRESP, PUBLISH, SUBSCRIBE, PacketSocket, packet, string

HOST = "127.0.0.1"
WORDS = ("yes no maybe when where the a of to and see you tomorrow train late again bring picture of our new house coffee at nine "
         "please thanks funny not sure call me back weather cold beautiful message again tonight").split()


def chat(number, words):
    random.seed(number * 1000 + words)
    return json.dumps({
        "id": f"{random.getrandbits(64):016x}", "room": "general", "from": random.choice(["anna", "bert", "chiara", "deniz"]),
        "at": 1763700000000 + number * 4711, "text": " ".join(random.choice(WORDS) for _ in range(words)), "reply": None,
    }).encode()


def connect(name):
    return packet(CONNECT, 0, string("MQTT") + b"\x04\x02\x00\x3c" + string(name))


def publish(topic, payload, retain=False):
    return packet(PUBLISH, int(retain), string(topic) + payload)


def subscribe(packet_id, topic):
    return packet(SUBSCRIBE, 2, packet_id.to_bytes(2, "big") + string(topic) + b"\x00")


class Reader:
    """Counts what comes; a message has come when its frame is whole."""

    def __init__(self, port, offer, name):
        self.link = socket.create_connection((HOST, port))
        head = upgrade(self.link, *([f"Sec-WebSocket-Extensions: {offer}"] if offer else []))
        assert ("permessage-deflate" in head) == bool(offer), head
        self.bytes = 0
        self.send(connect(name))
        assert self.frame() == 4

    def send(self, data):
        self.link.sendall(frame(data))

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
        self.bytes += header + size
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
    tcp, ws = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "petrel.toml"
        config.write_text(f'[[listener]]\naddress = "ws://{HOST}:{ws}"\ncompression_context = {"true" if context else "false"}\n'
                          f'[[listener]]\naddress = "tcp://{HOST}:{tcp}"\n')
        with Broker([binary, "serve", "-c", config, "--store", "memory", "--log-level", "error"], tcp, ws), PacketSocket(HOST, tcp) as publisher:
            publisher.send(connect("publisher"))
            publisher.expect(CONNACK)
            reader = Reader(ws, offer, "reader")
            reader.send(subscribe(1, "room/one"))
            reader.frame()
            reader.bytes = 0
            for number in range(100):
                publisher.send(publish("room/one", chat(number, words)))
                reader.frame()
            single = reader.bytes / 100
            for number in range(50):
                publisher.send(publish(f"history/{number}", chat(number, words), retain=True))
            publisher.send(packet(PINGREQ, 0))
            publisher.expect(PINGRESP)
            reader.bytes = 0
            reader.send(subscribe(2, "history/#"))
            reader.quiet()
            return single, reader.bytes


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
