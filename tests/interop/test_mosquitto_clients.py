"""mosquitto_pub and mosquitto_sub through the broker, in all three protocol levels."""

import shutil
import signal
import subprocess

import pytest

import programs
from programs import Subscriber, publish, run_subscriber

LEVELS = ["mqttv31", "mqttv311", "mqttv5"]


# mosquitto 2.0 exceeds the Receive Maximum of mosquitto_sub with QoS 2 in v5, which then leaves.
EVERY_QOS = [(level, qos) for level in LEVELS for qos in "012" if (level, qos) != ("mqttv5", "2")]
EVERY_QOS.append(pytest.param("mqttv5", "2", marks=pytest.mark.petrel_only))


@pytest.mark.parametrize("level,qos", EVERY_QOS)
def test_lines_arrive_once_and_in_order(broker, name, level, qos):
    lines = [f"line {index}" for index in range(200)]
    with Subscriber(broker, "-V", level, "-q", qos, "-t", name("t")) as subscriber:
        publish(broker, "-V", level, "-q", qos, "-t", name("t"), "-l", stdin="\n".join(lines).encode())
        assert subscriber.lines(200) == [f"0|{qos}|{name('t')}|{line}" for line in lines]


@pytest.mark.parametrize("published,subscribed", [("2", "0"), ("2", "1"), ("1", "2"), ("0", "2")])
def test_lower_qos_of_the_two_counts(broker, name, published, subscribed):
    with Subscriber(broker, "-q", subscribed, "-t", name("t")) as subscriber:
        publish(broker, "-q", published, "-t", name("t"), "-m", "x")
        assert subscriber.line() == f"0|{min(published, subscribed)}|{name('t')}|x"


@pytest.mark.parametrize("level", LEVELS)
def test_retained_message_is_kept_and_cleared(broker, name, level):
    publish(broker, "-V", level, "-q", "1", "-r", "-t", name("t"), "-m", "kept")
    found = run_subscriber(broker, "-V", level, "-t", name("+"), "-C", "1", "-W", "5", "-F", programs.FORMAT)
    assert found.stdout.decode() == f"1|0|{name('t')}|kept\n"
    publish(broker, "-V", level, "-q", "1", "-r", "-t", name("t"), "-n")
    with Subscriber(broker, "-V", level, "-t", name("+")) as subscriber:
        publish(broker, "-V", level, "-q", "1", "-t", name("t"), "-m", "live")
        assert subscriber.line() == f"0|0|{name('t')}|live"


def test_retained_messages_below_a_wildcard(broker, name):
    for index in range(5):
        publish(broker, "-q", "1", "-r", "-t", name(f"deep/{index}/leaf"), "-m", str(index))
    found = run_subscriber(broker, "-t", name("deep/+/leaf"), "-C", "5", "-W", "5", "-F", "%p")
    assert sorted(found.stdout.split()) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("level", LEVELS)
def test_offline_messages_come_in_order(broker, name, level):
    session = ["-V", level, "-i", name.client("sleeper"), "-c", "-q", "1", "-t", name("t")]
    run_subscriber(broker, *session, "-E")
    lines = [f"line {index}" for index in range(100)]
    publish(broker, "-V", level, "-q", "1", "-t", name("t"), "-l", stdin="\n".join(lines).encode())
    found = run_subscriber(broker, *session, "-C", "100", "-W", "8")
    assert found.stdout.decode().splitlines() == lines


@pytest.mark.parametrize("level", LEVELS)
def test_will_comes_after_an_abnormal_end_only(broker, name, level):
    will = ["-V", level, "--will-topic", name("will"), "--will-qos", "1", "-t", name("other")]
    with Subscriber(broker, "-q", "1", "-t", name("will")) as watcher:
        run_subscriber(broker, *will, "--will-payload", "not to be seen", "-E")
        victim = Subscriber(broker, *will, "--will-payload", "lost")
        victim.end()
        assert watcher.line() == f"0|1|{name('will')}|lost"


def test_disconnect_with_will_message(broker, name):
    """mosquitto_sub asks for its will, with reason code 0x04, when SIGTERM ends it."""
    with Subscriber(broker, "-q", "1", "-t", name("will")) as watcher:
        will = ["--will-topic", name("will"), "--will-payload", "asked for"]
        with Subscriber(broker, "-V", "mqttv5", *will, "-t", name("other")) as leaver:
            leaver.process.send_signal(signal.SIGTERM)
            leaver.wait()
        assert watcher.line() == f"0|0|{name('will')}|asked for"


def test_retained_will(broker, name):
    with Subscriber(broker, "-q", "1", "-t", name("will")) as watcher:
        will = ["--will-topic", name("will"), "--will-payload", "gone", "--will-retain"]
        Subscriber(broker, *will, "-t", name("other")).end()
        assert watcher.line() == f"0|0|{name('will')}|gone"
    found = run_subscriber(broker, "-t", name("will"), "-C", "1", "-W", "5", "-F", programs.FORMAT)
    assert found.stdout.decode() == f"1|0|{name('will')}|gone\n"


def test_shared_subscription_spreads(broker, name):
    filters = ["-V", "mqttv5", "-q", "1", "-t", f"$share/group/{name('t')}"]
    with Subscriber(broker, *filters) as one, Subscriber(broker, *filters) as two:
        publish(broker, "-q", "1", "-t", name("t"), "-l", stdin="\n".join(map(str, range(20))).encode())
        taken = [line.split("|")[3] for line in one.lines(10) + two.lines(10)]
        assert sorted(taken, key=int) == [str(index) for index in range(20)]


def test_properties_end_to_end(broker, name):
    form = "%P#%R#%D#%C#%E#%S#%p"
    subscribe = ["-V", "mqttv5", "-q", "1", "-t", name("t"), "-D", "subscribe", "subscription-identifier", "9"]
    with Subscriber(broker, *subscribe, form=form) as subscriber:
        publish(
            broker, "-V", "mqttv5", "-q", "1", "-t", name("t"), "-m", "body",
            "-D", "publish", "user-property", "second", "2",
            "-D", "publish", "user-property", "first", "1",
            "-D", "publish", "user-property", "second", "3",
            "-D", "publish", "response-topic", name("answer"),
            "-D", "publish", "correlation-data", "number7",
            "-D", "publish", "content-type", "text/plain",
            "-D", "publish", "message-expiry-interval", "100",
        )  # fmt: skip
        users, answer, correlation, content, expiry, identifier, body = subscriber.line().split("#")
    assert users.split() == ["second:2", "first:1", "second:3"]
    assert (answer, correlation, content, body) == (name("answer"), "number7", "text/plain", "body")
    assert 98 <= int(expiry) <= 100
    assert identifier == "9"


@pytest.mark.parametrize("level", LEVELS)
def test_large_payload(broker, name, level, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(33 + index % 90 for index in range(1 << 20)))
    with Subscriber(broker, "-V", level, "-q", "2", "-t", name("t"), form="%p") as subscriber:
        publish(broker, "-V", level, "-q", "2", "-t", name("t"), "-f", str(source))
        assert subscriber.line().encode() == source.read_bytes()


def test_topic_levels_and_wildcards(broker, name):
    with Subscriber(broker, "-q", "1", "-t", name("a/#"), "-t", name("+/leaf")) as subscriber:
        for topic in ("a", "b", "a/x/y", "b/leaf", "/leaf", "b/leaf/x", "a/"):
            publish(broker, "-q", "1", "-t", name(topic), "-m", topic)
        got = [line.split("|")[3] for line in subscriber.lines(5)]
    assert got == ["a", "a/x/y", "b/leaf", "/leaf", "a/"]


def test_wildcards_do_not_reach_dollar_topics(broker, name):
    with Subscriber(broker, "-q", "1", "-t", f"+/{name('t')}") as subscriber:
        publish(broker, "-q", "1", "-t", f"$own/{name('t')}", "-m", "hidden")
        publish(broker, "-q", "1", "-t", f"own/{name('t')}", "-m", "seen")
        assert subscriber.line().endswith("|seen")


def test_request_and_response(broker, name):
    """mosquitto_rr publishes a request and waits for the answer on the response topic."""
    assert shutil.which("mosquitto_rr"), "mosquitto_rr is not installed"
    with Subscriber(broker, "-V", "mqttv5", "-q", "1", "-t", name("ask"), form="%R %D %p") as server:
        command = ["mosquitto_rr", *programs.at(broker), "-V", "mqttv5", "-q", "1", "-t", name("ask")]
        command += ["-e", name("answer"), "-m", "question", "-D", "publish", "correlation-data", "c1", "-W", "10"]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        try:
            assert server.line() == f"{name('answer')} c1 question"
            publish(broker, "-V", "mqttv5", "-q", "1", "-t", name("answer"), "-m", "reply")
            assert client.communicate(timeout=programs.TIMEOUT_S)[0] == "reply\n"
        finally:
            client.kill()
            client.wait()
