"""Clients through every listener: TLS, certificates, pre-shared keys, WebSocket with and without TLS, HTTP, Unix sockets."""

import signal
import socket
import ssl
import subprocess

import pytest

import metrics
import programs
from broker_process import SharedBrokers, free_port, wait_until
from certificates import Authority
from doors import PSK, Door, Doors
from layers import frame, upgrade
from node_peer import Refused
from paho_peer import V5, V31, V311, PahoPeer

pytestmark = pytest.mark.petrel_only
THROUGH = ["tls", "certificate", "ws", "wss", "http", "https"]


@pytest.fixture(scope="session")
def shared_doors():
    with SharedBrokers() as running:
        yield running


@pytest.fixture
def doors(shared_doors, threads, tmp_path_factory, authority):
    """A broker with all doors."""
    with shared_doors.lend(threads, lambda: Doors(tmp_path_factory.mktemp(f"d{threads}"), authority, threads).start()) as running:
        yield running


@pytest.mark.parametrize("door", THROUGH)
@pytest.mark.parametrize("version", [V31, V311, V5])
def test_paho(doors, name, door, version):
    # Several clients: with two threads some of their connections move between the threads with all their layers.
    with PahoPeer(doors["tcp"], name.client("out"), version=version) as outside:
        for number in range(4):
            with PahoPeer(doors[door], name.client(f"in{number}"), version=version) as inside:
                inside.subscribe(name(f"t{number}"), qos=2)
                payloads = [b"x" * size for size in (0, 1, 125, 126, 5_000, 65_535, 65_536, 300_000)]
                outside.publish_all(name(f"t{number}"), payloads, qos=2)
                assert inside.payloads(len(payloads)) == payloads
                outside.subscribe(name(f"back{number}"), qos=1)
                inside.publish_all(name(f"back{number}"), payloads, qos=1)
                assert outside.payloads(len(payloads)) == payloads


@pytest.mark.parametrize("door", THROUGH)
@pytest.mark.parametrize("level", [3, 4, 5])
def test_mqttjs(doors, drive_node, name, door, level):
    driver = drive_node(doors[door])
    for number in range(4):
        peer = driver.peer(name.client(f"n{number}"), level, **doors[door].options)
        assert peer.subscribe(name(f"t{number}"), 2) == [2]
        peer.publish_many(name(f"t{number}"), 100, qos=2)
        assert [message["payload"] for message in peer.take(100)] == [str(index) for index in range(100)]
        peer.publish(name(f"t{number}"), size=1_000_000, qos=1)
        assert peer.take()[0]["payload"] == 1_000_000


def mosquitto(doors, door, *args, check=True):
    return programs.publish(doors[door], *args, check=check)


def test_mosquitto_clients(doors, name):
    ca = ["--cafile", str(doors.authority.file)]
    certificate, key = map(str, doors.client_files)
    keyed = ["--psk-identity", PSK[0], "--psk", PSK[1]]
    mosquitto(doors, "tls", *ca, "-t", name("tls"), "-m", "tls", "-r", "-q", "2")
    mosquitto(doors, "tls", *ca, "--tls-version", "tlsv1.2", "-t", name("tls12"), "-m", "tls12", "-r", "-q", "1")
    mosquitto(doors, "certificate", *ca, "--cert", certificate, "--key", key, "-t", name("cert"), "-m", "cert", "-r", "-q", "1")
    mosquitto(doors, "psk", *keyed, "-t", name("psk"), "-m", "psk", "-r", "-q", "1")
    mosquitto(doors, "psk", *keyed, "--tls-version", "tlsv1.2", "-t", name("psk12"), "-m", "psk12", "-r", "-q", "1")
    subprocess.run(["mosquitto_pub", "--unix", str(doors.unix), "-t", name("unix"), "-m", "unix", "-r"], check=True, timeout=15)
    done = programs.run_subscriber(doors["tls"], *ca, "-t", name("+"), "-C", "6")
    assert sorted(done.stdout.decode().split()) == ["cert", "psk", "psk12", "tls", "tls12", "unix"]


@pytest.mark.parametrize("identity,key", [(PSK[0], "ff" * 16), ("stranger", PSK[1])])
def test_wrong_pre_shared_key(doors, identity, key):
    at = len(doors.broker.log())
    done = mosquitto(doors, "psk", "--psk-identity", identity, "--psk", key, "-t", "t", "-m", "m", check=False)
    assert done.returncode != 0
    line = doors.broker.wait_log("connection refused.*TLS handshake", start=at)
    assert f"pre-shared key of \\\"{identity}\\\"" in line and ("unknown" in line) == (identity == "stranger")
    assert f"tls://127.0.0.1:{doors['psk'].port}" in line and key not in doors.broker.log()


def connect_tls(doors, door, **more):
    context = ssl.create_default_context(cafile=doors.authority.file)
    for certificate, key in more.get("shown", []):
        context.load_cert_chain(certificate, key)
    context.minimum_version = context.maximum_version = more.get("version", ssl.TLSVersion.TLSv1_3)
    link = socket.create_connection(("127.0.0.1", doors[door].port), timeout=15)
    return context.wrap_socket(link, server_hostname="localhost")


def test_clients_without_a_good_certificate_stay_out(doors, tmp_path):
    foreign = Authority(tmp_path / "foreign", "somebody else")
    expired = doors.authority.sign("expired", days=-1)
    for shown, why in [([], "has shown no certificate"), ([foreign.sign("client")], "certificate"), ([expired], "expired")]:
        at = len(doors.broker.log())
        with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
            with connect_tls(doors, "certificate", shown=shown) as link:
                assert link.recv(1) == b"", "let in"
                raise ConnectionResetError
        assert "127.0.0.1:" in doors.broker.wait_log(f"connection refused.*{why}", start=at)


def test_plain_mqtt_at_a_tls_door(doors):
    at = len(doors.broker.log())
    with socket.create_connection(("127.0.0.1", doors["tls"].port), timeout=15) as link:
        link.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab")
        while link.recv(100):
            pass
    doors.broker.wait_log("connection refused.*TLS handshake", start=at)


def test_openssl_sees_what_was_agreed(doors):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{doors['tls'].port}", "-CAfile", str(doors.authority.file),
               "-servername", "localhost", "-verify_return_error", "-alpn", "mqtt"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=15, check=False)
    text = done.stdout.decode(errors="replace")
    assert "Verify return code: 0 (ok)" in text and "ALPN protocol: mqtt" in text and "TLSv1.3" in text
    refused = subprocess.run([*command[:-1], "http/1.1"], input=b"", capture_output=True, timeout=15, check=False)
    assert refused.returncode != 0
    for old in ["-tls1", "-tls1_1"]:
        assert subprocess.run([*command, old], input=b"", capture_output=True, timeout=15, check=False).returncode != 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_shutdown_is_said_in_every_layer(start_doors, version):
    doors = start_doors()
    connect = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04" + b"bye%d" % (version == ssl.TLSVersion.TLSv1_3)
    with connect_tls(doors, "tls", version=version) as link:
        link.sendall(connect)
        assert link.recv(4) == b"\x20\x02\x00\x00"
        doors.broker.signal()
        # Python tells a missing close_notify from a proper one.
        link.suppress_ragged_eofs = False
        assert link.recv(100) == b""
    assert doors.broker.wait() == 0


def test_websocket_shutdown_is_going_away(start_doors):
    doors = start_doors()
    with socket.create_connection(("127.0.0.1", doors["ws"].port), timeout=15) as link:
        upgrade(link)
        link.sendall(frame(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"))
        assert link.recv(6) == b"\x82\x04\x20\x02\x00\x00"
        doors.broker.signal()
        assert link.recv(100) == b"\x88\x02\x03\xe9"
    assert doors.broker.wait() == 0


@pytest.mark.parametrize("door", ["ws", "http"])
def test_websocket_closes_with_the_right_code(doors, door):
    for sent, code, why in [
        (frame(b"text", opcode=1), 1003, "a text frame"),
        (b"\x82\x01\x00", 1002, "mask"),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(4), 1009, ""),
        (frame(b"\x03\xe8", opcode=8), 1000, None),
    ]:
        at = len(doors.broker.log())
        with socket.create_connection(("127.0.0.1", doors[door].port), timeout=15) as link:
            assert upgrade(link).startswith("HTTP/1.1 101 ")
            link.sendall(sent)
            answer = b""
            while piece := link.recv(200):
                answer += piece
            assert answer[0] == 0x88 and int.from_bytes(answer[2:4], "big") == code, answer
        if why is not None:
            doors.broker.wait_log(f"connection refused.*WebSocket: .*{why}", start=at)


def test_websocket_refusals(doors):
    for headers, arguments, status in [
        ([], {"path": "/other"}, 404),
        ([], {"protocol": "chat"}, 400),
        (["Origin: https://evil.example"], {}, 403),
        (["Origin: https://chat.example"], {}, 101),
    ]:
        with socket.create_connection(("127.0.0.1", doors["pages"].port), timeout=15) as link:
            assert upgrade(link, *headers, **arguments).startswith(f"HTTP/1.1 {status} "), (headers, arguments)


def test_mqtt_packets_in_any_frames(doors):
    packets = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02fr" + b"\xc0\x00" * 3
    with socket.create_connection(("127.0.0.1", doors["ws"].port), timeout=15) as link:
        upgrade(link)
        for at in range(len(packets)):
            link.sendall(frame(packets[at : at + 1]))
        link.sendall(frame(b"ping", opcode=9))
        payload, control = b"", b""
        while len(payload) < 10 or not control:
            head = link.recv(2)
            body = link.recv(head[1])
            if head[0] == 0x8A:
                control += body
            else:
                payload += body
        assert payload == b"\x20\x02\x00\x00" + b"\xd0\x00" * 3 and control == b"ping"


@pytest.fixture
def start_doors(tmp_path, authority, threads):
    started = []

    def start(**more):
        doors = Doors(tmp_path / str(len(started)), authority, threads, **more)
        started.append(doors)
        doors.broker.start()
        return doors

    yield start
    for doors in started:
        doors.broker.stop()


def test_reload_changes_certificates_and_nobody_is_dropped(start_doors, authority):
    doors = start_doors()
    certificate, key = doors.broker_files

    def shown():
        with connect_tls(doors, "tls") as link:
            return dict(part[0] for part in link.getpeercert()["subject"])["commonName"]

    assert shown() == "broker"
    with PahoPeer(doors["tls"], "stays") as peer:
        before = certificate.read_bytes(), key.read_bytes()
        try:
            other, other_key = authority.sign("renewed")
            certificate.write_bytes(other.read_bytes())
            # A certificate without its key changes nothing.
            at = len(doors.broker.log())
            doors.broker.process.send_signal(signal.SIGHUP)
            doors.broker.wait_log("listener not reloaded", start=at)
            assert shown() == "broker"
            key.write_bytes(other_key.read_bytes())
            at = len(doors.broker.log())
            doors.broker.process.send_signal(signal.SIGHUP)
            doors.broker.wait_log(f"listener reloaded.*https://127.0.0.1:{doors['https'].port}", start=at)
            assert shown() == "renewed"
            peer.subscribe("t", qos=1)
            peer.publish("t", b"still here", qos=1)
            assert peer.take_one().payload == b"still here"
        finally:
            certificate.write_bytes(before[0])
            key.write_bytes(before[1])


def test_rules_of_one_listener(start_broker, name):
    port, http = free_port(), free_port()
    address = f"tcp://127.0.0.1:{port}"
    broker = start_broker(listeners=[{"address": address, "versions": ["5.0"], "max_qos": 1, "max_connections": 2},
                                     {"address": f"http://127.0.0.1:{http}"}])
    strict = Door("strict", port, host="127.0.0.1")

    def wait_for_connections(count):
        """Those that have ended have left their places."""
        wait_until(lambda: metrics.value(metrics.read(f"http://127.0.0.1:{http}/metrics"), "petrel_listener_connections", listener=address) == count,
                   f"{count} connections are left")

    with PahoPeer(broker, name.client("free")) as free, PahoPeer(strict, name.client("bound")) as bound:
        assert bound.connack.MaximumQoS == 1
        assert bound.subscribe(name("t"), qos=2) == [1]
        free.publish(name("t"), b"2", qos=2)
        assert bound.take_one().qos == 1
        done = programs.publish(strict, "-V", "311", "-t", name("t"), "-m", "m", check=False)
        assert b"unacceptable protocol version" in done.stderr
        assert "does not speak that version" in broker.wait_log("connection refused.*version")
        at = len(broker.log())
        wait_for_connections(1)
        with PahoPeer(strict, name.client("second")):
            with socket.create_connection(("127.0.0.1", port), timeout=15) as third:
                assert third.recv(1) == b""
            broker.wait_log("connection refused.*max_connections", start=at)
    wait_for_connections(0)
    with PahoPeer(strict, name.client("loud")) as loud:
        loud.client.publish(name("t"), b"", qos=2)
        assert loud.ended.wait(15)


def test_a_unix_socket_is_made_and_removed(start_doors):
    doors = start_doors()
    assert doors.unix.is_socket()
    doors.broker.signal()
    assert doors.broker.wait() == 0
    assert not doors.unix.exists()


def test_mqttjs_refuses_a_broker_it_cannot_trust(doors, drive_node, name):
    with pytest.raises(Refused, match="certificate|signed"):
        drive_node(doors["wss"]).peer(name.client("n"), protocol="wss", path="/mqtt")
