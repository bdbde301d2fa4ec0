"""HAProxy before a broker, and PROXY headers made of bytes."""

import csv
import io
import pathlib
import shutil
import socket
import struct
import subprocess

from broker_process import free_port, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header_v2(source, port, family=socket.AF_INET, command=0x21, tlvs=b""):
    wide = family == socket.AF_INET6
    own = "2001:db8::1" if wide else "198.51.100.1"
    block = socket.inet_pton(family, source) + socket.inet_pton(family, own) + struct.pack("!HH", port, 1883) + tlvs
    return SIGNATURE + bytes([command, 0x21 if wide else 0x11]) + struct.pack("!H", len(block)) + block


def tlv(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def certificate_tlv(common_name, verify=0):
    return tlv(0x20, b"\x03" + struct.pack("!I", verify) + tlv(0x21, b"TLSv1.3") + tlv(0x22, common_name))


class HaProxy:
    """`roads` by name: (lines of the frontend's bind, backend port, words behind the server, mode).

    `checks` by name: how the backend is asked for its health, each 100 ms, as check_of() tells."""

    def __init__(self, directory, roads, checks=None):
        assert shutil.which("haproxy"), "haproxy is not installed"
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.ports = {}
        self.stats = directory / "stats"
        checks = checks or {}
        text = f"global\n  stats socket {self.stats}\n  maxconn 200\ndefaults\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m\n"
        for name, (bind, port, server, mode) in roads.items():
            self.ports[name] = free_port()
            more = "  option forwardfor\n" if mode == "http" else ""
            text += f"frontend {name}\n  mode {mode}\n  bind 127.0.0.1:{self.ports[name]} {bind}\n  default_backend {name}\n"
            if name in checks:
                more += f"  {checks[name]}\n"
                server += " check inter 100ms fall 1 rise 1"
            text += f"backend {name}\n  mode {mode}\n{more}  server broker 127.0.0.1:{port} {server}\n"
        path = directory / "haproxy.cfg"
        path.write_text(text)
        self.log_path = directory / "haproxy.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        addresses = [(socket.AF_INET, ("127.0.0.1", port)) for port in self.ports.values()]
        # The socket of its statistics comes last: haproxy moves it to its name when the roads listen already.
        for family, address in [*addresses, (socket.AF_UNIX, str(self.stats))]:
            wait_until(lambda family=family, address=address: self._listens(family, address), f"haproxy listens at {address}")
        return self

    def check_of(self, name):
        """The state of the backend and what the last check has found: ("UP", "L7OK", "200")."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.stats))
            link.sendall(b"show stat\n")
            text = link.makefile().read().removeprefix("# ")
        row = next(row for row in csv.DictReader(io.StringIO(text)) if (row["pxname"], row["svname"]) == (name, "broker"))
        return row["status"], row["check_status"], row["check_code"]

    def _listens(self, family, address):
        assert self.process.poll() is None, self.log_path.read_text()
        with socket.socket(family) as link:
            link.settimeout(1)
            return link.connect_ex(address) == 0

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
