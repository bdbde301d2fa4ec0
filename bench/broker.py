"""A broker for a measurement: started, waited for, and stopped by its process."""

import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
from broker_process import free_port, wait_until  # noqa: E402, F401  (also for those who import this)


class Broker:
    """`with Broker(command, port) as broker:` runs the command, which listens on the port, until the end of the block."""

    def __init__(self, command, port):
        self._process = subprocess.Popen(command)
        self._port = port
        self.pid = self._process.pid

    def __enter__(self):
        wait_until(self._answers, "the broker listens")
        return self

    def _answers(self):
        if self._process.poll() is not None:
            sys.exit(f"the broker ended with {self._process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
