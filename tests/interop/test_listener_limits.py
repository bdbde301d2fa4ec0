"""Limits of listeners: one broker with a public and an internal listener, and a third that says nothing."""

import signal
import struct
import subprocess

import pytest
from paho.mqtt.packettypes import PacketTypes

import raw_peer
from broker_process import binary, free_port
from doors import Door
from paho_peer import PahoPeer
from raw_peer import RawPeer, disconnect_reason, packet, properties, publish_packet

pytestmark = pytest.mark.petrel_only

KEYS = ("max_connect_bytes", "max_packet_bytes", "max_inflight_messages", "receive_maximum")
KEYS += ("topic_alias_maximum", "topic_alias_maximum_out", "connect_timeout_s", "keep_alive_max_s")
# Of the public listener, of [limits], of the internal one: each value differs from the others.
VALUES = {
    "public": dict(zip(KEYS, (300, 1024, 1, 2, 1, 0, 2, 10))),
    "plain": dict(zip(KEYS, (1000, 4000, 3, 4, 3, 3, 4, 100))),
    "internal": dict(zip(KEYS, (3000, 9000, 9, 9, 9, 9, 60, 0))),
}
LISTENERS = list(VALUES)


class Threefold:
    """The broker, and its listeners by name; the plain one is the broker's own."""

    def __init__(self, start_broker):
        ports = {listener: free_port() for listener in ("public", "internal")}
        config = "[limits]\n" + "".join(f"{key} = {value}\n" for key, value in VALUES["plain"].items())
        listeners = [{"address": f"tcp://127.0.0.1:{port}", **VALUES[listener]} for listener, port in ports.items()]
        self.broker = start_broker(config, listeners=listeners)
        self.doors = {listener: Door(listener, port, host="127.0.0.1") for listener, port in ports.items()}
        self.doors["plain"] = Door("plain", self.broker.port, host="127.0.0.1")

    def peer(self, listener, version=raw_peer.V5):
        return RawPeer(self.doors[listener], version)

    def wait_log(self, listener, text):
        """A line that names the listener's address and the key where the value stands."""
        port = self.doors[listener].port
        section = "limits" if listener == "plain" else "listener"
        return self.broker.wait_log(rf"listener=tcp://127\.0\.0\.1:{port}\b.*{text.format(section)}")


@pytest.fixture
def threefold(start_broker):
    return Threefold(start_broker)


def told(peer, client_id, keep_alive=1000):
    values = peer.connect(client_id, keep_alive=keep_alive).properties
    aliases = getattr(values, "TopicAliasMaximum", 0)
    return values.MaximumPacketSize, values.ReceiveMaximum, aliases, getattr(values, "ServerKeepAlive", keep_alive)


def expected(listener):
    own = VALUES[listener]
    return own["max_packet_bytes"], own["receive_maximum"], own["topic_alias_maximum"], own["keep_alive_max_s"] or 1000


def test_connack_tells_them_and_a_reload_leaves_them(threefold, name):
    def look(when):
        for listener in LISTENERS:
            with threefold.peer(listener) as peer:
                assert told(peer, name.client(f"{when}-{listener}")) == expected(listener), listener

    look("before")
    threefold.broker.process.send_signal(signal.SIGHUP)
    threefold.broker.wait_log("reading certificates and keys again")
    look("after")


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_connack_tells_them_over_websocket(start_broker, name, scheme):
    door = Door(scheme, free_port(), "websockets")
    start_broker(listeners=[{"address": f"{scheme}://127.0.0.1:{door.port}", **VALUES["public"]}])
    with PahoPeer(door, name.client("c")) as peer:
        told_values = peer.connack
        assert (told_values.MaximumPacketSize, told_values.ReceiveMaximum, told_values.ServerKeepAlive) == (1024, 2, 10)


@pytest.mark.parametrize("listener", LISTENERS)
def test_max_packet_bytes(threefold, name, listener):
    most = VALUES[listener]["max_packet_bytes"]
    for version in (raw_peer.V5, raw_peer.V311):
        with threefold.peer(listener, version) as peer:
            peer.connect(name.client(f"c{version}"))
            overhead = len(publish_packet(name("t"), b"x" * 500, version)) - 500
            peer.send(publish_packet(name("t"), b"x" * (most - overhead), version))
            peer.ping()
            peer.send(publish_packet(name("t"), b"x" * (most - overhead + 1), version))
            assert disconnect_reason(peer.expect_closed()) == (0x95 if version == raw_peer.V5 else None)
        threefold.wait_log(listener, r"packet is larger than {}\.max_packet_bytes")


@pytest.mark.parametrize("listener", LISTENERS)
def test_max_connect_bytes(threefold, listener):
    most = VALUES[listener]["max_connect_bytes"]
    with threefold.peer(listener) as fitting:
        fitting.connect("x" * (most - 30))
    with threefold.peer(listener) as large:
        large.send(raw_peer.connect_packet("x" * most))
        assert large.expect_closed() == []
    threefold.wait_log(listener, r"CONNECT is larger than {}\.max_connect_bytes")


@pytest.mark.parametrize("listener", LISTENERS)
def test_receive_maximum(threefold, name, listener):
    most = VALUES[listener]["receive_maximum"]
    with threefold.peer(listener) as hasty, threefold.peer(listener, raw_peer.V311) as old:
        hasty.connect(name.client("hasty"))
        old.connect(name.client("old"))
        for packet_id in range(1, 21):
            old.send(publish_packet(name("t"), version=raw_peer.V311, qos=2, packet_id=packet_id))
        for packet_id in range(1, 21):
            assert struct.unpack("!H", old.expect(raw_peer.PUBREC).body)[0] == packet_id, "3.x knows no Receive Maximum"
        for packet_id in range(1, most + 1):
            hasty.send(publish_packet(name("t"), qos=2, packet_id=packet_id))
            hasty.expect(raw_peer.PUBREC)
        hasty.send(publish_packet(name("t"), qos=2, packet_id=100))
        assert disconnect_reason(hasty.expect_closed()) == 0x93
    threefold.wait_log(listener, r"{}\.receive_maximum")


@pytest.mark.parametrize("listener", LISTENERS)
def test_topic_aliases(threefold, name, listener):
    own = VALUES[listener]
    with threefold.peer(listener) as peer, threefold.peer("internal") as writer:
        peer.connect(name.client("peer"), props=properties(PacketTypes.CONNECT, TopicAliasMaximum=5))
        peer.subscribe(name("#"))
        writer.connect(name.client("writer"))
        for number in range(50):
            writer.send(publish_packet(name(f"a-long-topic/{number}")))
        used = [getattr(peer.read_publish().properties, "TopicAlias", 0) for _ in range(50)]
        assert max(used) == min(5, own["topic_alias_maximum_out"])
        for alias in (own["topic_alias_maximum"], own["topic_alias_maximum"] + 1):
            peer.send(publish_packet("elsewhere", props=properties(PacketTypes.PUBLISH, TopicAlias=alias)))
        assert disconnect_reason(peer.expect_closed()) == 0x94
    threefold.wait_log(listener, r"topic alias above {}\.topic_alias_maximum")


@pytest.mark.parametrize("listener", LISTENERS)
def test_max_inflight_messages(threefold, name, listener):
    most = VALUES[listener]["max_inflight_messages"]
    with threefold.peer(listener) as reader, threefold.peer("internal") as writer:
        reader.connect(name.client("reader"))
        reader.subscribe(name("t"), 1)
        writer.connect(name.client("writer"))
        for packet_id in range(1, 21):
            writer.publish(name("t"), qos=1, packet_id=packet_id)
        reader.ping()
        assert len(reader.early) == most


def test_connect_timeout(threefold, name):
    """The patient listener still waits when the strict one and the one without a value have closed."""
    with threefold.peer("internal") as patient, threefold.peer("plain") as plain, threefold.peer("public") as strict:
        for listener, silent in (("public", strict), ("plain", plain)):
            assert silent.expect_closed() == []
            threefold.wait_log(listener, r"no complete CONNECT within {}\.connect_timeout_s")
        patient.connect(name.client("patient"))


def test_connect_timeout_behind_a_proxy(start_broker):
    """It is the time for the PROXY header, too."""
    port = free_port()
    proxied = {"address": f"tcp://127.0.0.1:{port}", "proxy_protocol": True, "trusted": ["127.0.0.1"], "allow_anonymous": True}
    broker = start_broker("[limits]\nconnect_timeout_s = 3600\n", listeners=[{**proxied, "connect_timeout_s": 1}])
    with RawPeer(Door("proxied", port, host="127.0.0.1")) as silent:
        assert silent.expect_closed() == []
    broker.wait_log("PROXY header: none within")


def test_a_narrower_listener_takes_a_session_over(threefold, name):
    """What it holds from the wide listener does not count against the Receive Maximum of the narrow one."""
    lasting = {"clean": False, "props": properties(PacketTypes.CONNECT, SessionExpiryInterval=600)}
    with threefold.peer("internal") as wide:
        wide.connect(name.client("c"), **lasting)
        for packet_id in range(1, 10):
            wide.send(publish_packet(name("t"), qos=2, packet_id=packet_id))
            wide.expect(raw_peer.PUBREC)
    with threefold.peer("public") as narrow:
        assert narrow.connect(name.client("c"), **lasting).session_present
        narrow.publish(name("t"), qos=1, packet_id=10)
        for packet_id in range(1, 10):
            narrow.send(packet(raw_peer.PUBREL, 2, struct.pack("!H", packet_id)))
            narrow.expect(raw_peer.PUBCOMP)
        narrow.publish(name("t"), qos=2, packet_id=11)


def test_print_config_has_what_was_set_and_nothing_else(tmp_path):
    path = tmp_path / "petrel.toml"
    path.write_text('[[listener]]\naddress = "tcp://127.0.0.1:1"\nmax_packet_bytes = 2048\nkeep_alive_max_s = 0\n')
    done = subprocess.run([binary(), "serve", "-c", path, "--print-config"], capture_output=True, text=True, check=True, timeout=30)
    listener = done.stdout.split("[[listener]]\n")[1]
    assert listener.split() == 'address = "tcp://127.0.0.1:1" max_packet_bytes = 2048 keep_alive_max_s = 0'.split()
