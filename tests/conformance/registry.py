"""Which test proves which statement. The decorators fill the lists here; conftest.py makes test ids of them and report.py a page.

The same number says different things in 3.1.1 and in 5.0, so a test names its statements by version. MQTT 3.1 has no numbers; the
points in which it differs have some of our own (statements/v31.toml), and what it shares with 3.1.1 is tested under 3.1.1's.
"""

import dataclasses
import re
import typing

import packets
from packets import V5, V31, V311


@dataclasses.dataclass(frozen=True)
class Proof:
    """One test, or one row of a table, and the numbers of the statements it proves, by version."""

    module: str
    name: str
    numbers: dict


PROOFS = []


def numbers_of(v5, v311, v31):
    """By version. 3.1 is tested with what 3.1.1 says, unless v31 names a statement of its own or is False."""
    numbers = {}
    if v31 is not False and (v31 or v311):
        numbers[V31] = (v31 or v311).split()
    if v311:
        numbers[V311] = v311.split()
    if v5:
        numbers[V5] = v5.split()
    assert numbers, "a test must name a statement"
    return numbers


def statement(v5=None, v311=None, v31=None):
    """Marks a test as the proof of these statements; it runs once for each version that has one."""

    def mark(function):
        numbers = numbers_of(v5, v311, v31)
        function.cases = [(version, None, ids) for version, ids in numbers.items()]
        PROOFS.append(Proof(function.__module__, function.__name__, numbers))
        return function

    return mark


TOKEN = re.compile(r"\s+|'([^']*)'|(LL)|(HEAD)|(P)|((?:[0-9a-f]{2})+)")
HEADS = {V31: b"\x00\x06MQIsdp\x03", V311: b"\x00\x04MQTT\x04", V5: b"\x00\x04MQTT\x05"}


def parse(text, version):
    """The bytes of a packet as the tables write it: hexadecimal digits; 'text' for ASCII; LL for the Remaining Length that fits;
    HEAD for a CONNECT's protocol name and level; P for a Property Length of zero, which is nothing before 5.0."""
    out, length_at, at = bytearray(), None, 0
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found, f"not understood: {text[at:]}"
        at = found.end()
        ascii_text, length, head, no_properties, digits = found.groups()
        if ascii_text is not None:
            out += ascii_text.encode("ascii")
        elif length:
            length_at = len(out)
        elif head:
            out += HEADS[version]
        elif no_properties:
            out += b"\x00" if version == V5 else b""
        elif digits:
            out += bytes.fromhex(digits)
    if length_at is not None:
        out[length_at:length_at] = packets.variable_length(len(out) - length_at)
    return bytes(out)


@dataclasses.dataclass(frozen=True)
class Row:
    """A packet that is not as it should be; a server must close the connection on which it comes.

    `text` is the packet in the notation of parse(). `code` is the reason code that 5.0 gives for the mistake (of a CONNACK where the
    packet is a CONNECT, of a DISCONNECT otherwise), `also` others that its text allows as well.
    """

    name: str
    text: str
    v5: str | None = None
    v311: str | None = None
    v31: str | bool | None = False
    code: int = packets.MALFORMED_PACKET
    also: tuple = ()

    @property
    def numbers(self):
        return numbers_of(self.v5, self.v311, self.v31)

    def packet(self, version):
        return parse(self.text, version)


def table(rows: typing.Sequence[Row]):
    """Marks a test as one that runs for each row in each of the row's versions."""

    def mark(function):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names), f"two rows of one name in {function.__module__}"
        function.cases = [(version, row, ids) for row in rows for version, ids in row.numbers.items()]
        for row in rows:
            PROOFS.append(Proof(function.__module__, f"{function.__name__}: {row.name}", row.numbers))
        return function

    return mark


def case_id(version, row, numbers):
    return "-".join(([row.name] if row else []) + [f"v{packets.VERSION_NAMES[version]}", *numbers])
