"""Attacks on the doors: each is refused and logged, and the others are served meanwhile."""

import contextlib
import resource
import socket
import ssl
import subprocess
import time

import pytest

from broker_process import free_port, resident_factor, wait_until
from certificates import Authority, openssl
from doors import Door, Doors
from layers import frame, upgrade
from paho_peer import PahoPeer

pytestmark = pytest.mark.petrel_only
CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02at"


# The broker tells twenty lines of a kind in ten seconds. With so many tests each no test waits for its line.
TESTS_OF_A_BROKER = 15


@pytest.fixture(scope="module")
def attacked():
    """The doors in use, and how many tests have used them."""
    running = {"doors": None, "tests": 0}
    yield running
    running["doors"].broker.stop()


@pytest.fixture
def doors(attacked, tmp_path_factory, authority):
    if attacked["doors"] is None or attacked["tests"] == TESTS_OF_A_BROKER:
        if attacked["doors"]:
            attacked["doors"].broker.stop()
        attacked["doors"], attacked["tests"] = Doors(tmp_path_factory.mktemp("attacked"), authority, 2).start(), 0
    attacked["tests"] += 1
    return attacked["doors"]


@pytest.fixture
def served(doors, name):
    """Whoever behaves is served before and after the attack: through a connection that stays and through a new one."""
    with PahoPeer(doors["tcp"], name.client("stays")) as peer:
        peer.subscribe(name("t"), qos=1)
        yield
        for door in ("tcp", "tls", "ws"):
            with PahoPeer(doors[door], name.client(f"new-{door}")) as other:
                other.publish(name("t"), door.encode(), qos=1)
            assert peer.take_one().payload == door.encode()


def read_all(link):
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := link.recv(4096):
            answer += piece
    return answer


# --- TLS

def client_hello():
    """The first bytes of a client that speaks TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    side = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        side.do_handshake()
    return outgoing.read()


HALF_OPEN = 10_000
# What one of them may cost, mostly OpenSSL's.
HALF_OPEN_BYTES = 64_000
HALF_OPEN_S = 20


def test_ten_thousand_half_open_handshakes(start_broker, authority, name):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    certificate, key = authority.sign("broker")
    port = free_port()
    listener = {"address": f"tls://127.0.0.1:{port}", "certificate": certificate, "key": key, "max_handshakes": 20_000}
    broker = start_broker(f"limits.connect_timeout_s = {HALF_OPEN_S}\n", listeners=[listener])
    door = Door("tls", port, tls={"ca_certs": str(authority.file)})
    before, descriptors = broker.resident_bytes(), broker.descriptors()
    links = []
    try:
        with PahoPeer(door, name.client("stays")) as peer:
            peer.subscribe(name("t"), qos=1)
            half = client_hello()
            half = half[: len(half) // 2]
            begin = time.monotonic()
            for number in range(HALF_OPEN):
                link = socket.socket()
                links.append(link)
                link.connect(("127.0.0.1", port))
                link.send(half)
                if number % 1000 == 999:
                    # Where the system's queue is full, a connection is tried again after one second, two, four.
                    wait_until(lambda: broker.descriptors() > len(links), "those so far are accepted")
                    peer.publish(name("t"), b"%d" % number, qos=1)
                    assert peer.take_one().payload == b"%d" % number
            took = time.monotonic() - begin
            assert took < HALF_OPEN_S, "the test's machine is too slow for its timeout"
            wait_until(lambda: broker.descriptors() > HALF_OPEN, "all are open at once")
            # Not with Paho: select() knows no descriptors beyond a thousand.
            context = ssl.create_default_context(cafile=authority.file)
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=15), server_hostname="localhost") as link:
                link.sendall(CONNECT)
                assert link.recv(4) == b"\x20\x02\x00\x00"
                topic = name("t").encode()
                link.sendall(bytes([0x30, 2 + len(topic) + 7, 0, len(topic)]) + topic + b"crowded")
                assert peer.take_one().payload == b"crowded"
            cost = (broker.resident_bytes() - before) / HALF_OPEN
            assert cost < HALF_OPEN_BYTES * resident_factor(), f"{cost:.0f} bytes for each"
            wait_until(lambda: broker.descriptors() < descriptors + 20, "all are closed", HALF_OPEN_S + 20)
            broker.wait_log("connection refused.*no complete CONNECT within")
            peer.publish(name("t"), b"after", qos=1)
            assert peer.take_one().payload == b"after"
    finally:
        for link in links:
            link.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_handshakes_beyond_the_limit_are_refused(start_broker, authority, name):
    certificate, key = authority.sign("broker")
    port = free_port()
    listener = {"address": f"tls://127.0.0.1:{port}", "certificate": certificate, "key": key, "max_handshakes": 10}
    broker = start_broker("limits.connect_timeout_s = 5\n", listeners=[listener])
    with PahoPeer(broker, name.client("stays")) as peer, contextlib.ExitStack() as links:
        peer.subscribe(name("t"), qos=1)
        for _ in range(10):
            links.enter_context(socket.create_connection(("127.0.0.1", port), timeout=15))
        wait_until(lambda: broker.descriptors() >= 10, "they are open")
        with socket.create_connection(("127.0.0.1", port), timeout=15) as link:
            assert link.recv(1) == b""
        broker.wait_log("connection refused.*max_handshakes")
        peer.publish(name("t"), b"served", qos=1)
        assert peer.take_one().payload == b"served"
        broker.wait_log("connection refused.*no complete CONNECT within")
        door = Door("tls", port, tls={"ca_certs": str(authority.file)})
        with PahoPeer(door, name.client("after")) as other:
            other.publish(name("t"), b"after", qos=1)
        assert peer.take_one().payload == b"after"


def test_a_handshake_byte_by_byte_has_no_more_time_than_others(start_broker, authority, name):
    certificate, key = authority.sign("broker")
    port = free_port()
    listener = {"address": f"tls://127.0.0.1:{port}", "certificate": certificate, "key": key, "connect_timeout_s": 1}
    broker = start_broker(listeners=[listener])
    hello = client_hello()
    with socket.create_connection(("127.0.0.1", port), timeout=15) as link, PahoPeer(broker, name.client("stays")) as peer:
        peer.subscribe(name("t"), qos=1)
        link.settimeout(0.02)
        for number in range(len(hello)):
            try:
                link.send(hello[number : number + 1])
                if link.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError("the handshake was waited for")
        broker.wait_log("connection refused.*no complete CONNECT within")
        peer.publish(name("t"), b"served", qos=1)
        assert peer.take_one().payload == b"served"


def s_client(doors, *args, door="tls", given=b""):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{doors[door].port}", "-CAfile", str(doors.authority.file), *args]
    return subprocess.run(command, input=given, capture_output=True, timeout=15, check=False)


@pytest.mark.parametrize(
    "args,why",
    [
        (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "protocol"),
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "protocol"),
        # Without forward secrecy, without encryption, without authentication, with small blocks.
        (["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0"], "cipher"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:NULL-SHA256:@SECLEVEL=0"], "cipher"),
        (["-tls1_2", "-cipher", "AECDH-AES256-SHA:ADH-AES256-GCM-SHA384:@SECLEVEL=0"], "cipher"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], "cipher"),
        (["-tls1_2", "-fallback_scsv"], "fallback"),
    ],
)
def test_downgrades_are_refused(doors, served, args, why):
    at = len(doors.broker.log())
    done = s_client(doors, *args)
    assert done.returncode != 0 and b"Cipher is (NONE)" in done.stdout
    assert f"tls://127.0.0.1:{doors['tls'].port}" in doors.broker.wait_log(f"connection refused.*TLS handshake.*{why}", start=at)


def test_a_client_that_renegotiates_is_refused(doors, served):
    done = s_client(doors, "-tls1_2", given=b"R\n")
    assert done.returncode != 0 and b"renegotiation" in done.stderr


def test_a_client_notices_a_broker_of_another_name(doors, served):
    at = len(doors.broker.log())
    context = ssl.create_default_context(cafile=doors.authority.file)
    with socket.create_connection(("127.0.0.1", doors["tls"].port), timeout=15) as link:
        with pytest.raises(ssl.SSLCertVerificationError, match="[Hh]ostname mismatch"):
            context.wrap_socket(link, server_hostname="other.example")
    doors.broker.wait_log("connection refused.*TLS handshake", start=at)


def self_signed(folder):
    certificate, key = folder / "self.pem", folder / "self.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-days", 3,
            "-subj", "/CN=client", "-out", certificate)
    return certificate, key


def not_yet_valid(authority, folder):
    certificate, key, request = (folder / f"early.{kind}" for kind in ("pem", "key", "csr"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-subj", "/CN=client", "-out", request)
    config = folder / "early.conf"
    config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\ndefault_md=sha256\npolicy=p\nrand_serial=yes\n"
                      "[p]\ncommonName=supplied\n")
    (folder / "index").write_text("")
    openssl("ca", "-batch", "-config", config, "-keyfile", authority.key, "-cert", authority.file, "-in", request,
            "-startdate", "20980101000000Z", "-enddate", "20990101000000Z", "-notext", "-out", certificate)
    return certificate, key


@pytest.mark.parametrize("kind,why", [("revoked", "revoked"), ("early", "not yet valid"), ("self", "self.signed"), ("expired", "expired"),
                                      ("foreign", "certificate"), ("good", None)])
def test_certificates_that_prove_nothing(start_broker, tmp_path, authority, name, kind, why):
    own = Authority(tmp_path / "own")
    broker_files, client, revoked = own.sign("broker"), own.sign("client"), own.sign("revoked")
    shown = {
        "revoked": lambda: revoked,
        "early": lambda: not_yet_valid(own, tmp_path),
        "self": lambda: self_signed(tmp_path),
        "expired": lambda: own.sign("expired", days=-1),
        "foreign": lambda: authority.sign("client"),
        "good": lambda: client,
    }[kind]()
    port = free_port()
    listener = {"address": f"tls://127.0.0.1:{port}", "certificate": broker_files[0], "key": broker_files[1], "ca_file": own.file,
                "client_certificates": "required", "crl_file": own.revoke(revoked[0]), "allow_anonymous": False}
    broker = start_broker(listeners=[listener])
    context = ssl.create_default_context(cafile=own.file)
    context.load_cert_chain(*shown)
    with PahoPeer(broker, name.client("stays")) as peer:
        at = len(broker.log())
        answer = b""
        with contextlib.suppress(ssl.SSLError, ConnectionResetError, BrokenPipeError):
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=15), server_hostname="localhost") as link:
                link.sendall(CONNECT)
                answer = link.recv(4)
        assert answer == (b"\x20\x02\x00\x00" if why is None else b"")
        if why is not None:
            assert f"tls://127.0.0.1:{port}" in broker.wait_log(f"connection refused.*TLS handshake.*{why}", start=at)
        peer.subscribe(name("t"), qos=1)
        peer.publish(name("t"), b"served", qos=1)
        assert peer.take_one().payload == b"served"


# --- WebSocket

@pytest.mark.parametrize(
    "sent,code",
    [
        (b"\xa2\x80" + bytes(4), 1002),  # reserved bits
        (b"\x92\x80" + bytes(4), 1002),
        (b"\xc2\x80" + bytes(4), 1002),  # compressed, and nothing was agreed on
        (b"\x83\x80" + bytes(4), 1002),  # unknown kinds
        (b"\x8b\x80" + bytes(4), 1002),
        (b"\x09\x80" + bytes(4), 1002),  # a control frame in parts
        (b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002),  # and one that is too long
        (b"\x80\x80" + bytes(4), 1002),  # a continuation of nothing
        (b"\x02\x80" + bytes(4) + b"\x82\x80" + bytes(4), 1002),  # a message inside of another
        (b"\x82\xfe\x00\x01" + bytes(5), 1002),  # lengths with more bytes than they need
        (b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" + bytes(4), 1002),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" + bytes(4), 1002),  # a length beyond 63 bits
        (b"\x82\xff\x00\x00\x00\x00\x20\x00\x00\x00" + bytes(4), 1009),
        (frame(b"\x03", opcode=8), 1002),  # half a code, codes that may not be sent, a reason that is no text
        (frame(b"\x03\xed", opcode=8), 1002),
        (frame(b"\x03\xe8\xff\xfe", opcode=8), 1007),
    ],
)
def test_malformed_frames(doors, served, sent, code):
    at = len(doors.broker.log())
    with socket.create_connection(("127.0.0.1", doors["ws"].port), timeout=15) as link:
        assert upgrade(link).startswith("HTTP/1.1 101 ")
        link.sendall(sent)
        answer = read_all(link)
    assert answer[0] == 0x88 and int.from_bytes(answer[2:4], "big") == code, answer
    doors.broker.wait_log("connection refused.*WebSocket: ", start=at)


def test_an_oversized_packet_in_good_frames(doors, served):
    at = len(doors.broker.log())
    with socket.create_connection(("127.0.0.1", doors["ws"].port), timeout=15) as link:
        assert upgrade(link).startswith("HTTP/1.1 101 ")
        link.sendall(frame(CONNECT))
        assert link.recv(6)[2:] == b"\x20\x02\x00\x00"
        link.sendall(frame(b"\x30\xff\xff\xff\x7f"))
        read_all(link)
    doors.broker.wait_log("disconnected.*packet.*larger|too large|max_packet_bytes", start=at)


def test_a_foreign_page_gets_no_connection(doors, served):
    at = len(doors.broker.log())
    with socket.create_connection(("127.0.0.1", doors["pages"].port), timeout=15) as link:
        assert upgrade(link, "Origin: https://chat.example.evil").startswith("HTTP/1.1 403 ")
        assert read_all(link)
    doors.broker.wait_log("connection refused.*origin", start=at)


@pytest.mark.parametrize("door", ["ws", "http"])
def test_on_loopback_only_pages_of_this_machine_connect(doors, served, door):
    """Without a setting. Any page that a browser on this machine shows can reach this far."""
    for origin, status in (("https://chat.example.evil", "403"), ("null", "403"), ("http://localhost:3000", "101")):
        with socket.create_connection(("127.0.0.1", doors[door].port), timeout=15) as link:
            assert status in upgrade(link, f"Origin: {origin}").splitlines()[0], origin


# --- HTTP

HEAD = b"GET /healthz HTTP/1.1\r\nHost: b\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /healthz HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: b\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
        HEAD + b"Content-Length: +5\r\n\r\nhello",
        HEAD + b"Content-Length: 0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n",
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n",
        HEAD + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"X: a\r\n\tb\r\n\r\n",
        HEAD + b"X: a\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"X: a\x00b\r\n\r\n",
        HEAD + b": a\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        b" " + HEAD + b"\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /healthz\tHTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET http://b/healthz HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET b:80 HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1 \r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: b\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(2000)) + b"\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: b\r\n\r\n",
    ],
)
def test_smuggled_and_flooding_requests(doors, served, sent):
    """Refused with one answer that ends the connection: what follows is not taken for another request."""
    at = len(doors.broker.log())
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            link.sendall(sent + b"GET /readyz HTTP/1.1\r\nHost: b\r\n\r\n")
        answer = read_all(link)
    assert answer.count(b"HTTP/1.1 ") <= 1
    if answer:
        assert answer.split(b" ")[1] in (b"400", b"413", b"431", b"505") and b"\r\nConnection: close\r\n" in answer, answer
    doors.broker.wait_log("HTTP request refused", start=at)


@pytest.mark.parametrize(
    "path",
    [
        "/../outside", "/%2e%2e/outside", "/.%2e/outside", "/%252e%252e/outside", "/%c0%ae%c0%ae/outside", "/..%c0%afoutside",
        "/sub/../../outside", "/sub/%2e%2e/%2e%2e/outside", "/..%2foutside", "/..%5coutside", "/..\\outside", "/sub/..%00/outside",
        "/inside.txt%00.html", "/inside.txt%00", "/%00", "/up/outside", "/deep/outside", "/linked", "//outside", "///etc/passwd",
        "/.git/config", "/sub/.htpasswd", "/inside.txt/", "/inside.txt/..", "/%", "/%2", "/%zz", "/proc/self/environ", "/pipe",
    ],
)
def test_no_path_leads_out(doors, served, path):
    if not (doors.folder / "inside.txt").exists():
        (doors.folder / "inside.txt").write_text("inside")
        (doors.folder / "sub").mkdir()
        (doors.folder / "sub" / ".htpasswd").write_text("secret")
        (doors.folder / ".git").mkdir()
        (doors.folder / ".git" / "config").write_text("secret")
        (doors.folder.parent / "outside").write_text("secret")
        (doors.folder / "up").symlink_to(doors.folder.parent)
        (doors.folder / "deep").symlink_to("sub/../..")
        (doors.folder / "linked").symlink_to("../outside")
        subprocess.run(["mkfifo", doors.folder / "pipe"], check=True)
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = read_all(link)
    assert answer.split(b" ")[1] in (b"400", b"404") and b"secret" not in answer, answer


SLOW = 600


def test_slow_heads_end_in_time(doors, served):
    """More slow requests than connections are taken: the oldest make room for others, and none lasts for ever."""
    at = len(doors.broker.log())
    with contextlib.ExitStack() as stack, PahoPeer(doors["tcp"], "beside-slow") as peer:
        peer.subscribe("slow", qos=1)
        links = []
        for _ in range(SLOW):
            links.append(stack.enter_context(socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15)))
            links[-1].sendall(b"GET / HTTP/1.1\r\nX")
        doors.broker.wait_log("HTTP connection ended.*too many HTTP connections", start=at)
        with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
            link.sendall(HEAD + b"Connection: close\r\n\r\n")
            assert read_all(link).startswith(b"HTTP/1.1 200"), "served while they hold their places"
        peer.publish("slow", b"served", qos=1)
        assert peer.take_one().payload == b"served"
        for link in links:
            link.setblocking(False)

        def ended(link):
            try:
                link.send(b":")
                return link.recv(1) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True

        def all_ended():
            links[:] = [link for link in links if not ended(link)]
            return not links

        # They have ten seconds. A byte now and then must not buy time.
        wait_until(all_ended, "the slow ones end", 20, step_s=0.2)
