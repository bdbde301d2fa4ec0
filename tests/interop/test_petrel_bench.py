"""petrel bench, and what it leaves behind when it is interrupted."""

import contextlib
import json
import re
import signal
import subprocess

import pytest

from broker_process import wait_until
from programs import TIMEOUT_S, at, binary, run_subscriber

pytestmark = pytest.mark.petrel_only
SYS = "sys.interval_s = 1\n"
SUBSCRIBERS = 7


@contextlib.contextmanager
def bench(running, *args):
    # It would end long after the test.
    command = [binary(), "bench", *at(running), "--subs", str(SUBSCRIBERS), "--duration", "600", "--quiet", *args]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def sessions(running):
    """Of all clients but the one that asks."""
    done = run_subscriber(running, "-t", "$SYS/broker/clients/total", "-C", "1", "-F", "%p")
    return int(done.stdout) - 1


def wait_for_messages(running):
    run_subscriber(running, "-t", "bench/#", "-C", "3", "-W", str(int(TIMEOUT_S)))


def test_it_checks_what_comes(broker):
    command = [binary(), "bench", *at(broker), "--messages", "50", "--persistent", "--qos", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["published"], outcome["received"], outcome["lost"], outcome["interrupted"]) == (1000, 1000, 0, False)


@pytest.mark.parametrize("size", [4096, 300_000])
def test_it_goes_on_when_the_system_has_taken_all_at_once(broker, size):
    """Of QoS 0 nothing comes back that would tell a publisher to go on."""
    command = [binary(), "bench", *at(broker), "--size", str(size), "--pubs", "2", "--subs", "2", "--messages", "500", "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["received"] == 1000


PLANS = {
    "timed": (signal.SIGINT, 130, ["--rate", "200", "--warm-up", "0"]),
    "counted": (signal.SIGTERM, 143, ["--messages", "1000000", "--rate", "200", "--v5"]),
    "fan-out": (signal.SIGTERM, 143, ["fan-out", "--pubs", "2", "--rate", "50", "--warm-up", "0"]),
    "warm-up": (signal.SIGINT, 130, ["--rate", "200", "--warm-up", "600"]),
}


@pytest.mark.parametrize("plan", PLANS)
def test_interrupted_it_prints_what_it_has_and_removes_sessions(start_broker, plan):
    number, status, flags = PLANS[plan]
    running = start_broker(SYS)
    with bench(running, *flags, "--persistent", "--qos", "1", "--json") as process:
        wait_for_messages(running)
        wait_until(lambda: sessions(running) > SUBSCRIBERS, "the clients are counted")
        process.send_signal(number)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == status, out
    outcome = json.loads(out)
    assert outcome["interrupted"] and not outcome["timed_out"]
    assert outcome["published"] > 0 and outcome["lost"] is None
    assert (outcome["messages"] > 0) == (plan != "warm-up")
    wait_until(lambda: sessions(running) == 0, "no session is left")


def test_interrupted_while_clients_are_away(start_broker):
    running = start_broker(SYS)
    with bench(running, "--offline", "--qos", "1", "--messages", "1000000", "--rate", "200") as process:
        wait_for_messages(running)
        wait_until(lambda: sessions(running) > SUBSCRIBERS, "the sessions are counted")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, out
    assert re.search(r"^queued +[1-9]", out, re.MULTILINE) and "drained" not in out, out
    assert re.search(r"^ended +interrupted", out, re.MULTILINE) and not re.search(r"\blost\b", out), out
    wait_until(lambda: sessions(running) == 0, "no session is left")


def test_a_second_signal_ends_it_at_once(start_broker):
    running = start_broker(SYS)
    with bench(running, "--persistent", "--qos", "1", "--rate", "200") as process:
        wait_for_messages(running)
        running.process.send_signal(signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            # The result comes before the sessions are removed, which this broker does not do.
            while "interrupted" not in (line := process.stdout.readline()):
                assert line, "it ends without a result"
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == -signal.SIGTERM
        finally:
            running.process.send_signal(signal.SIGCONT)
