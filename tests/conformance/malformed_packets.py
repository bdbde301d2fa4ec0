"""Packets that no server may accept from a connected client. The notation is that of registry.parse().

Where a statement only says what a packet must not hold, the duty to close comes from 5.0, 1.2 and 4.13: what cannot be parsed is
malformed, what is parsed and "not allowed by the protocol" is a Protocol Error, and both end the connection; from 4.8 in 3.1.1.
"""

from registry import Row

BEFORE_5 = "MQTT-4.8.0-1"
IN_5 = "MQTT-4.13.1-1"

FRAMES = [
    Row("type-0", "00 00", v5=IN_5, v311=BEFORE_5),
    Row("type-15", "f0 00", v311=BEFORE_5),
    Row("connack-from-client", "20 LL 0000 P", v5=IN_5, v311=BEFORE_5, code=0x82),
    Row("suback-from-client", "90 LL 0001 P 00", v5=IN_5, v311=BEFORE_5, code=0x82),
    Row("unsuback-from-client", "b0 LL 0001 P 00", v5=IN_5, code=0x82),
    Row("unsuback-from-client-3", "b0 LL 0001", v311=BEFORE_5),
    Row("pingresp-from-client", "d0 00", v5=IN_5, v311=BEFORE_5, code=0x82),
    Row("remaining-length-of-five-bytes", "30 ff ff ff ff 7f", v5="MQTT-1.5.5-1", v311=BEFORE_5, v31=None),
    Row("remaining-length-not-minimal", "c0 80 00", v5="MQTT-1.5.5-1"),
    Row("pingreq-with-body", "c0 01 00", v5=IN_5, v311=BEFORE_5),
    Row("disconnect-with-body", "e0 01 00", v311=BEFORE_5),
    # Reserved flags of the fixed header.
    Row("puback-flags", "41 02 0001", v5="MQTT-2.1.3-1", v311="MQTT-2.2.2-1 MQTT-2.2.2-2"),
    Row("pubrec-flags", "58 02 0001", v5="MQTT-2.1.3-1", v311="MQTT-2.2.2-1 MQTT-2.2.2-2"),
    Row("pubrel-flags-0", "60 02 0001", v5="MQTT-3.6.1-1", v311="MQTT-3.6.1-1"),
    Row("pubrel-flags-3", "63 02 0001", v5="MQTT-3.6.1-1", v311="MQTT-3.6.1-1"),
    Row("pubrel-flags-dup", "6a 02 0001", v5="MQTT-3.6.1-1", v311="MQTT-3.6.1-1"),
    Row("pubcomp-flags", "72 02 0001", v5="MQTT-2.1.3-1", v311="MQTT-2.2.2-1 MQTT-2.2.2-2"),
    Row("subscribe-flags-0", "80 LL 0001 P 0001 'a' 00", v5="MQTT-3.8.1-1", v311="MQTT-3.8.1-1"),
    Row("subscribe-flags-dup", "8a LL 0001 P 0001 'a' 00", v5="MQTT-3.8.1-1", v311="MQTT-3.8.1-1"),
    Row("unsubscribe-flags-0", "a0 LL 0001 P 0001 'a'", v5="MQTT-3.10.1-1", v311="MQTT-3.10.1-1"),
    Row("unsubscribe-flags-dup", "aa LL 0001 P 0001 'a'", v5="MQTT-3.10.1-1", v311="MQTT-3.10.1-1"),
    Row("pingreq-flags", "c1 00", v5="MQTT-2.1.3-1", v311="MQTT-2.2.2-1 MQTT-2.2.2-2"),
    Row("disconnect-flags", "e1 00", v5="MQTT-3.14.1-1", v311="MQTT-3.14.1-1"),
    Row("auth-flags", "f1 00", v5="MQTT-3.15.1-1", also=(0x82,)),
]

PUBLISHES = [
    Row("qos-3", "36 LL 0001 'a' 0001 P", v5="MQTT-3.3.1-4", v311="MQTT-3.3.1-4"),
    Row("dup-with-qos-0", "38 LL 0001 'a' P", v5="MQTT-3.3.1-2", v311="MQTT-3.3.1-2"),
    Row("packet-id-0", "32 LL 0001 'a' 0000 P", v5="MQTT-2.2.1-3", v311="MQTT-2.3.1-1", also=(0x82,)),
    Row("qos-2-packet-id-0", "34 LL 0001 'a' 0000 P", v5="MQTT-2.2.1-3", v311="MQTT-2.3.1-1", also=(0x82,)),
    Row("no-packet-id", "32 LL 0001 'a'", v5=IN_5, v311="MQTT-2.3.1-1", v31=None),
    Row("no-topic", "30 00", v5="MQTT-3.3.2-1", v311="MQTT-3.3.2-1", v31=None),
    Row("topic-longer-than-packet", "30 LL 0009 'a'", v5="MQTT-3.3.2-1", v311="MQTT-3.3.2-1", v31=None),
    Row("topic-not-utf8", "30 LL 0002 c328 P", v5="MQTT-1.5.4-1 MQTT-3.3.2-1", v311="MQTT-1.5.3-1 MQTT-3.3.2-1", also=(0x90,)),
    Row("topic-surrogate", "30 LL 0003 edbfbf P", v5="MQTT-1.5.4-1", v311="MQTT-1.5.3-1", also=(0x90,)),
    Row("topic-null", "30 LL 0003 'a' 00 'b' P", v5="MQTT-1.5.4-2 MQTT-4.7.3-2", v311="MQTT-1.5.3-2 MQTT-4.7.3-2", also=(0x90,)),
    Row(
        "topic-with-multi-level-wildcard", "30 LL 0003 'a/#' P",
        v5="MQTT-3.3.2-2 MQTT-4.7.0-1", v311="MQTT-3.3.2-2 MQTT-4.7.1-1", v31=None, code=0x90,
    ),
    Row(
        "topic-with-single-level-wildcard", "30 LL 0003 'a/+' P",
        v5="MQTT-3.3.2-2 MQTT-4.7.0-1", v311="MQTT-3.3.2-2 MQTT-4.7.1-1", v31=None, code=0x90,
    ),
    Row("topic-empty", "30 LL 0000 P", v5="MQTT-4.7.3-1", v311="MQTT-4.7.3-1", code=0x82, also=(0x90,)),
    # The properties of 5.0.
    Row("no-properties", "30 LL 0001 'a'", v5="MQTT-2.2.2-1"),
    Row("property-length-beyond-packet", "30 LL 0001 'a' 7f", v5=IN_5),
    Row("property-length-not-minimal", "30 LL 0001 'a' 8000", v5="MQTT-1.5.5-1"),
    Row("unknown-property", "30 LL 0001 'a' 02 7f00", v5=IN_5),
    Row("property-of-connect", "30 LL 0001 'a' 05 1100000001", v5=IN_5),
    Row("payload-format-twice", "30 LL 0001 'a' 04 0100 0100", v5=IN_5, code=0x82),
    Row("payload-format-2", "30 LL 0001 'a' 02 0102", v5=IN_5, also=(0x82, 0x99)),
    Row("message-expiry-twice", "30 LL 0001 'a' 0a 0200000001 0200000001", v5=IN_5, code=0x82),
    Row("content-type-twice", "30 LL 0001 'a' 08 03 0001 'x' 03 0001 'x'", v5=IN_5, code=0x82),
    Row("content-type-not-utf8", "30 LL 0001 'a' 04 03 0001 ff", v5="MQTT-3.3.2-19"),
    Row("response-topic-twice", "30 LL 0001 'a' 08 08 0001 'x' 08 0001 'x'", v5=IN_5, code=0x82),
    Row("response-topic-not-utf8", "30 LL 0001 'a' 04 08 0001 ff", v5="MQTT-3.3.2-13", also=(0x90,)),
    Row("response-topic-wildcard", "30 LL 0001 'a' 06 08 0003 'r/+'", v5="MQTT-3.3.2-14", code=0x82, also=(0x81, 0x90)),
    Row("correlation-data-twice", "30 LL 0001 'a' 08 09 0001 'x' 09 0001 'x'", v5=IN_5, code=0x82),
    Row("user-property-not-utf8", "30 LL 0001 'a' 07 26 0001 ff 0001 'v'", v5="MQTT-1.5.7-1"),
    Row("user-property-value-null", "30 LL 0001 'a' 07 26 0001 'k' 0001 00", v5="MQTT-1.5.7-1"),
    Row("user-property-without-value", "30 LL 0001 'a' 04 26 0001 'k'", v5=IN_5),
    Row("subscription-identifier", "30 LL 0001 'a' 02 0b01", v5="MQTT-3.3.4-6", code=0x82),
    Row("topic-alias-0", "30 LL 0001 'a' 03 230000", v5="MQTT-3.3.2-8", code=0x94),
    Row("topic-alias-twice", "30 LL 0001 'a' 06 230001 230002", v5=IN_5, code=0x82),
    Row("topic-alias-not-defined", "30 LL 0000 03 230001", v5=IN_5, code=0x82, also=(0x94,)),
]

SUBSCRIBES = [
    Row("packet-id-0", "82 LL 0000 P 0001 'a' 00", v5="MQTT-2.2.1-3", v311="MQTT-2.3.1-1", also=(0x82,)),
    Row("no-filter", "82 LL 0001 P", v5="MQTT-3.8.3-2", v311="MQTT-3.8.3-3", code=0x82),
    Row("no-options", "82 LL 0001 P 0001 'a'", v5=IN_5, v311="MQTT-3.8.3-3", v31=None),
    Row("empty", "82 00", v5=IN_5, v311="MQTT-2.3.1-1", v31=None),
    Row("filter-longer-than-packet", "82 LL 0001 P 0009 'a' 00", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("filter-not-utf8", "82 LL 0001 P 0001 ff 00", v5="MQTT-3.8.3-1 MQTT-1.5.4-1", v311="MQTT-3.8.3-1 MQTT-1.5.3-1", also=(0x8F,)),
    Row("filter-null", "82 LL 0001 P 0003 'a' 00 'b' 00", v5="MQTT-1.5.4-2 MQTT-4.7.3-2", v311="MQTT-1.5.3-2 MQTT-4.7.3-2", also=(0x8F,)),
    Row("second-filter-not-utf8", "82 LL 0001 P 0001 'a' 00 0001 ff 00", v5="MQTT-3.8.3-1", v311="MQTT-3.8.3-1", also=(0x8F,)),
    Row("qos-3", "82 LL 0001 P 0001 'a' 03", v5=IN_5, v311="MQTT-3.8.3-4", code=0x82),
    Row("reserved-option-bits", "82 LL 0001 P 0001 'a' 40", v5="MQTT-3.8.3-5", v311="MQTT-3.8.3-4"),
    Row("reserved-option-bit-7", "82 LL 0001 P 0001 'a' 80", v5="MQTT-3.8.3-5", v311="MQTT-3.8.3-4"),
    Row("options-of-5.0", "82 LL 0001 0001 'a' 04", v311="MQTT-3.8.3-4"),
    Row("retain-handling-3", "82 LL 0001 P 0001 'a' 30", v5=IN_5, code=0x82),
    Row("no-local-on-shared", "82 LL 0001 P 000a '$share/g/a' 04", v5="MQTT-3.8.3-4", code=0x82),
    Row("identifier-0", "82 LL 0001 02 0b00 0001 'a' 00", v5=IN_5, code=0x82),
    Row("identifier-twice", "82 LL 0001 04 0b01 0b02 0001 'a' 00", v5=IN_5, code=0x82),
    Row("identifier-not-minimal", "82 LL 0001 03 0b8100 0001 'a' 00", v5="MQTT-1.5.5-1"),
    Row("identifier-of-five-bytes", "82 LL 0001 06 0b ffffffff7f 0001 'a' 00", v5="MQTT-1.5.5-1"),
    Row("property-of-connect", "82 LL 0001 03 210001 0001 'a' 00", v5=IN_5),
    Row("user-property-not-utf8", "82 LL 0001 07 26 0001 'k' 0001 ff 0001 'a' 00", v5="MQTT-1.5.7-1"),
]

UNSUBSCRIBES = [
    Row("packet-id-0", "a2 LL 0000 P 0001 'a'", v5="MQTT-2.2.1-3", v311="MQTT-2.3.1-1", also=(0x82,)),
    Row("no-filter", "a2 LL 0001 P", v5="MQTT-3.10.3-2", v311="MQTT-3.10.3-2", code=0x82),
    Row("empty", "a2 00", v5=IN_5, v311="MQTT-2.3.1-1", v31=None),
    Row("filter-not-utf8", "a2 LL 0001 P 0001 ff", v5="MQTT-3.10.3-1 MQTT-1.5.4-1", v311="MQTT-3.10.3-1 MQTT-1.5.3-1", also=(0x8F,)),
    Row("filter-null", "a2 LL 0001 P 0003 'a' 00 'b'", v5="MQTT-1.5.4-2", v311="MQTT-1.5.3-2", also=(0x8F,)),
    Row("filter-longer-than-packet", "a2 LL 0001 P 0009 'a'", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("property-of-subscribe", "a2 LL 0001 02 0b01 0001 'a'", v5=IN_5),
]

ACKNOWLEDGEMENTS = [
    Row("puback-cut-short", "40 01 00", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("puback-empty", "40 00", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("puback-longer-than-3.1.1", "40 03 0001 00", v311=BEFORE_5),
    Row("puback-property-twice", "40 LL 0001 00 08 1f 0001 'x' 1f 0001 'x'", v5=IN_5, code=0x82),
    Row("puback-property-of-publish", "40 LL 0001 00 03 230001", v5=IN_5),
    Row("puback-reason-string-not-utf8", "40 LL 0001 00 04 1f 0001 ff", v5="MQTT-1.5.4-1"),
    Row("puback-bytes-behind-properties", "40 LL 0001 00 00 00", v5=IN_5),
    Row("puback-unknown-reason", "40 LL 0001 01", v5="MQTT-3.4.2-1", also=(0x82,)),
    Row("pubrec-unknown-reason", "50 LL 0001 01", v5="MQTT-3.5.2-1", also=(0x82,)),
    Row("pubrel-unknown-reason", "62 LL 0001 10", v5="MQTT-3.6.2-1", also=(0x82,)),
    Row("pubcomp-unknown-reason", "70 LL 0001 10", v5="MQTT-3.7.2-1", also=(0x82,)),
    Row("pubrec-cut-short", "50 01 00", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("pubrel-cut-short", "62 01 00", v5=IN_5, v311=BEFORE_5, v31=None),
    Row("pubrel-property-of-publish", "62 LL 0001 00 02 0100", v5=IN_5),
    Row("pubcomp-cut-short", "70 01 00", v5=IN_5, v311=BEFORE_5, v31=None),
]

ENDS = [
    Row("disconnect-unknown-reason", "e0 LL 01", v5="MQTT-3.14.2-1", also=(0x82,)),
    Row("disconnect-reason-of-server", "e0 LL 8e 00", v5="MQTT-3.14.2-1", also=(0x82,)),
    Row("disconnect-property-of-publish", "e0 LL 00 03 230001", v5=IN_5),
    Row("disconnect-session-expiry-twice", "e0 LL 00 0a 1100000000 1100000000", v5=IN_5, code=0x82),
    Row("disconnect-session-expiry-where-none-was", "e0 LL 00 05 1100000001", v5=IN_5, code=0x82),
    Row("disconnect-properties-beyond-packet", "e0 LL 00 05 11", v5=IN_5),
    Row("auth-without-method-in-connect", "f0 LL 18 04 15 0001 'x'", v5="MQTT-4.12.0-7", code=0x82),
    Row("auth-empty", "f0 00", v5="MQTT-4.12.0-7", code=0x82),
]

# What may not come before CONNECT.
FIRST = [
    Row("publish", "30 LL 0001 'a' P", v5="MQTT-3.1.0-1 MQTT-3.14.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("puback", "40 02 0001", v5="MQTT-3.1.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("subscribe", "82 LL 0001 P 0001 'a' 00", v5="MQTT-3.1.0-1 MQTT-3.14.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("unsubscribe", "a2 LL 0001 P 0001 'a'", v5="MQTT-3.1.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("pingreq", "c0 00", v5="MQTT-3.1.0-1 MQTT-3.14.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("disconnect", "e0 00", v5="MQTT-3.1.0-1", v311="MQTT-3.1.0-1", v31=None),
    Row("auth", "f0 LL 18 04 15 0001 'x'", v5="MQTT-3.1.0-1"),
    Row("type-0", "00 00", v5="MQTT-3.1.0-1", v311="MQTT-3.1.0-1", v31=None),
]
