"""The HTTP listener: health, metrics, files, MQTT.js, the start page in a browser, and what it refuses."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from doors import Doors
from paho_peer import PahoPeer

pytestmark = pytest.mark.petrel_only


@pytest.fixture(scope="module")
def doors(tmp_path_factory, authority):
    started = Doors(tmp_path_factory.mktemp("http"), authority, 2, config='[log]\nlevel = "debug"\n')
    started.broker.start()
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


def test_mqtt_js_with_its_licence(get):
    answer = get("/mqtt.js")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/javascript")
    assert b"MIT License" in answer.body[:1000] and len(answer.body) > 100_000
    assert get("/mqtt.js", If_None_Match=answer.headers["ETag"]).status == 304


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
        payloads = [b"x" * size for size in (1, 126, 70_000)]
        peer.publish_all("browser/in", payloads, qos=2)
        assert peer.payloads(3, BROWSER_S) == payloads


def test_the_start_page_connects(doors, browse):
    browse(doors["http"].url + "/")
    line = doors.broker.wait_log("client connected client=start-page-", BROWSER_S)
    assert f"http://127.0.0.1:{doors['http'].port}" in line
