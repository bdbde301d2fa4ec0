"""Two hosts joined by a weak link: network namespaces, a TUN device in each, and a relay between them in user space.

The relay is a process of its own (this file). It delays, loses and queues IP packets as it is told, each direction by itself and
from a seed, and counts what each host sends. The namespaces have no names: they vanish with the last process that is in
them, so nothing has to be cleaned up, however a run ends. Needs root and /dev/net/tun.
"""

import collections
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

NEAR, FAR = "198.18.0.1", "198.18.0.2"  # addresses kept for measurements (RFC 2544)
MTU = 1400

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFMTU = 0x8914, 0x8916, 0x8918, 0x8922
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def die_with_parent():
    """For the child of a fork: it ends when the process that made it does."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Namespace:
    """`with namespace:` what this thread opens and starts meanwhile is on that host."""

    def __init__(self, path, address):
        self.address = address
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._outside = []

    def __enter__(self):
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        call("setns", self._fd, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        fd = self._outside.pop()
        call("setns", fd, CLONE_NEWNET)
        os.close(fd)

    def close(self):
        os.close(self._fd)


class WeakLink:
    """`near` and `far` are the hosts. Directions: "down" from near to far, "up" from far to near.

    Of a direction: delay_ms, jitter_ms (packets stay in order), loss (probability), bits_per_s (0: no bound), queue_packets;
    burst_every_s and burst_s: mean times from burst to burst and of a burst, in which everything is lost."""

    def __init__(self):
        self._relay = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        try:
            made = self._answer()
            self.near, self.far = (
                Namespace(f"/proc/{self._relay.pid}/fd/{fd}", address) for fd, address in zip(made["namespaces"], (NEAR, FAR))
            )
        except BaseException:
            self._relay.kill()
            self._relay.wait()
            raise

    def _answer(self):
        line = self._relay.stdout.readline()
        answer = json.loads(line) if line else {"error": "the relay has ended"}
        if "error" in answer:
            raise OSError(f"no weak link: {answer['error']}")
        return answer

    def _tell(self, **command):
        self._relay.stdin.write(json.dumps(command) + "\n")
        self._relay.stdin.flush()
        return self._answer()

    def set(self, both=None, down=None, up=None, seed=1):
        """From now on, and counting from zero."""
        self._tell(do="set", down={**(both or {}), **(down or {})}, up={**(both or {}), **(up or {})}, seed=seed)

    def cut(self, *directions):
        """Loses everything, in both directions if none is named."""
        self._tell(do="cut", directions=directions or ("down", "up"))

    def mend(self):
        self._tell(do="cut", directions=[])

    def count(self):
        """{"down": {"packets", "bytes", "lost", "overflowed"}, "up": ...}: what was sent, IP headers included."""
        return self._tell(do="count")

    def close(self):
        self.near.close()
        self.far.close()
        self._relay.stdin.close()
        self._relay.wait(10)
        self._relay.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- the relay


class Direction:
    def __init__(self, name, out):
        self.name, self.out = name, out
        self.cut = False
        self.under_way = collections.deque()  # (when, packet)
        self.set({}, 0)

    def set(self, told, seed):
        self.delay = told.get("delay_ms", 0) / 1000
        self.jitter = told.get("jitter_ms", 0) / 1000
        self.loss = told.get("loss", 0)
        self.rate = told.get("bits_per_s", 0) / 8
        self.room = told.get("queue_packets", 100)
        self.burst_every, self.burst = told.get("burst_every_s", 0), told.get("burst_s", 0)
        # Bursts come at the same times whatever is sent; other losses by the number of the packet.
        self.chance, self.fate = random.Random(f"{seed} {self.name}"), random.Random(f"{seed} {self.name} bursts")
        self.free_at = self.last = time.monotonic()
        self.burst_begin = self.burst_end = self.free_at
        self.queue = collections.deque()  # when each leaves the queue for the air
        self.counts = dict.fromkeys(("packets", "bytes", "lost", "overflowed"), 0)
        self.next_burst()

    def next_burst(self):
        if not self.burst:
            self.burst_begin = self.burst_end = float("inf")
            return
        self.burst_begin = self.burst_end + self.fate.expovariate(1 / self.burst_every)
        self.burst_end = self.burst_begin + self.fate.expovariate(1 / self.burst)

    def is_lost(self, now):
        while now >= self.burst_end:
            self.next_burst()
        by_chance = self.chance.random() < self.loss
        return self.cut or by_chance or now >= self.burst_begin

    def take(self, packet, now):
        if packet[0] >> 4 != 4:
            return
        self.counts["packets"] += 1
        self.counts["bytes"] += len(packet)
        if self.rate:
            while self.queue and self.queue[0] <= now:
                self.queue.popleft()
            if len(self.queue) >= self.room:
                self.counts["overflowed"] += 1
                return
            self.free_at = max(self.free_at, now) + len(packet) / self.rate
            self.queue.append(self.free_at)
            at = self.free_at
        else:
            at = now
        if self.is_lost(now):
            self.counts["lost"] += 1
            return
        self.last = max(self.last, at + self.delay + self.chance.random() * self.jitter)
        self.under_way.append((self.last, packet))

    def deliver(self, now):
        while self.under_way and self.under_way[0][0] <= now:
            os.write(self.out, self.under_way.popleft()[1])


def make_host(address, peer):
    """A new namespace for this process, with a TUN device: (namespace, device)."""
    call("unshare", CLONE_NEWNET)
    sysctl = pathlib.Path("/proc/sys/net")
    for name, value in {
        "ipv6/conf/all/disable_ipv6": "1",
        "ipv6/conf/default/disable_ipv6": "1",
        "ipv4/tcp_no_metrics_save": "1",  # or one connection's losses slow down the next one
        "ipv4/tcp_fastopen": "3",
    }.items():
        if (sysctl / name).exists():
            (sysctl / name).write_text(value)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"link", IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:

        def ask(request, kind, *values):
            fcntl.ioctl(control, request, struct.pack(f"16s{kind}", b"link", *values).ljust(40, b"\0"))

        for request, text in ((SIOCSIFADDR, address), (SIOCSIFDSTADDR, peer)):
            ask(request, "HH4s", socket.AF_INET, 0, socket.inet_aton(text))
        ask(SIOCSIFMTU, "i", MTU)
        ask(SIOCSIFFLAGS, "h", IFF_UP)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    return os.open("/proc/self/ns/net", os.O_RDONLY), device


def obey(command, directions):
    if command["do"] == "set":
        for name, direction in directions.items():
            direction.set(command[name], command["seed"])
    elif command["do"] == "cut":
        for name, direction in directions.items():
            direction.cut = name in command["directions"]
    return {name: direction.counts for name, direction in directions.items()}


def relay():
    def say(what):
        print(json.dumps(what), flush=True)

    try:
        near_space, near = make_host(NEAR, FAR)
        far_space, far = make_host(FAR, NEAR)
    except OSError as failure:
        say({"error": str(failure)})
        return
    directions = {"down": Direction("down", far), "up": Direction("up", near)}
    waiting = selectors.DefaultSelector()
    waiting.register(near, selectors.EVENT_READ, directions["down"])
    waiting.register(far, selectors.EVENT_READ, directions["up"])
    waiting.register(sys.stdin, selectors.EVENT_READ)
    say({"namespaces": [near_space, far_space]})
    while True:
        due = min((d.under_way[0][0] for d in directions.values() if d.under_way), default=None)
        timeout = None if due is None else max(0, due - time.monotonic())
        for key, _ in waiting.select(timeout):
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return
                say(obey(json.loads(line), directions))
                continue
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    key.data.take(os.read(key.fd, 65536), time.monotonic())
        for direction in directions.values():
            direction.deliver(time.monotonic())


if __name__ == "__main__":
    relay()
