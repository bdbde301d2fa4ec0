"""Starts a petrel, waits until it listens, watches it, and stops it with the checks every test owes it."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0

# What a healthy broker never writes: reports of the sanitizers and the last words of a dying process.
DEADLY = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|"
    r"terminate called|[Ss]egmentation fault|Assertion .* failed|invariant"
)


def binary():
    """The program under test; PETREL_BINARY names another build."""
    return os.environ.get("PETREL_BINARY", str(ROOT / "build" / "release" / "petrel"))


def resident_factor():
    """How many times its own memory a program under test takes: ThreadSanitizer shadows each byte with four."""
    return 5 if b"__tsan_init" in pathlib.Path(binary()).read_bytes() else 1


def environment():
    """Keeps what AddressSanitizer holds back from reuse small: the tests that bound memory run with it, too."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {**os.environ, "ASAN_OPTIONS": f"quarantine_size_mb=4:{options}"}


@functools.cache
def own_ports():
    """A block of ports for this process alone, below those that the kernel gives to clients (ip_local_port_range)."""
    blocks = [range(first, first + 256) for first in range(10240, 32768, 256)]
    for block in random.sample(blocks, len(blocks)):
        # A name can be taken once: others that test beside this process find another block.
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            claim.bind(f"\0petrel-test-ports-{block.start}")
            return claim, itertools.cycle(block)
        claim.close()
    raise AssertionError(f"all {len(blocks)} blocks of ports are in use by other tests")


def free_port():
    """One that nobody listens at; the same comes again only after all others of the block."""
    _, ports = own_ports()
    for port in itertools.islice(ports, 256):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("something listens at each port of the block")


def listener_table(keys):
    rows = [f"{name} = {json.dumps(value if isinstance(value, (int, list)) else str(value))}\n" for name, value in keys.items()]
    return "\n[[listener]]\n" + "".join(rows)


def wait_until(condition, what, deadline_s=DEADLINE_S, step_s=0.01):
    """Polls until condition() is true and returns its value; a passed deadline is a failure that names `what`."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(step_s)


class Broker:
    """One broker process on a free loopback port. `config` is the text of a TOML file, `args` go behind `serve`.

    `listeners` are further listeners: dicts of the keys under [[listener]].

    PETREL_STORE=rocksdb in the environment: with the store on disk, in the directory, where the test does not choose."""

    host = "127.0.0.1"

    def __init__(self, directory, threads=1, config=None, args=(), port=None, store=None, listeners=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.threads = threads
        self.port = port or free_port()
        self.log_path = self.directory / "broker.log"
        self.command = [binary(), "serve"]
        address = f"tcp://127.0.0.1:{self.port}"
        if listeners:
            # This one is waited for: it opens last.
            config = (config or "") + "".join(map(listener_table, [*listeners, {"address": address}]))
        if config is not None:
            path = self.directory / "petrel.toml"
            path.write_text(config)
            self.command += ["-c", str(path)]
        if (store or os.environ.get("PETREL_STORE", "memory")) == "rocksdb":
            store = f"rocksdb:{self.directory / 'data'}"
        if not listeners:
            self.command += ["--listen", address]
        self.command += ["--store", store or "memory"]
        if threads is not None:
            self.command += ["--threads", str(threads)]
        self.command += list(args)
        self.process = None
        self.signalled = False

    def launch(self):
        """Starts the process without waiting for it to listen."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        return self

    def start(self):
        self.launch()
        wait_until(self._listening, "the broker listens")
        return self

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the broker ended with {self.process.returncode} at start:\n{self.log()}")
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
            return True
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def warnings(self):
        return [line for line in self.log().splitlines() if re.search(r" (WARN|ERROR) ", line)]

    def wait_log(self, pattern, deadline_s=DEADLINE_S, start=0):
        """Waits for a line that matches `pattern` (any case) behind offset `start` of the log, and returns that line."""
        expression = re.compile(rf"^.*(?:{pattern}).*$", re.IGNORECASE | re.MULTILINE)

        def look():
            found = expression.search(self.log()[start:])
            return found.group(0) if found else None

        try:
            return wait_until(look, f"a log line like /{pattern}/", deadline_s)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the log ends:\n{self.log()[start:][-3000:]}") from None

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS in /proc")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number=signal.SIGTERM):
        self.signalled = True
        self.process.send_signal(number)

    def wait(self, deadline_s=DEADLINE_S):
        return self.process.wait(timeout=deadline_s)

    def check_log(self):
        found = DEADLY.search(self.log())
        assert not found, f"the broker's log has '{found.group(0)}':\n{self.log()[-6000:]}"

    def stop(self):
        """SIGTERM must end it with status 0 and a clean log. Whatever happens, no process stays behind."""
        try:
            assert self.alive() or self.signalled, f"the broker ended by itself with {self.process.returncode}:\n{self.log()[-6000:]}"
            if not self.signalled:
                self.signal()
                status = self.wait()
                assert status == 0, f"exit status {status} on SIGTERM:\n{self.log()[-6000:]}"
            self.check_log()
        finally:
            self.kill()

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()


class SharedBrokers:
    """What tests share, by a key: brokers, or whatever has one as its `broker`. Left, it stops all."""

    def __init__(self):
        self._running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self._running.values():
            self._broker(one).stop()

    @staticmethod
    def _broker(one):
        return getattr(one, "broker", one)

    @contextlib.contextmanager
    def lend(self, key, start):
        """The one that runs, or start(). The test under which the broker dies fails; the next one gets a new one."""
        if key not in self._running:
            self._running[key] = start()
        yield self._running[key]
        broker = self._broker(self._running[key])
        try:
            assert broker.alive(), f"the broker ended with {broker.process.returncode}:\n{broker.log()[-6000:]}"
            broker.check_log()
        except AssertionError:
            del self._running[key]
            broker.kill()
            raise
