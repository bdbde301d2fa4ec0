#!/usr/bin/env python3
"""Writes the packets of the conformance tables as seeds for the fuzz targets: DIR/decode_v31, decode_v311 and decode_v5 get a file
for each packet, malformed and well-formed ones alike. A byte of zero stands before it: for these targets the sender is a client.

    tests/conformance/export_seeds.py DIR
"""

import pathlib
import sys

SENT_BY_CLIENT = b"\x00"
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import malformed_connect  # noqa: E402
import malformed_packets  # noqa: E402
import packets  # noqa: E402
from packets import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V31, V311  # noqa: E402

FOLDERS = {V31: "decode_v31", V311: "decode_v311", V5: "decode_v5"}
TABLES = {
    "connect": malformed_connect.ROWS,
    "frame": malformed_packets.FRAMES,
    "publish": malformed_packets.PUBLISHES,
    "subscribe": malformed_packets.SUBSCRIBES,
    "unsubscribe": malformed_packets.UNSUBSCRIBES,
    "acknowledgement": malformed_packets.ACKNOWLEDGEMENTS,
    "end": malformed_packets.ENDS,
    "first": malformed_packets.FIRST,
}
MESSAGE = {
    "payload_format_indicator": 1,
    "message_expiry_interval": 60,
    "content_type": "text/plain",
    "response_topic": "r",
    "correlation_data": b"\x00\x01",
    "user_property": [("k", "v"), ("k", "w")],
}
PROBLEM = {"reason_string": "why", "user_property": [("k", "v")]}


def well_formed(version):
    """One packet of each kind, with all that may be in it."""
    if version == V5:
        connect_props = {"session_expiry_interval": 60, "receive_maximum": 10, "maximum_packet_size": 1000, "topic_alias_maximum": 5}
        connect_props |= {"request_response_information": 1, "request_problem_information": 1, "user_property": [("k", "v")]}
        connect_props |= {"authentication_method": "m", "authentication_data": b"d"}
        yield "auth", packets.auth(0x18, {"authentication_method": "m", "authentication_data": b"d", **PROBLEM})
    else:
        connect_props = None
    will = packets.Will("w", b"gone", 1, True, {"will_delay_interval": 5, **MESSAGE})
    yield "connect", packets.connect(version, "c", keep_alive=60, props=connect_props, will=will, user_name="u", password=b"p")
    yield "publish-qos-0", packets.publish(version, "a/b", b"payload", retain=True, props={"topic_alias": 1, **MESSAGE})
    yield "publish-qos-2", packets.publish(version, "a/b", b"payload", 2, 7, dup=True, props=MESSAGE)
    for name, kind in (("puback", PUBACK), ("pubrec", PUBREC), ("pubrel", PUBREL), ("pubcomp", PUBCOMP)):
        yield name, packets.acknowledge(version, kind, 7)
        yield f"{name}-long", packets.acknowledge(version, kind, 7, 0, PROBLEM)
    identifier = {"subscription_identifier": 268435455, "user_property": [("k", "v")]}
    options = packets.options(2, retain_as_published=True, retain_handling=1) if version == V5 else 2
    yield "subscribe", packets.subscribe(version, [("a/+/#", options), ("b", 0)], props=identifier)
    yield "unsubscribe", packets.unsubscribe(version, ["a/+/#", "b"], props={"user_property": [("k", "v")]})
    yield "pingreq", packets.pingreq()
    yield "disconnect", packets.disconnect(version, 4, {"session_expiry_interval": 60, **PROBLEM})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for version, folder in FOLDERS.items():
        target = pathlib.Path(sys.argv[1]) / folder
        target.mkdir(parents=True, exist_ok=True)
        for table, rows in TABLES.items():
            for row in rows:
                if version in row.numbers:
                    (target / f"{table}-{row.name}").write_bytes(SENT_BY_CLIENT + row.packet(version))
        for name, data in well_formed(version):
            (target / f"good-{name}").write_bytes(SENT_BY_CLIENT + data)


if __name__ == "__main__":
    main()
