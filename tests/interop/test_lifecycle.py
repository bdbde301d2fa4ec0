"""Start, log and end of the process."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest
from paho.mqtt.packettypes import PacketTypes

import raw_peer
from broker_process import Broker, binary
from raw_peer import RawPeer, disconnect_reason, properties
from settings import settings

pytestmark = pytest.mark.petrel_only


def test_graceful_shutdown(start_broker, name):
    """SIGTERM: a v5 client is told 0x8B as the last packet, the others are closed, the exit status is 0."""
    running = start_broker()
    new, old, ancient = (RawPeer(running, version) for version in (raw_peer.V5, raw_peer.V311, raw_peer.V31))
    for index, peer in enumerate((new, old, ancient)):
        peer.connect(f"client-{index}", will=(name("will"), b"gone", 0, False, None))
        peer.subscribe(name("#"), 0)
    running.signal()
    last = new.expect_closed()
    assert last[-1].type == raw_peer.DISCONNECT and disconnect_reason(last) == 0x8B
    assert {packet.type for packet in old.expect_closed() + ancient.expect_closed()} <= {raw_peer.PUBLISH}
    assert running.wait() == 0
    running.wait_log("shut|stop")
    for peer in (new, old, ancient):
        peer.close()


def test_wills_at_shutdown_reach_all_who_wait_for_them(start_broker, name):
    """Whatever the order in which connections end, and on whichever thread."""
    running = start_broker()
    peers = [RawPeer(running) for _ in range(8)]
    for index, peer in enumerate(peers):
        peer.connect(f"client-{index}", will=(name(str(index)), b"gone", 1, False, None))
        peer.subscribe(name("+"), 1)
    running.signal()
    for peer in peers:
        wills = [peer.decode_publish(packet).topic for packet in peer.expect_closed() if packet.type == raw_peer.PUBLISH]
        assert sorted(wills) == [name(str(index)) for index in range(8)]
        peer.close()
    assert running.wait() == 0


def test_acknowledged_messages_are_not_lost_at_shutdown(start_broker, name):
    """What was acknowledged before SIGTERM still reaches an online subscriber that reads."""
    running = start_broker()
    with RawPeer(running) as reader, RawPeer(running) as sender:
        reader.connect("reader", props=properties(PacketTypes.CONNECT, ReceiveMaximum=1000))
        reader.subscribe(name("t"), 1)
        sender.connect("sender")
        for index in range(1, 101):
            sender.send(raw_peer.publish_packet(name("t"), b"%d" % index, qos=1, packet_id=index))
        for _ in range(100):
            sender.expect(raw_peer.PUBACK)
        running.signal()
        heard = [reader.decode_publish(found).payload for found in reader.expect_closed() if found.type == raw_peer.PUBLISH]
    assert heard == [b"%d" % index for index in range(1, 101)]
    assert running.wait() == 0


@pytest.fixture
def stuck(start_broker, name):
    """A broker with much for a peer that does not read it, and the client that has sent it."""
    running = start_broker()
    peer = RawPeer(running, receive_buffer=4096)
    peer.connect("stuck-peer")
    peer.subscribe(name("t"), 0)
    with peer, RawPeer(running) as sender:
        sender.connect("sender")
        for _ in range(100):
            sender.publish(name("t"), b"x" * 65536)
        sender.ping()
        yield running, sender


def test_shutdown_with_a_client_that_never_reads(stuck):
    """One stuck peer does not keep the broker from ending."""
    running, sender = stuck
    running.signal()
    assert disconnect_reason(sender.expect_closed()) == 0x8B
    assert running.wait() == 0


def test_second_signal_ends_at_once(stuck):
    running, _ = stuck
    running.signal()
    # Of two signals that come before the first is taken one is lost.
    running.wait_log("shutting down")
    running.signal()
    assert running.wait() == -signal.SIGTERM


def test_sigint_is_like_sigterm(start_broker):
    running = start_broker()
    with RawPeer(running) as peer:
        peer.connect("client")
        running.signal(signal.SIGINT)
        assert disconnect_reason(peer.expect_closed()) == 0x8B
    assert running.wait() == 0


@pytest.mark.parametrize("occupant", ["petrel", "other"])
def test_port_in_use(start_broker, tmp_path, threads, occupant):
    """A taken port is an error that names it, also when the other process is a petrel with SO_REUSEPORT."""
    taken = None
    if occupant == "petrel":
        port = start_broker().port
    else:
        taken = socket.create_server(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    second = Broker(tmp_path / "second", threads, port=port).launch()
    try:
        assert second.wait() != 0
        second.check_log()
        assert str(port) in second.log() and "in use" in second.log()
    finally:
        second.kill()
        if taken:
            taken.close()


def test_restart_on_the_same_port(start_broker):
    """Connections in TIME_WAIT do not keep a new broker from the port."""
    first = start_broker()
    with RawPeer(first) as peer:
        peer.connect("client")
        first.signal()
        assert first.wait() == 0
        peer.expect_closed()
    with RawPeer(start_broker(port=first.port)) as peer:
        peer.connect("client")


def test_human_log(start_broker):
    """The start with address and version, a refusal with its reason, the end."""
    running = start_broker(args=["--log-level", "info"])
    told = subprocess.run([binary(), "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    version = re.search(r"\d+\.\d+\.\d+", told).group(0)
    assert str(running.port) in running.wait_log("listen")
    running.wait_log(f"started.*{re.escape(version)}")
    with RawPeer(running) as peer:
        remote = peer.socket.getsockname()[1]
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        peer.expect_closed()
    running.wait_log(rf"127\.0\.0\.1:{remote}\b.*reason")
    running.signal()
    assert running.wait() == 0
    running.wait_log("shut|stop")


def test_json_log(start_broker):
    """Every line is one JSON object with time, level and event."""
    running = start_broker(settings(log_format="json"))
    with RawPeer(running) as peer:
        peer.send(b'GET /"quoted\\ \x00\xff HTTP/1.1\r\n\r\n')
        peer.expect_closed()
    with RawPeer(running) as peer:
        peer.connect('cli"ent\\')
        peer.send(b"\xff\xff")
        peer.expect_closed()
    running.signal()
    assert running.wait() == 0
    rows = [json.loads(row) for row in running.log().splitlines()]
    assert len(rows) >= 4
    for row in rows:
        assert {"time", "level", "event"} <= set(row)
    assert any(str(running.port) in json.dumps(row) for row in rows)


@pytest.mark.parametrize("text", ["[limits]\nno_such_key = 1\n", "[limits]\nmax_packet_bytes = 'x'\n", "not toml ="])
def test_wrong_configuration(tmp_path, threads, text):
    """A configuration with an error is not half used: exit status, and a message that names the file."""
    running = Broker(tmp_path, threads, config=text).launch()
    try:
        assert running.wait() != 0
        running.check_log()
        assert "petrel.toml" in running.log()
    finally:
        running.kill()
    checked = subprocess.run(
        [binary(), "check-config", "-c", str(tmp_path / "petrel.toml")], capture_output=True, timeout=10, check=False
    )
    assert checked.returncode not in (0, -6, -11)


def test_as_many_threads_as_cores(start_broker):
    """0 means that, in the file and on the command line."""
    flagged = start_broker(threads=0).wait_log(r"started.* threads=\d+")
    filed = start_broker("threads = 0\n", threads=None).wait_log(r"started.* threads=\d+")
    cores = len(os.sched_getaffinity(0))
    assert f" threads={cores} " in flagged and f" threads={cores} " in filed


def refusal(*arguments):
    done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1 and not done.stdout
    return done.stderr


def test_mistakes_of_meaning_are_told_with_their_place(tmp_path):
    """A flag goes by its name where it has replaced what stands in the file."""
    file = tmp_path / "petrel.toml"
    file.write_text('store = "disk"\n[[listener]]\naddress = "tls://127.0.0.1:1"\ncertificate = "none.pem"\nkey = "none.key"\n')
    for command in (["check-config", file], ["serve", "-c", file]):
        told = refusal(*command)
        assert f"petrel: {file}:1:9: there is no store" in told and f"petrel: {file}:4:15: listener tls://" in told
    told = refusal("serve", "-c", file, "--store", "tape", "--certificate", "other.pem")
    assert 'petrel: --store: there is no store "tape"' in told and "petrel: --certificate: listener tls://" in told
    assert "petrel: --listen: " in refusal("serve", "--listen", "127.0.0.1:1")
