"""permessage-deflate with clients that speak it by themselves: MQTT.js under Node.js; and what a hostile one may try."""

import json
import socket
import zlib

import pytest

import metrics
from broker_process import free_port, wait_until
from doors import Door
from layers import frame, upgrade
from paho_peer import PahoPeer

pytestmark = pytest.mark.petrel_only
BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


class Compressing:
    """A broker with a door of each kind: compressing, with context, and not at all."""

    def __init__(self, start_broker):
        ports = {kind: free_port() for kind in ("usual", "context", "off", "http")}
        listeners = [
            {"address": f"ws://127.0.0.1:{ports['usual']}"},
            {"address": f"ws://127.0.0.1:{ports['context']}", "compression_context": True},
            {"address": f"ws://127.0.0.1:{ports['off']}", "compression": False},
            {"address": f"http://127.0.0.1:{ports['http']}"},
        ]
        self.broker = start_broker(listeners=listeners)
        self.doors = {kind: Door(kind, port, "websockets", host="127.0.0.1") for kind, port in ports.items()}

    def count(self, door, name):
        scheme = "http" if door == "http" else "ws"
        families = metrics.read(f"{self.doors['http'].url}/metrics")
        return metrics.value(families, f"petrel_listener_{name}", listener=f"{scheme}://127.0.0.1:{self.doors[door].port}")

    def connect(self, door, offer):
        """A raw connection: the extensions agreed on, and the socket."""
        link = socket.create_connection(("127.0.0.1", self.doors[door].port), timeout=15)
        head = upgrade(link, f"Sec-WebSocket-Extensions: {offer}")
        assert head.startswith("HTTP/1.1 101 "), head
        agreed = [line.split(": ", 1)[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Extensions: ")]
        return (agreed[0] if agreed else None), link


@pytest.fixture
def compressing(start_broker):
    return Compressing(start_broker)


def chat(number):
    return json.dumps({"id": number, "room": "general", "from": f"user{number % 9}", "text": "as people write to each other, " * 12})


@pytest.mark.parametrize("door", ["usual", "context", "off", "http"])
def test_mqttjs(compressing, drive_node, name, door):
    """What the client sends in compressed messages arrives, and so does what it is sent; all sizes, both ways."""
    driver = drive_node(compressing.doors[door])
    texts = [chat(number) for number in range(30)]
    sizes = [0, 1, 255, 256, 257, 16_384, 70_000, 1_000_000]
    peer = driver.peer(name.client("n"), protocol="ws", path="/mqtt")
    with PahoPeer(compressing.broker, name.client("p")) as outside:
        outside.subscribe(name("out"), qos=1)
        peer.subscribe(name("in"), 1)
        for text in texts:
            peer.publish(name("out"), payload=text, qos=1)
        assert [payload.decode() for payload in outside.payloads(len(texts))] == texts
        outside.publish_all(name("in"), [text.encode() for text in texts], qos=1)
        assert [message["payload"] for message in peer.take(len(texts))] == texts
        for size in sizes:
            peer.publish(name("out"), size=size, qos=1)
        assert [len(payload) for payload in outside.payloads(len(sizes))] == sizes
        outside.publish_all(name("in"), [b"a" * size for size in sizes], qos=1)
        got = [message["payload"] for message in peer.take(len(sizes))]
        assert [one if isinstance(one, int) else len(one) for one in got] == sizes
        assert compressing.count(door, "compressing_connections") == (0 if door == "off" else 1)
        plain, wire = (compressing.count(door, f"deflate_{kind}_bytes_total") for kind in ("plain", "wire"))
        inflated, came = (compressing.count(door, f"inflate_{kind}_bytes_total") for kind in ("plain", "wire"))
        if door == "off":
            assert plain == wire == inflated == came == 0
        else:
            assert wire < plain / 2 and came < inflated / 2 and wire > 0 and came > 0
    peer.drop()
    wait_until(lambda: compressing.count(door, "compressing_connections") == 0, "the connection has gone")
    assert compressing.count(door, "compression_memory_bytes") < 5_000_000


@pytest.mark.parametrize(
    "door,offer,agreed",
    [
        ("usual", "permessage-deflate; client_max_window_bits", BOTH + "; client_max_window_bits=15"),
        ("usual", "permessage-deflate; server_max_window_bits=10", BOTH + "; server_max_window_bits=10"),
        ("usual", "permessage-deflate; mystery, permessage-deflate", BOTH),
        ("usual", "permessage-deflate; server_max_window_bits=99", None),
        ("usual", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("usual", "x-webkit-deflate-frame", None),
        ("context", "permessage-deflate", "permessage-deflate"),
        ("off", "permessage-deflate", None),
    ],
)
def test_what_is_agreed_on(compressing, door, offer, agreed):
    answer, link = compressing.connect(door, offer)
    with link:
        assert answer == agreed
        # With it or without, MQTT goes on.
        link.sendall(frame(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02co"))
        assert link.recv(6) == b"\x82\x04\x20\x02\x00\x00"


def compressed(payload):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def long_frame(payload, first=0xC2):
    return bytes([first, 0xFF]) + len(payload).to_bytes(8, "big") + bytes(4) + payload


def test_a_small_message_that_stands_for_an_enormous_one(compressing, name):
    """300 MB in 300 KB: a packet beyond the limit is refused at its first bytes, and nothing of it is kept."""
    _, link = compressing.connect("usual", "permessage-deflate")
    before = compressing.broker.resident_bytes()
    at = len(compressing.broker.log())
    packet = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02bo" + b"\x30\xff\xff\xff\x7f\x00\x01t"
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflater.compress(packet) + b"".join(deflater.compress(bytes(1_000_000)) for _ in range(300))
    bomb += deflater.flush(zlib.Z_SYNC_FLUSH)
    with link, PahoPeer(compressing.broker, name.client("stays")) as peer:
        peer.subscribe(name("t"), qos=1)
        try:
            link.sendall(long_frame(bomb[:-4]))
            while link.recv(4096):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        compressing.broker.wait_log("disconnected|refused", start=at)
        peer.publish(name("t"), b"served", qos=1)
        assert peer.take_one().payload == b"served"
    assert compressing.count("usual", "inflate_plain_bytes_total") < 2_000_000
    assert compressing.broker.resident_bytes() < before + 30_000_000


def test_packets_by_the_million_in_a_small_message(compressing, name):
    """What a message stands for is read in turn with the others, a little at a time."""
    _, link = compressing.connect("usual", "permessage-deflate")
    pings = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02pi" + b"\xc0\x00" * 2_000_000
    with link, PahoPeer(compressing.broker, name.client("stays")) as peer:
        peer.subscribe(name("t"), qos=1)
        link.sendall(long_frame(compressed(pings)))
        for number in range(20):
            peer.publish(name("t"), b"%d" % number, qos=1)
            assert peer.take_one().payload == b"%d" % number


@pytest.mark.parametrize(
    "sent,code",
    [
        (b"\xc2\x85" + bytes(4) + b"\xff" * 5, 1007),
        (b"\xc2\x80" + bytes(4), 1007),
        (b"\xc9\x81" + bytes(4) + b"x", 1002),
        (b"\x42\x81" + bytes(4) + b"\x4a" + b"\xc0\x81" + bytes(4) + b"\x00", 1002),
        (b"\xe2\x81" + bytes(4) + b"\x00", 1002),
    ],
)
def test_what_breaks_the_rules(compressing, sent, code):
    at = len(compressing.broker.log())
    _, link = compressing.connect("usual", "permessage-deflate")
    with link:
        link.sendall(sent)
        answer = b""
        while piece := link.recv(200):
            answer += piece
    assert answer[0] == 0x88 and int.from_bytes(answer[2:4], "big") == code
    compressing.broker.wait_log("connection refused.*WebSocket: ", start=at)
