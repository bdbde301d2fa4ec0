"""Command line clients: mosquitto_pub and mosquitto_sub, petrel pub and petrel sub."""

import queue
import shutil
import subprocess
import threading
import uuid

from broker_process import binary

TIMEOUT_S = 15.0
FORMAT = "%r|%q|%t|%p"
PUBLISHERS = {"mosquitto": ["mosquitto_pub"], "petrel": [binary(), "pub"]}
SUBSCRIBERS = {"mosquitto": ["mosquitto_sub"], "petrel": [binary(), "sub"]}


def at(broker):
    return ["-h", broker.host, "-p", str(broker.port)]


def publish(broker, *args, kind="mosquitto", stdin=None, check=True):
    """Runs a publisher to its end."""
    command = PUBLISHERS[kind] + at(broker) + list(args)
    assert shutil.which(command[0]), f"{command[0]} is not installed"
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr!r} {done.stdout!r}"
    return done


def run_subscriber(broker, *args, kind="mosquitto", check=True):
    """Runs a subscriber that ends by itself (-C, -W or -E) and returns what it did."""
    command = SUBSCRIBERS[kind] + at(broker) + list(args)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr!r} {done.stdout!r}"
    return done


class Subscriber:
    """A running subscriber whose lines are read as they come.

    It also subscribes, last, to a topic that holds a retained message: that message tells that the subscriptions stand.
    """

    def __init__(self, broker, *args, kind="mosquitto", form=FORMAT):
        probe = f"interop/probe/{uuid.uuid4().hex}"
        publish(broker, "-t", probe, "-m", "ready", "-r", "-q", "1")
        command = SUBSCRIBERS[kind] + at(broker) + list(args) + ["-t", probe]
        if form:
            command += ["-F", form]
        self.command = command
        self.rows = queue.Queue()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        while "ready" not in self.line():
            pass

    def _read(self):
        for row in self.process.stdout:
            self.rows.put(row.rstrip("\n"))
        self.rows.put(None)

    def line(self, timeout_s=TIMEOUT_S):
        try:
            row = self.rows.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"no line from {self.command}") from None
        assert row is not None, f"{self.command} ended with {self.process.wait()}"
        return row

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def end(self):
        """Kills the program: to the broker, the connection is lost."""
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def wait(self):
        status = self.process.wait(timeout=TIMEOUT_S)
        self.reader.join()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
