"""Behind proxies: the PROXY protocol by hand and by HAProxy, X-Forwarded-For, and mount points of tenants."""

import os
import shutil
import socket
import ssl

import pytest

import programs
from broker_process import free_port, wait_until
from doors import Door
from layers import frame, upgrade
from packet_socket import CONNECT, packet, string
from paho_peer import V5, V311, PahoPeer
from proxies import HaProxy, certificate_tlv, header_v2

pytestmark = pytest.mark.petrel_only

BEHIND = {"trusted": ["127.0.0.1"], "allow_anonymous": True}
PROXIED = {"proxy_protocol": True, **BEHIND}
DEBUG = ["--log-level", "debug"]


def connect_packet(client_id):
    return packet(CONNECT, 0, string("MQTT") + b"\x04\x02\x00\x3c" + string(client_id))


def connect(link, client_id):
    link.sendall(connect_packet(client_id))


def dial(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=15, source_address=(source, 0))


def let_in(link):
    return link.recv(4) == b"\x20\x02\x00\x00"


def ended(link):
    try:
        while link.recv(100):
            pass
    except ConnectionError:
        pass
    return True


def open_websocket(link, *headers):
    head = upgrade(link, *headers)
    assert head.startswith("HTTP/1.1 101 "), head


def connect_in_frame(link, client_id):
    link.sendall(frame(connect_packet(client_id)))
    assert link.recv(6) == b"\x82\x04\x20\x02\x00\x00"


@pytest.fixture
def behind(start_broker, authority):
    """A broker with proxied listeners of several kinds; their ports."""
    certificate, key = authority.sign("broker")
    served = {"certificate": certificate, "key": key}
    kinds = {
        "tcp": ("tcp", PROXIED),
        "hasty": ("tcp", {**PROXIED, "connect_timeout_s": 2}),
        "named": ("tcp", {**PROXIED, "client_certificates": "optional"}),
        "strict": ("tcp", {**PROXIED, "client_certificates": "required"}),
        "tls": ("tls", {**PROXIED, **served}),
        "ws": ("ws", PROXIED),
        "http": ("http", PROXIED),
        "foreign": ("tcp", {**PROXIED, "trusted": ["192.0.2.0/24"]}),
        "told": ("ws", BEHIND),
        "told-http": ("http", {**BEHIND, "forwarded_header": "forwarded"}),
    }
    ports = {kind: free_port() for kind in kinds}
    listeners = [{"address": f"{scheme}://127.0.0.1:{ports[kind]}", **keys} for kind, (scheme, keys) in kinds.items()]
    return start_broker(args=DEBUG, listeners=listeners), ports


V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n"
HEADERS = {
    "v1": (V1, "192.0.2.7:4711"),
    "v1-ip6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 1883\r\n", "[2001:db8::7]:4711"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None),
    "v2": (header_v2("192.0.2.7", 4711), "192.0.2.7:4711"),
    "v2-ip6": (header_v2("2001:db8::7", 4711, socket.AF_INET6), "[2001:db8::7]:4711"),
    "v2-local": (header_v2("192.0.2.7", 4711, command=0x20), None),
}


@pytest.mark.parametrize("header", HEADERS)
def test_the_address_that_the_header_tells(behind, name, header):
    broker, ports = behind
    sent, told = HEADERS[header]
    with dial(ports["tcp"]) as link:
        link.sendall(sent)
        connect(link, name.client("c"))
        assert let_in(link)
        address = told or "127.0.0.1:%d" % link.getsockname()[1]
        assert f"address={address} " in broker.wait_log(f"client connected.*{name.client('c')}").replace('"', "")


@pytest.mark.parametrize("sent", [V1, header_v2("192.0.2.7", 4711, tlvs=certificate_tlv(b"x" * 300))])
def test_a_header_in_any_pieces_and_with_what_follows(behind, name, sent):
    broker, ports = behind
    body = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
    whole = sent + b"\x10" + bytes([len(body)]) + body
    with dial(ports["tcp"]) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            link.sendall(whole[at : at + 1])
        assert let_in(link)
    broker.wait_log("client connected.*192.0.2.7:4711")


@pytest.mark.parametrize(
    "door,sent,why",
    [
        ("tcp", b"\x10\x0e\x00\x04MQTT", "does not begin with one"),
        ("tls", b"\x16\x03\x01\x02\x00", "does not begin with one"),
        ("http", b"GET / HTTP/1.1\r\n\r\n", "does not begin with one"),
        ("tcp", b"PROXY TCP4 1 2 3 4\r\n", "address that is none"),
        ("tcp", b"PROXY " + b"x" * 200, "107"),
        ("tcp", header_v2("192.0.2.7", 1)[:14] + b"\xff\xff", "larger than"),
        ("tcp", header_v2("192.0.2.7", 1, tlvs=b"\x03\x00\x04abcd"), "CRC32C"),
        ("foreign", V1, "not among those of trusted"),
        ("hasty", V1[:20], "connect_timeout_s"),
    ],
)
def test_a_wrong_header_is_closed_and_the_log_says_why(behind, door, sent, why):
    broker, ports = behind
    with dial(ports[door]) as link:
        link.sendall(sent)
        assert ended(link)
        line = broker.wait_log(f"connection refused.*{why}")
        assert f"127.0.0.1:{link.getsockname()[1]}" in line and f":{ports[door]} " in line


def test_the_header_and_the_handshake_share_their_time(behind):
    broker, ports = behind
    with dial(ports["hasty"]) as link:
        link.sendall(V1)
        assert ended(link)
    broker.wait_log("connection refused.*192.0.2.7:4711.*no complete CONNECT")


def test_a_proxy_that_only_looks_is_not_worth_a_line(behind, name):
    broker, ports = behind
    dial(ports["tcp"]).close()
    with dial(ports["tcp"]) as link:
        link.sendall(V1)
        connect(link, name.client("c"))
        assert let_in(link)
    refusals = [line for line in broker.log().splitlines() if "connection refused" in line]
    assert not [line for line in refusals if f":{ports['tcp']} " in line], refusals


def test_the_header_comes_before_tls_and_websocket(behind, name, authority):
    broker, ports = behind
    context = ssl.create_default_context(cafile=authority.file)
    with dial(ports["tls"]) as plain:
        plain.sendall(V1)
        with context.wrap_socket(plain, server_hostname="localhost") as link:
            connect(link, name.client("tls"))
            assert let_in(link)
    assert "192.0.2.7:4711" in broker.wait_log(f"client connected.*{name.client('tls')}")
    for door in ("ws", "http"):
        with dial(ports[door]) as link:
            link.sendall(header_v2("192.0.2.7", 4711))
            open_websocket(link)
            connect_in_frame(link, name.client(door))
        assert "192.0.2.7:4711" in broker.wait_log(f"client connected.*{name.client(door)}")
    # A proxy that is trusted may itself be reached through one of HTTP: what PROXY names is no proxy here.
    with dial(ports["ws"]) as link:
        link.sendall(V1)
        open_websocket(link, "X-Forwarded-For: 203.0.113.66")
        connect_in_frame(link, name.client("both"))
    assert "192.0.2.7:4711" in broker.wait_log(f"client connected.*{name.client('both')}")


def test_the_certificate_that_a_proxy_has_verified(behind, name):
    broker, ports = behind
    told = header_v2("192.0.2.7", 4711, tlvs=certificate_tlv(b"device 7"))
    for door, sent, wanted in [
        ("named", told, 'name="device 7"'),
        ("tcp", told, 'name=""'),
        ("named", header_v2("192.0.2.7", 4711, tlvs=certificate_tlv(b"device 7", verify=1)), 'name=""'),
        ("strict", told, 'name="device 7"'),
    ]:
        at = len(broker.log())
        with dial(ports[door]) as link:
            link.sendall(sent)
            connect(link, name.client("c"))
            assert let_in(link)
        assert wanted in broker.wait_log(f"client connected.*{name.client('c')}", start=at)
    with dial(ports["strict"]) as link:
        link.sendall(V1)
        connect(link, name.client("c"))
        assert link.recv(4) == b"\x20\x02\x00\x05"
    broker.wait_log("connection refused.*does not admit anonymous")


@pytest.mark.parametrize(
    "door,header,address",
    [
        ("told", "X-Forwarded-For: 203.0.113.66, 192.0.2.7, 127.0.0.1", "192.0.2.7"),
        ("told", "X-Forwarded-For: nobody", None),
        ("told", "Forwarded: for=192.0.2.7", None),
        ("told-http", 'Forwarded: for=203.0.113.66, for="[2001:db8::7]:4711"', "[2001:db8::7]:4711"),
        ("told-http", "X-Forwarded-For: 192.0.2.7", None),
    ],
)
def test_the_address_that_http_tells(behind, name, door, header, address):
    broker, ports = behind
    with dial(ports[door]) as link:
        open_websocket(link, header)
        connect_in_frame(link, name.client("c"))
        address = address or "127.0.0.1:%d" % link.getsockname()[1]
    line = broker.wait_log(f"client connected.*{name.client('c')}").replace('"', "")
    assert f"address={address} " in line


def test_haproxy(behind, name, tmp_path, authority):
    broker, ports = behind
    certificate, key = authority.sign("front")
    (tmp_path / "front.pem").write_text(certificate.read_text() + key.read_text())
    shown, shown_key = authority.sign("device-7")
    ends_tls = f"ssl crt {tmp_path / 'front.pem'} ca-file {authority.file} verify optional"
    roads = {
        "v1": ("", ports["tcp"], "send-proxy", "tcp"),
        "v2": ("", ports["tcp"], "send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 200ms", "tcp"),
        "through": ("", ports["tls"], "send-proxy-v2", "tcp"),
        "named": (ends_tls, ports["named"], "send-proxy-v2-ssl-cn proxy-v2-options authority,ssl,cert-cn,crc32c", "tcp"),
        "web": ("", ports["told"], "", "http"),
    }
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(shown, shown_key)
    with HaProxy(tmp_path, roads) as proxy:
        for road in roads:
            # Another address of this machine than the proxy's own.
            with dial(proxy.ports[road], "127.0.0.2") as plain:
                link = context.wrap_socket(plain, server_hostname="localhost") if road in ("through", "named") else plain
                if road == "web":
                    open_websocket(link)
                    connect_in_frame(link, name.client(road))
                else:
                    connect(link, name.client(road))
                    assert let_in(link)
                port = plain.getsockname()[1] if road not in ("through", "named") else link.getsockname()[1]
                link.close()
            line = broker.wait_log(f"client connected.*{name.client(road)}").replace('"', "")
            assert ("address=127.0.0.2 " if road == "web" else f"address=127.0.0.2:{port} ") in line
            assert ("name=device-7 " in line) == (road == "named"), line
        through = Door("v2", proxy.ports["v2"], host="127.0.0.1")
        with PahoPeer(through, name.client("in")) as inside, PahoPeer(broker, name.client("out")) as outside:
            inside.subscribe(name("t"), qos=2)
            payloads = [b"x" * size for size in (0, 1, 5_000, 300_000)]
            outside.publish_all(name("t"), payloads, qos=2)
            assert inside.payloads(len(payloads)) == payloads


@pytest.fixture
def tenants(start_broker):
    ports = {kind: free_port() for kind in ("a", "also-a", "b")}
    mounts = {"a": "tenants/a/", "also-a": "tenants/a/", "b": "tenants/b/"}
    listeners = [{"address": f"tcp://127.0.0.1:{ports[kind]}", "mount_point": mounts[kind]} for kind in ports]
    broker = start_broker(listeners=listeners)
    return broker, {kind: Door(kind, port, host="127.0.0.1") for kind, port in ports.items()}


@pytest.mark.parametrize("version", [V311, V5])
def test_tenants_do_not_see_each_other(tenants, version):
    broker, doors = tenants
    with PahoPeer(broker, "all", version=version) as everything, PahoPeer(doors["a"], "same", version=version) as a:
        with PahoPeer(doors["b"], "same", version=version) as b, PahoPeer(doors["also-a"], "other", version=version) as also_a:
            everything.subscribe("#", qos=2)
            for peer in (a, b, also_a):
                peer.subscribe("#", qos=2)
            for qos in (0, 1, 2):
                a.publish_all(f"t/{qos}", [b"from a"], qos=qos)
                for peer, topic in [(a, f"t/{qos}"), (also_a, f"t/{qos}"), (everything, f"tenants/a/t/{qos}")]:
                    message = peer.take_one()
                    assert (message.topic, message.payload, message.qos) == (topic, b"from a", qos)
            b.publish_all("own", [b"from b"], qos=1)
            assert b.take_one().topic == "own", "what a has sent would have come before"
            everything.publish_all("tenants/b/told", [b""], qos=1)
            assert b.take_one().topic == "told"


def test_a_tenants_will_retained_and_waiting_messages(tenants):
    _, doors = tenants
    with PahoPeer(doors["a"], "lasting", version=V311, clean=False) as lasting:
        lasting.subscribe("#", qos=1)
    will = {"topic": "gone", "payload": b"will", "qos": 1, "retain": True}
    with PahoPeer(doors["also-a"], "heir", version=V311) as heir:
        heir.subscribe("gone", qos=1)
        PahoPeer(doors["a"], "mortal", version=V311, will=will).connect().drop()
        assert heir.take_one().payload == b"will"
    with PahoPeer(doors["b"], "lasting", version=V311, clean=False) as stranger:
        assert not stranger.session_present
        stranger.subscribe("#", qos=1)
        stranger.publish_all("mine", [b"x"], qos=1)
        assert stranger.take_one().topic == "mine"
    done = programs.run_subscriber(doors["also-a"], "-t", "+", "-C", "1", "-F", "%r %t %p")
    assert done.stdout == b"1 gone will\n"
    with PahoPeer(doors["also-a"], "lasting", version=V311, clean=False) as back:
        assert back.take_one().topic == "gone"


def test_tenants_have_no_sys(tenants):
    _, doors = tenants
    done = programs.run_subscriber(doors["a"], "-V", "5", "-t", "$SYS/#", "-W", "5", check=False)
    assert b"All subscription requests were denied" in done.stderr
    done = programs.publish(doors["a"], "-V", "5", "-t", "$SYS/x", "-m", "m", "-q", "1", check=False)
    assert b"uthorized" in done.stdout + done.stderr


def test_several_listeners_and_ipv6(start_broker, name):
    ports = [free_port() for _ in range(4)]
    listeners = [
        {"address": f"tcp://[::1]:{ports[0]}"},
        {"address": f"ws://[::1]:{ports[1]}"},
        {"address": f"tcp://127.0.0.1:{ports[2]}", "max_qos": 0},
        {"address": f"tcp://[::1]:{ports[3]}", "proxy_protocol": True, "trusted": ["::1"], "allow_anonymous": True},
    ]
    broker = start_broker(args=DEBUG, listeners=listeners)
    plain, web, bound = (Door("d", port, host=host) for port, host in zip(ports, ["::1", "::1", "127.0.0.1"]))
    web.transport = "websockets"
    with PahoPeer(plain, name.client("plain")) as inside, PahoPeer(web, name.client("web")) as page:
        with PahoPeer(bound, name.client("bound")) as slow:
            assert slow.connack.MaximumQoS == 0
            for peer in (inside, page, slow):
                peer.subscribe(name("t"), qos=2)
            page.publish_all(name("t"), [b"m"], qos=2)
            assert [peer.take_one().qos for peer in (inside, page, slow)] == [2, 2, 0]
    assert "address=[::1]:" in broker.wait_log(f"client connected.*{name.client('plain')}").replace('"', "")
    with socket.create_connection(("::1", ports[3]), timeout=15) as link:
        link.sendall(header_v2("2001:db8::7", 4711, socket.AF_INET6))
        connect(link, name.client("proxied"))
        assert let_in(link)
    broker.wait_log(r"client connected.*\[2001:db8::7\]:4711")


# --- files that change


@pytest.fixture
def watched(start_broker, authority, tmp_path):
    """A broker whose files lie as Kubernetes mounts them; swap() puts others there at once."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def swap(certificate, key):
        version = mount / f"..{len(os.listdir(mount))}"
        version.mkdir()
        shutil.copy(certificate, version / "tls.crt")
        shutil.copy(key, version / "tls.key")
        (mount / "..data_tmp").symlink_to(version.name)
        (mount / "..data_tmp").rename(mount / "..data")

    swap(*authority.sign("first"))
    for file in ("tls.crt", "tls.key"):
        (mount / file).symlink_to(f"..data/{file}")
    port = free_port()
    keys = {"certificate": mount / "tls.crt", "key": mount / "tls.key"}
    broker = start_broker(listeners=[{"address": f"tls://127.0.0.1:{port}", **keys}])
    return broker, port, mount, swap


def subject(port, authority):
    context = ssl.create_default_context(cafile=authority.file)
    with context.wrap_socket(dial(port), server_hostname="localhost") as link:
        return dict(part[0] for part in link.getpeercert()["subject"])["commonName"]


def test_a_swapped_folder_is_read_and_nobody_is_dropped(watched, authority, name):
    broker, port, _, swap = watched
    assert subject(port, authority) == "first"
    door = Door("tls", port, tls={"ca_certs": str(authority.file)})
    with PahoPeer(door, name.client("stays")) as stays:
        for number in range(2):
            at = len(broker.log())
            swap(*authority.sign(f"next{number}"))
            broker.wait_log("listener reloaded.*files have changed", start=at)
            assert subject(port, authority) == f"next{number}"
        stays.subscribe(name("t"), qos=1)
        stays.publish_all(name("t"), [b"still here"], qos=1)
        assert stays.take_one().payload == b"still here"


def test_a_half_written_file_changes_nothing_and_is_tried_again(watched, authority):
    broker, port, mount, _ = watched
    certificate, key = authority.sign("second")
    whole = certificate.read_bytes()
    at = len(broker.log())
    (mount / "tls.crt").write_bytes(whole[: len(whole) // 2])
    broker.wait_log("listener not reloaded.*tls.crt", start=at)
    assert subject(port, authority) == "first"
    at = len(broker.log())
    (mount / "tls.crt").write_bytes(whole)
    broker.wait_log("listener not reloaded.*key", start=at)
    assert subject(port, authority) == "first"
    at = len(broker.log())
    (mount / "tls.key").write_bytes(key.read_bytes())
    broker.wait_log("listener reloaded", start=at)
    assert subject(port, authority) == "second"


@pytest.mark.parametrize("check", ["option httpchk", "option httpchk GET /readyz"])
def test_haproxy_asks_for_health(start_broker, tmp_path, check):
    """Over HTTP/1.0 and without a Host, as it does without further settings."""
    port = free_port()
    broker = start_broker(listeners=[{"address": f"http://127.0.0.1:{port}"}])
    with HaProxy(tmp_path / "haproxy", {"web": ("", port, "", "http")}, {"web": check}) as proxy:
        wait_until(lambda: proxy.check_of("web") == ("UP", "L7OK", "200"), "the broker is seen to be well")
        broker.stop()
        wait_until(lambda: proxy.check_of("web")[0] == "DOWN", "the end of the broker is noticed")
