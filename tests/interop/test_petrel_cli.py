"""petrel pub and petrel sub do what mosquitto_pub and mosquitto_sub do with the same flags.

Each test runs with every pairing of the two publishers and the two subscribers; what is expected is the same for all.
"""

import contextlib
import re
import socket
import subprocess
import time

import pytest

import programs
from broker_process import ROOT
from programs import Subscriber, publish, run_subscriber

PAIRS = [("mosquitto", "mosquitto"), ("petrel", "mosquitto"), ("mosquitto", "petrel"), ("petrel", "petrel")]
LEVELS = ["mqttv31", "mqttv311", "mqttv5"]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def pair(request, broker):
    """Publisher and subscriber programs, bound to the broker."""

    class Pair:
        publisher, subscriber = request.param

        def publish(self, *args, **more):
            return publish(broker, *args, kind=self.publisher, **more)

        def run_subscriber(self, *args, **more):
            return run_subscriber(broker, *args, kind=self.subscriber, **more)

        def subscribe(self, *args, **more):
            return Subscriber(broker, *args, kind=self.subscriber, **more)

    return Pair()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_levels_and_qos(pair, name, level, qos):
    with pair.subscribe("-V", level, "-q", qos, "-t", name("t")) as subscriber:
        pair.publish("-V", level, "-q", qos, "-t", name("t"), "-m", "hello")
        assert subscriber.line() == f"0|{qos}|{name('t')}|hello"


@pytest.mark.parametrize("level", ["31", "311", "5"])
def test_short_names_of_levels(pair, name, level):
    pair.publish("-V", level, "-r", "-q", "1", "-t", name("t"), "-m", "x")
    assert pair.run_subscriber("-V", level, "-t", name("t"), "-C", "1", "-W", "5").stdout == b"x\n"


def test_lines_of_standard_input(pair, name):
    lines = [f"line {index}" for index in range(50)]
    with pair.subscribe("-q", "1", "-t", name("t"), form="%p") as subscriber:
        pair.publish("-q", "1", "-t", name("t"), "-l", stdin="\n".join(lines).encode())
        assert subscriber.lines(50) == lines


def test_whole_standard_input(pair, name):
    with pair.subscribe("-q", "1", "-t", name("t"), form="%p") as subscriber:
        pair.publish("-q", "1", "-t", name("t"), "-s", stdin=b"first\nsecond")
        assert subscriber.lines(2) == ["first", "second"]


def test_file(pair, name, tmp_path):
    body = bytes(range(256)) * 1024
    (tmp_path / "body").write_bytes(body)
    pair.publish("-q", "1", "-r", "-t", name("t"), "-f", str(tmp_path / "body"))
    assert pair.run_subscriber("-t", name("t"), "-C", "1", "-N", "-W", "5").stdout == body


def test_verbose(pair, name):
    pair.publish("-q", "1", "-r", "-t", name("t"), "-m", "x")
    assert pair.run_subscriber("-v", "-t", name("t"), "-C", "1", "-W", "5").stdout.decode() == f"{name('t')} x\n"


def test_null_message_and_clearing(pair, name):
    pair.publish("-q", "1", "-r", "-t", name("t"), "-m", "x")
    pair.publish("-q", "1", "-r", "-t", name("t"), "-n")
    with pair.subscribe("-q", "1", "-t", name("t")) as subscriber:
        pair.publish("-q", "1", "-t", name("t"), "-n")
        assert subscriber.line() == f"0|1|{name('t')}|"


def test_count_ends_the_subscriber(pair, name):
    for index in range(3):
        pair.publish("-q", "1", "-r", "-t", name(str(index)), "-m", str(index))
    found = pair.run_subscriber("-t", name("+"), "-C", "2", "-W", "5")
    assert len(found.stdout.split()) == 2


def test_wait_ends_the_subscriber(pair, name):
    """-W without a message: status 27, as mosquitto_sub."""
    started = time.monotonic()
    found = pair.run_subscriber("-t", name("t"), "-W", "1", check=False)
    assert found.returncode == 27 and found.stdout == b""
    assert time.monotonic() - started >= 0.9


def test_persistent_session(pair, name):
    session = ["-i", name.client("s"), "-c", "-q", "1", "-t", name("t")]
    pair.run_subscriber(*session, "-E")
    pair.publish("-q", "1", "-t", name("t"), "-m", "kept")
    assert pair.run_subscriber(*session, "-C", "1", "-W", "5").stdout == b"kept\n"


def test_persistent_session_of_v5(pair, name):
    session = ["-V", "mqttv5", "-i", name.client("s"), "-c", "-q", "1", "-t", name("t")]
    pair.run_subscriber(*session, "-E")
    pair.publish("-q", "1", "-t", name("t"), "-m", "kept")
    assert pair.run_subscriber(*session, "-C", "1", "-W", "5").stdout == b"kept\n"


def test_count_leaves_the_rest_of_a_session_to_the_next_one(broker, name):
    """Messages that arrive behind the last one wanted are not acknowledged unprinted."""
    session = ["-i", name.client("s"), "-c", "-q", "1", "-t", name("t")]
    run_subscriber(broker, *session, "-E", kind="petrel")
    for index in range(5):
        publish(broker, "-q", "1", "-t", name("t"), "-m", f"kept-{index}", kind="petrel")
    for index in range(5):
        found = run_subscriber(broker, *session, "-C", "1", "-W", "5", kind="petrel")
        assert found.stdout.decode() == f"kept-{index}\n"


def test_publisher_is_kept_alive_while_it_waits(broker, name):
    """Neither a pause in the input nor a server with nothing to say ends the connection."""
    # Six seconds of silence end a connection, a ping comes after four: between them a machine may pause.
    command = programs.PUBLISHERS["petrel"] + programs.at(broker) + ["-k", "4", "-t", name("t")]
    ways = [
        ["-q", "1", "-l"],
        ["-m", "x", "--repeat", "21", "--repeat-delay", "0.5"],
        ["-q", "1", "-m", "x", "--repeat", "2", "--repeat-delay", "10"],
    ]
    with contextlib.ExitStack() as stack:
        slow, *others = [
            stack.enter_context(subprocess.Popen([*command, *way], stdin=subprocess.PIPE, stderr=subprocess.PIPE)) for way in ways
        ]
        slow.stdin.write(b"first\n")
        slow.stdin.flush()
        for other in others:
            assert other.communicate(timeout=programs.TIMEOUT_S) == (None, b"") and other.returncode == 0
        assert slow.communicate(b"last\n", timeout=programs.TIMEOUT_S) == (None, b"")
        assert slow.returncode == 0


@pytest.mark.parametrize("kind", ["mosquitto", "petrel"])
def test_mistakes_are_told_before_connecting(broker, name, kind):
    for flags in (
        ["-f", "/nonexistent/file"],
        ["-V", "mqttv5", "-m", "x", "-D", "pubish", "content-type", "text"],
        ["-V", "mqttv5", "-m", "x", "-D", "connect", "receive-maximum", "70000"],
    ):
        done = publish(broker, "-t", name("t"), *flags, kind=kind, check=False)
        assert done.returncode == 1 and done.stderr


def test_will(pair, name):
    with pair.subscribe("-q", "1", "-t", name("will")) as watcher:
        will = ["--will-topic", name("will"), "--will-payload", "lost", "--will-qos", "1"]
        with pair.subscribe(*will, "-t", name("other"), "-k", "30"):
            pass
        assert watcher.line() == f"0|1|{name('will')}|lost"


def test_retained_will(pair, name):
    with pair.subscribe("-t", name("will")) as watcher:
        will = ["--will-topic", name("will"), "--will-payload", "lost", "--will-retain"]
        with pair.subscribe(*will, "-t", name("other")):
            pass
        watcher.line()
    assert pair.run_subscriber("-t", name("will"), "-C", "1", "-F", "%r %p", "-W", "5").stdout == b"1 lost\n"


def test_properties(pair, name):
    subscribe = ["-V", "mqttv5", "-q", "1", "-t", name("t"), "-D", "subscribe", "subscription-identifier", "9"]
    with pair.subscribe(*subscribe, form="%P#%R#%D#%C#%S#%p") as subscriber:
        pair.publish(
            "-V", "mqttv5", "-q", "1", "-t", name("t"), "-m", "body",
            "-D", "publish", "user-property", "b", "2",
            "-D", "publish", "user-property", "a", "1",
            "-D", "publish", "response-topic", name("answer"),
            "-D", "publish", "correlation-data", "number7",
            "-D", "publish", "content-type", "text/plain",
            "-D", "publish", "message-expiry-interval", "100",
        )  # fmt: skip
        users, answer, correlation, content, identifier, body = subscriber.line().split("#")
    assert users.split() == ["b:2", "a:1"]
    assert (answer, correlation, content) == (name("answer"), "number7", "text/plain")
    assert (identifier, body) == ("9", "body")


def test_format_of_lengths_and_bytes(pair, name):
    pair.publish("-q", "1", "-r", "-t", name("t"), "-m", "Az~")
    found = pair.run_subscriber("-q", "1", "-t", name("t"), "-C", "1", "-W", "5", "-F", r"%l %x %X %q %r %% \t %t")
    assert found.stdout.decode() == f"3 417a7e 417A7E 1 1 % \t {name('t')}\n"


def test_user_name_and_password_are_sent(pair, name):
    """Anonymous access lets any name in; a password without a name is a mistake of the command line in 3.1.1."""
    pair.publish("-q", "1", "-r", "-u", "someone", "-P", "secret", "-t", name("t"), "-m", "x")
    found = pair.run_subscriber("-u", "someone", "-P", "secret", "-t", name("t"), "-C", "1", "-W", "5")
    assert found.stdout == b"x\n"


def test_several_topics(pair, name):
    with pair.subscribe("-q", "1", "-t", name("a"), "-t", name("b/#")) as subscriber:
        for topic in ("a", "c", "b/x"):
            pair.publish("-q", "1", "-t", name(topic), "-m", topic)
        assert [line.split("|")[3] for line in subscriber.lines(2)] == ["a", "b/x"]


@pytest.mark.parametrize("kind", ["mosquitto", "petrel"])
@pytest.mark.parametrize("wrong", [["-m", "x"], ["-t", "a"], ["-t", "a/+", "-m", "x"], ["-t", "a", "-m", "x", "-q", "3"],
                                   ["-t", "a", "-m", "x", "--no-such-flag"], ["-t", "a", "-m", "x", "-V", "9"]])  # fmt: skip
def test_wrong_command_line_of_publisher(broker, kind, wrong):
    done = publish(broker, *wrong, kind=kind, check=False)
    assert done.returncode not in (0, -6, -11) and done.stderr + done.stdout


@pytest.mark.parametrize("kind", ["mosquitto", "petrel"])
def test_nobody_listens(broker, kind):
    class Nobody:
        host, port = broker.host, 1

    done = publish(Nobody, "-t", "t", "-m", "x", kind=kind, check=False)
    assert done.returncode not in (0, -6, -11) and b"refused" in (done.stderr + done.stdout).lower()


@pytest.mark.petrel_only
@pytest.mark.parametrize("command", [[], ["serve"], ["pub"], ["sub"], ["bench"], ["check-config"]])
def test_help(command):
    done = subprocess.run([programs.binary(), *command, "--help"], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0 and "petrel" in done.stdout.lower() and not done.stderr


FLAG = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")


def flags_of_help():
    found = set()
    for command in ["serve", "pub", "sub", "bench", "check-config"]:
        done = subprocess.run([programs.binary(), command, "--help"], capture_output=True, text=True, timeout=10, check=True)
        for line in done.stdout.splitlines():
            if re.match(r"  +-|-D, ", line):
                found |= set(FLAG.findall(re.split(r"\s{2,}", line.strip())[0]))
    return found


@pytest.mark.petrel_only
def test_manual_page_names_exactly_the_flags_there_are():
    page = (ROOT / "packaging" / "man" / "petrel.1").read_text().replace("\\-", "-")
    described = set()
    for entry in re.findall(r"^\.TP\n\.BR? (.*)$", page, re.MULTILINE):
        described |= set(FLAG.findall(entry))
    assert described - flags_of_help() == set(), "described, but there is no such flag"
    assert flags_of_help() - described == set(), "not described"


def test_retained_only_ends_at_the_first_live_message(pair, name):
    with pair.subscribe("--retained-only", "-q", "1", "-t", name("t"), form="%p") as subscriber:
        pair.publish("-q", "1", "-t", name("t"), "-m", "live")
        assert subscriber.wait() == 0


def test_a_timeout_bounds_the_wait_for_a_silent_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        command = [*programs.SUBSCRIBERS["petrel"], "-p", port, "-t", "t", "-W", "1"]
        assert subprocess.run(command, capture_output=True, timeout=8, check=False).returncode == 27


def packets(output, client):
    """What -d tells of the packets: "sending CONNECT" and so on. Petrel tells more of each in words of its own."""
    return re.findall(rf"^Client {client} ((?:sending|received) [A-Z]+)", output.decode(), re.MULTILINE)


@pytest.mark.parametrize("kind", ["mosquitto", "petrel"])
@pytest.mark.parametrize(
    "qos,answers",
    [("0", []), ("1", ["received PUBACK"]), ("2", ["received PUBREC", "sending PUBREL", "received PUBCOMP"])],
)
def test_debug_shows_the_packets_of_a_publisher(broker, name, kind, qos, answers):
    done = publish(broker, "-d", "-i", name.client("p"), "-q", qos, "-t", name("t"), "-m", "hello", kind=kind)
    assert packets(done.stdout, name.client("p")) == ["sending CONNECT", "received CONNACK", "sending PUBLISH", *answers, "sending DISCONNECT"]
    assert f"'{name('t')}'" in done.stdout.decode() and "5 bytes" in done.stdout.decode()
    assert done.stderr == b""


@pytest.mark.parametrize("kind", ["mosquitto", "petrel"])
def test_debug_shows_the_packets_of_a_subscriber_between_its_messages(broker, name, kind):
    publish(broker, "-r", "-q", "1", "-t", name("t"), "-m", "hello")
    done = run_subscriber(broker, "-d", "-i", name.client("s"), "-q", "1", "-t", name("t"), "-C", "1", kind=kind)
    expected = ["sending CONNECT", "received CONNACK", "sending SUBSCRIBE", "received SUBACK", "received PUBLISH", "sending PUBACK", "sending DISCONNECT"]
    assert packets(done.stdout, name.client("s")) == expected
    before, _, after = done.stdout.partition(b"\nhello\n")
    assert b"received PUBLISH" in before and b"sending DISCONNECT" in after
    assert done.stderr == b""


def test_debug_of_petrel_tells_what_is_in_the_packets(broker, name):
    done = publish(broker, "-d", "-V", "5", "-t", name("nobody"), "-m", "hi", "-q", "1", "-r", kind="petrel")
    first, second, *rest = done.stdout.decode().splitlines()
    assert first == "Client sending CONNECT (MQTT 5.0, clean 1, keep alive 60 s)"
    assert re.fullmatch(r"Client received CONNACK \(success, session present 0, client id '.+'\)", second)
    topic = name("nobody")
    assert rest == [
        f"Client sending PUBLISH (dup 0, QoS 1, retain 1, id 1, '{topic}', 2 bytes)",
        "Client received PUBACK (id 1, no matching subscribers)",
        "Client sending DISCONNECT",
    ]
