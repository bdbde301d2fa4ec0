"""The reader of the suite refuses what no server may send, and the notation of the tables says what it means."""

import pytest

import packets
from packet_socket import Packet
from packets import V5, V31, V311
from registry import parse

REFUSED = [
    ("MQTT-1.5.4-1", V5, "30 0002 c328 00"),
    ("MQTT-1.5.4-2", V311, "30 0003 'a' 00 'b'"),
    ("MQTT-1.5.5-1", V5, "30 0001 'a' 8000"),
    ("MQTT-2.1.3-1", V311, "d1"),
    ("MQTT-2.1.3-1", V5, "60 0001"),
    ("MQTT-2.2.1-4", V311, "32 0001 'a' 0000"),
    ("MQTT-3.2.2-1", V5, "20 0200 00"),
    ("MQTT-3.2.2-1", V31, "20 0100"),
    ("MQTT-3.2.2-6", V311, "20 0006"),
    ("MQTT-3.2.2-8", V5, "20 008e 00"),
    ("MQTT-3.3.1-2", V5, "38 0001 'a' 00"),
    ("MQTT-3.3.1-4", V5, "36 0001 'a' 0001 00"),
    ("MQTT-3.3.2-2", V5, "30 0003 'a/#' 00"),
    ("MQTT-3.4.2-1", V5, "40 0001 92"),
    ("MQTT-3.6.2-1", V5, "62 0001 10"),
    ("MQTT-3.9.3-2", V5, "90 0001 00 03"),
    ("MQTT-3.9.3-2", V311, "90 0001 87"),
    ("MQTT-3.11.3-2", V5, "b0 0001 00 01"),
    ("MQTT-3.14.2-1", V5, "e0 04"),
    ("MQTT-3.14.2-2", V5, "e0 00 05 1100000001"),
    ("MQTT-4.7.3-1", V5, "30 0000 00"),
    ("MQTT-4.8.0-1", V311, "e0"),
    ("MQTT-4.13.1-1", V5, "40 0001 00 03 230001"),
    ("MQTT-4.13.1-1", V5, "30 0001 'a' 03 230000"),
    ("MQTT-4.13.1-1", V5, "30 0001 'a' 04 0100 0100"),
    ("MQTT-4.13.1-1", V5, "30 0001 'a' 02 7f00"),
    ("MQTT-4.13.1-1", V5, "30 0001 'a' 03 0100"),
    ("MQTT-4.13.1-1", V5, "d0 00"),
    ("MQTT-4.13.1-1", V5, "80 0001 00"),
]


@pytest.mark.parametrize("number, version, text", REFUSED, ids=lambda value: str(value))
def test_reader_refuses(number, version, text):
    data = parse(text, version)
    with pytest.raises(packets.Violation, match=rf"^\[{number}\]"):
        packets.decode(Packet(data[0] >> 4, data[0] & 15, data[1:]), version)


def test_reader_reads_what_the_constructors_write():
    props = {"content_type": "t", "user_property": [("a", "b"), ("a", "c")], "subscription_identifier": [1, 200]}
    data = packets.publish(V5, "a/ä", b"payload", 2, 513, retain=True, dup=True, props=props)
    found = packets.decode(Packet(data[0] >> 4, data[0] & 15, data[2:]), V5)
    assert found == packets.Publish(packets.PUBLISH, "a/ä", b"payload", 2, True, True, 513, props, size=len(data))


def test_notation():
    """The example of 3.1.1, 3.1.2.11 and its like: name, level, flags, keep alive."""
    assert parse("10 LL HEAD 02 000a P 0001 'c'", V311) == bytes.fromhex("10 0d 0004 4d515454 04 02 000a 0001 63")
    assert parse("10 LL HEAD 02 000a P 0001 'c'", V5) == bytes.fromhex("10 0e 0004 4d515454 05 02 000a 00 0001 63")
    assert parse("10 LL HEAD 02 000a P 0001 'c'", V31) == bytes.fromhex("10 0f 0006 4d5149736470 03 02 000a 0001 63")
    with pytest.raises(AssertionError):
        parse("10 L", V5)


def test_notation_is_what_the_constructors_write():
    for version in packets.VERSIONS:
        assert parse("10 LL HEAD 02 003c P 0001 'a'", version) == packets.connect(version, "a", keep_alive=60)
        assert parse("82 LL 0007 P 0001 'a' 01", version) == packets.subscribe(version, [("a", 1)], 7)
