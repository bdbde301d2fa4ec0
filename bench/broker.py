"""A broker for a measurement: started, waited for, watched, and stopped by its process.

Imported first, it makes the modules of tests/support importable."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
from broker_process import free_port, wait_until  # noqa: E402, F401  (also for those who import this)
from weak_link import die_with_parent  # noqa: E402


class Broker:
    """`with Broker(command, *ports) as broker:` runs the command, which listens on the ports, until the end of the block.

    `prepare` is called in the new process before the command."""

    host = "127.0.0.1"

    def __init__(self, command, *ports, prepare=die_with_parent):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, preexec_fn=prepare)
        self._ports = ports
        self.pid = self._process.pid

    def __enter__(self):
        try:
            for port in self._ports:
                wait_until(lambda: self._answers(port), f"the broker listens on port {port}")
        except BaseException:
            self._end()
            raise
        return self

    def _answers(self, port):
        if self._process.poll() is not None:
            self._log.seek(0)
            sys.exit(f"the broker ended with {self._process.returncode}: {self._log.read().decode(errors='replace')}")
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, port), timeout=1).close()
            return True

    def __exit__(self, *_):
        self._end()

    def _end(self):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _memory(self):
        rows = [line.split() for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()]
        values = {row[0]: int(row[1]) * 1024 for row in rows if row[0] in ("Anonymous:", "Rss:")}
        return values["Anonymous:"], values["Rss:"]

    def settled_memory(self):
        """(anonymous, resident) bytes when two looks agree, or after some five seconds."""
        last = None
        for _ in range(17):
            now = self._memory()
            if now == last:
                break
            last = now
            time.sleep(0.3)
        return now
