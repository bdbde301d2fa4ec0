"""The HTTP listener: health, metrics, files, MQTT.js, the start page in a browser, and what it refuses."""

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import metrics
from broker_process import free_port, wait_until
from doors import Doors
from paho_peer import PahoPeer

pytestmark = pytest.mark.petrel_only


@pytest.fixture(scope="module")
def doors(tmp_path_factory, authority):
    started = Doors(tmp_path_factory.mktemp("http"), authority, 2, config='[log]\nlevel = "debug"\n').start()
    yield started
    started.broker.stop()


@pytest.fixture
def get(doors):
    links = []

    def ask(path, method="GET", **headers):
        link = http.client.HTTPConnection("127.0.0.1", doors["http"].port, timeout=15)
        links.append(link)
        link.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        answer.body = answer.read()
        return answer

    yield ask
    for link in links:
        link.close()


def test_health_and_metrics(doors, get):
    assert get("/healthz").status == get("/readyz").status == 200
    with PahoPeer(doors["wss"], "measured") as peer:
        peer.publish("t", b"x" * 1000, qos=1)
        text = get("/metrics").body.decode()
    assert re.search(r"^petrel_clients_connected 1$", text, re.MULTILINE)
    assert int(re.search(r"^petrel_payload_received_bytes_total (\d+)$", text, re.MULTILINE)[1]) >= 1000
    assert f'petrel_listener_connections{{listener="wss://127.0.0.1:{doors["wss"].port}"}} 1\n' in text


def test_metrics_are_what_prometheus_reads(doors):
    page = f"{doors['http'].url}/metrics"
    listener = f"wss://127.0.0.1:{doors['wss'].port}"
    before = metrics.read(page)
    with PahoPeer(doors["wss"], "counted") as peer:
        peer.subscribe("counted", qos=1)
        for _ in range(5):
            peer.publish("counted", b"x" * 1000, qos=1)
        peer.payloads(5)
        least = {"messages_received_total": 5, "messages_sent_total": 5, "received_bytes_total": 5000, "sent_bytes_total": 5000,
                 "accepted_total": 1}

        def grown(families, name):
            return metrics.value(families, f"petrel_listener_{name}", listener=listener) - metrics.value(
                before, f"petrel_listener_{name}", listener=listener)

        def page_with_all():
            families = metrics.read(page)
            return families if all(grown(families, name) >= count for name, count in least.items()) else None

        # What is sent is counted when it has left: the client may have it a moment earlier.
        after = wait_until(page_with_all, f"grown by {least}")
    assert {sample.labels["reason"] for sample in after["petrel_dropped"].samples} == {
        "slow_reader", "queue_full", "expired", "outstayed", "too_large", "refused"}
    turns = after["petrel_loop_turn_seconds"]
    assert turns.type == "histogram" and {sample.labels["thread"] for sample in turns.samples} == {"0", "1"}
    assert after["petrel_store_commit_seconds"].type == "histogram"
    for family in after.values():
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family.name
        buckets = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                buckets.setdefault(sample.labels.get("thread"), []).append((float(sample.labels["le"]), sample.value))
        for thread, counts in buckets.items():
            assert counts == sorted(counts, key=lambda count: count[0]) and [n for _, n in counts] == sorted(n for _, n in counts)
            labels = {} if thread is None else {"thread": thread}
            assert counts[-1] == (float("inf"), metrics.value(after, f"{family.name}_count", **labels))


def test_commits_of_the_store_are_measured(start_broker, name):
    port = free_port()
    broker = start_broker(listeners=[{"address": f"http://127.0.0.1:{port}"}], store="rocksdb")
    with PahoPeer(broker, name.client("c"), clean=False, SessionExpiryInterval=60) as peer:
        peer.subscribe(name("t"), qos=1)
        peer.publish(name("t"), b"x", qos=1)
        peer.take_one()

    def page():
        """One between whose numbers nothing was committed: the end of the connection is."""
        families = metrics.read(f"http://127.0.0.1:{port}/metrics")
        counted = metrics.value(families, "petrel_store_commit_seconds_count")
        return families if counted == metrics.value(families, "petrel_store_commits_total") else None

    families = wait_until(page, "each commit has its time")
    assert metrics.value(families, "petrel_store_commits_total") > 0 and metrics.value(families, "petrel_store_log_bytes_total") > 0
    assert metrics.value(families, "petrel_store_commit_seconds_sum") > 0


def test_mqtt_js_with_its_licence(get):
    answer = get("/mqtt.js")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/javascript")
    assert b"MIT License" in answer.body[:1000] and len(answer.body) > 100_000
    assert get("/mqtt.js", If_None_Match=answer.headers["ETag"]).status == 304


def test_pages_come_compressed_to_those_who_take_it(get):
    plain, packed = get("/mqtt.js"), get("/mqtt.js", Accept_Encoding="gzip, deflate, br")
    assert plain.headers["Content-Encoding"] is None and packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 2
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert get("/mqtt.js", If_None_Match=packed.headers["ETag"]).status == 200
    unchanged = get("/mqtt.js", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
    assert unchanged.status == 304 and unchanged.headers["Vary"] == "Accept-Encoding" and unchanged.body == b""
    head = get("/mqtt.js", "HEAD", Accept_Encoding="gzip")
    assert head.headers["Content-Length"] == str(len(packed.body)) and head.body == b""
    part = get("/mqtt.js", Accept_Encoding="gzip", Range="bytes=10-19")
    assert part.status == 206 and part.body == packed.body[10:20] and part.headers["Content-Encoding"] == "gzip"
    assert get("/mqtt.js", Accept_Encoding="gzip;q=0").body == plain.body
    assert get("/mqtt.js", Accept_Encoding="identity;q=0, br").status == 406


def test_files_with_compressed_ones_beside_them(doors, get):
    text = b"<p>long</p>" * 1000
    (doors.folder / "page.html").write_bytes(text)
    (doors.folder / "page.html.gz").write_bytes(gzip.compress(text))
    (doors.folder / "page.html.br").write_bytes(b"as if by brotli")
    assert get("/page.html").body == text
    packed = get("/page.html", Accept_Encoding="gzip")
    assert gzip.decompress(packed.body) == text and packed.headers["Content-Type"].startswith("text/html")
    best = get("/page.html", Accept_Encoding="gzip, br")
    assert best.body == b"as if by brotli" and best.headers["Content-Encoding"] == "br"
    assert len({answer.headers["ETag"] for answer in (get("/page.html"), packed, best)}) == 3
    assert get("/page.html", Accept_Encoding="gzip", Range="bytes=1-3", If_Range=best.headers["ETag"]).status == 200
    assert get("/page.html.gz").headers["Content-Encoding"] is None
    # Another text, and the old one beside it.
    (doors.folder / "page.html").write_bytes(b"new")
    later = (doors.folder / "page.html.gz").stat().st_mtime + 10
    os.utime(doors.folder / "page.html", (later, later))
    assert get("/page.html", Accept_Encoding="gzip, br").body == b"new"


def test_files(doors, get):
    (doors.folder / "sub").mkdir(exist_ok=True)
    (doors.folder / "sub" / "index.html").write_text("<p>sub</p>")
    content = bytes(range(256)) * 8000
    (doors.folder / "large.bin").write_bytes(content)
    answer = get("/large.bin")
    assert answer.status == 200 and answer.body == content
    part = get("/large.bin", Range="bytes=1000-1999")
    assert part.status == 206 and part.body == content[1000:2000]
    assert get("/large.bin", "HEAD").headers["Content-Length"] == str(len(content))
    assert get("/sub").headers["Location"] == "/sub/" and get("/sub/").body == b"<p>sub</p>"
    assert get("/nothing").status == 404


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_an_upgrade_at_another_path_is_told_where_websocket_is(doors, get, path):
    at = len(doors.broker.log())
    answer = get(path, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==")
    assert answer.status == 404 and b"/mqtt" in answer.body
    doors.broker.wait_log("connection refused.*WebSocket handshake: another path", start=at)


@pytest.mark.parametrize("path", ["/../petrel.toml", "/%2e%2e/petrel.toml", "/sub/..%2f..%2fpetrel.toml", "/..%5cpetrel.toml", "/link", "/.env", "//etc/passwd"])
def test_no_path_leads_out(doors, get, path):
    link = doors.folder / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
        (doors.folder / ".env").write_text("secret")
    assert get(path).status in (400, 404)


@pytest.mark.parametrize(
    "request_text,status",
    [
        (b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", b"400"),
        (b"POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: b\n\n\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: b\r\n" + b"A: b\r\n" * 3000, b"431"),
        (b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab", b"400"),
    ],
)
def test_doubtful_requests_are_refused_and_the_connection_ends(doors, request_text, status):
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        link.sendall(request_text)
        answer = b""
        try:
            while piece := link.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
        assert answer.split(b" ")[1] == status and answer.count(b"HTTP/1.1") == 1


def test_many_requests_on_one_connection(doors):
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n" * 20 + b"GET /healthz HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := link.recv(4096):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == 21


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_http_1_0(doors, method):
    """The connection ends after the answer, unless it is asked otherwise."""
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        link.sendall(f"{method} /readyz HTTP/1.0\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: link.recv(4096), b""))
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and head.endswith(b"\r\nConnection: close")
    assert body == (b"ready\n" if method == "GET" else b"")
    with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
        asked = f"{method} /readyz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode()
        link.sendall(asked * 2 + asked.replace(b"keep-alive", b"close"))
        answer = b"".join(iter(lambda: link.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 3 and answer.count(b"\r\nConnection: keep-alive\r\n") == 2


def test_what_http_1_0_has_not(doors):
    for request_text, status, why in [
        (b"GET /mqtt HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", b"505", b"WebSocket needs HTTP/1.1"),
        (b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", b"413", b"body"),
        (b"GET / HTTP/1.2\r\nHost: b\r\n\r\n", b"505", b"1.1 or 1.0"),
        (b"DELETE / HTTP/1.0\r\n\r\n", b"405", b"only GET and HEAD"),
    ]:
        with socket.create_connection(("127.0.0.1", doors["http"].port), timeout=15) as link:
            link.sendall(request_text)
            answer = b"".join(iter(lambda: link.recv(4096), b""))
        assert answer.split(b" ")[1] == status and why in answer, answer


def ask(port, path, host, *headers):
    """The status and body of an answer; `host` None: without one, over HTTP/1.0."""
    lines = [f"GET {path} HTTP/1.{0 if host is None else 1}", "Connection: close", *headers] + ([] if host is None else [f"Host: {host}"])
    with socket.create_connection(("127.0.0.1", port), timeout=15) as link:
        link.sendall("\r\n".join([*lines, "", ""]).encode())
        head, body = b"".join(iter(lambda: link.recv(4096), b"")).split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), body


@pytest.mark.parametrize("path", ["/metrics", "/start.json", "/", "/index.html"])
def test_a_name_that_was_made_to_lead_here_is_told_nothing(doors, path):
    """DNS rebinding: to a browser the page of evil.example and this broker are one site."""
    port = doors["http"].port
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", ""):
        status, body = ask(port, path, host)
        assert status == 403 and b"origins" in body, host
    for origin in ("http://evil.example", "null"):
        status, body = ask(port, path, "localhost", f"Origin: {origin}")
        assert status == 403 and b"origins" in body, origin
    assert ask(port, "/readyz", "evil.example") == (200, b"ready\n")


def test_this_machine_is_answered_by_each_of_its_names(doors):
    port = doors["http"].port
    for host in ("localhost", f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"127.0.0.1:{port}", "[::1]", f"[::1]:{port}", "192.0.2.7",
                 "petrel.localhost", socket.gethostname(), None):
        assert ask(port, "/metrics", host)[0] == 200, host
    for origin in ("http://localhost:3000", "http://127.0.0.1", f"http://[::1]:{port}"):
        assert ask(port, "/start.json", "localhost", f"Origin: {origin}")[0] == 200, origin


def test_who_answers_other_names(start_broker):
    """By `origins`, behind a proxy that is trusted, and on other addresses."""
    ports = [free_port() for _ in range(4)]
    broker = start_broker(listeners=[
        {"address": f"http://127.0.0.1:{ports[0]}", "origins": ["https://chat.example"]},
        {"address": f"http://127.0.0.1:{ports[1]}", "origins": "*"},
        {"address": f"http://127.0.0.1:{ports[2]}", "trusted": "127.0.0.1", "allow_anonymous": False, "metrics": True},
        {"address": f"http://0.0.0.0:{ports[3]}", "allow_anonymous": False, "metrics": True},
    ])
    assert ask(ports[0], "/metrics", "chat.example")[0] == ask(ports[0], "/metrics", "localhost", "Origin: https://chat.example")[0] == 200
    assert ask(ports[0], "/metrics", "evil.example")[0] == 403
    broker.wait_log("HTTP request refused.*origins.*host=evil.example")
    for port in ports[1:]:
        assert ask(port, "/metrics", "evil.example")[0] == ask(port, "/metrics", "localhost", "Origin: http://evil.example")[0] == 200


ECHO_PAGE = """<!doctype html><title>echo</title><script src="/mqtt.js"></script><script>
const client = mqtt.connect(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`, { protocolVersion: 5 });
client.on("connect", async () => {
  await client.subscribeAsync("browser/in", { qos: 2 });
  await client.publishAsync("browser/ready", location.protocol, { qos: 1 });
});
client.on("message", (topic, payload) => client.publish("browser/out", payload, { qos: 2 }));
</script>"""


@pytest.fixture
def browse(tmp_path):
    """Opens a page in a headless Chromium, which ends with the test."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "chromium is not installed"
    running = []

    def open_page(url):
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--ignore-certificate-errors", "--remote-debugging-port=0", f"--user-data-dir={tmp_path}", url]
        with open(tmp_path / "browser.log", "wb") as log:
            running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    yield open_page
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


BROWSER_S = 60.0


@pytest.mark.parametrize("door", ["http", "https"])
def test_mqttjs_in_a_browser(doors, browse, door):
    (doors.folder / "echo.html").write_text(ECHO_PAGE)
    with PahoPeer(doors["tcp"], f"beside-{door}") as peer:
        peer.subscribe("browser/ready", qos=1)
        peer.subscribe("browser/out", qos=2)
        browse(f"{doors[door].url}/echo.html")
        assert peer.take_one(BROWSER_S).payload == f"{door}:".encode()
        listener = f"{door}://127.0.0.1:{doors[door].port}"
        compressing = metrics.value(metrics.read(f"{doors['http'].url}/metrics"), "petrel_listener_compressing_connections", listener=listener)
        assert compressing >= 1, "a browser offers compression by itself"
        payloads = [b"x" * size for size in (1, 126, 70_000)]
        peer.publish_all("browser/in", payloads, qos=2)
        assert peer.payloads(3, BROWSER_S) == payloads


def test_the_start_page_connects(doors, browse):
    browse(doors["http"].url + "/")
    line = doors.broker.wait_log("client connected client=start-page-", BROWSER_S)
    assert f"http://127.0.0.1:{doors['http'].port}" in line


def test_the_start_page_is_told_of_listeners(doors, get):
    values = json.loads(get("/start.json").body)
    assert values["path"] == "/mqtt"
    assert {"address": f"wss://127.0.0.1:{doors['wss'].port}", "path": "/mqtt"} in values["listeners"]
    assert {"address": f"tls://127.0.0.1:{doors['tls'].port}", "path": None} in values["listeners"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_start_page_learns_the_path(start_broker, authority, browse, scheme):
    port = free_port()
    certificate, key = authority.sign("broker")
    files = {"certificate": certificate, "key": key} if scheme == "https" else {}
    broker = start_broker('[log]\nlevel = "debug"\n', listeners=[{"address": f"{scheme}://127.0.0.1:{port}", "path": "/deep/path", **files}])
    browse(f"{scheme}://localhost:{port}/")
    broker.wait_log("client connected client=start-page-", BROWSER_S)
