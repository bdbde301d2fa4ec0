"""MQTT packets to and from bytes, for 3.1, 3.1.1 and 5.0.

The constructors write what they are told, right or wrong: publish(V5, "a/b", b"x", qos=1, packet_id=7, props={"topic_alias": 0}).
Where even they are too strict, bytes take the place of a string or of the properties. decode() is the opposite: it takes only what
the specification allows a server to send, and names the statement that anything else violates.
"""

import dataclasses
import struct

from packet_socket import AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from packet_socket import SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, V5, V31, V311, packet, string, variable_length

VERSION_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5.0"}
VERSIONS = list(VERSION_NAMES)

UNSPECIFIED_ERROR, MALFORMED_PACKET, PROTOCOL_ERROR = 0x80, 0x81, 0x82

# What a property is made of: name -> (identifier, kind of value).
PROPERTIES = {
    "payload_format_indicator": (0x01, "byte"),
    "message_expiry_interval": (0x02, "four"),
    "content_type": (0x03, "string"),
    "response_topic": (0x08, "string"),
    "correlation_data": (0x09, "binary"),
    "subscription_identifier": (0x0B, "variable"),
    "session_expiry_interval": (0x11, "four"),
    "assigned_client_identifier": (0x12, "string"),
    "server_keep_alive": (0x13, "two"),
    "authentication_method": (0x15, "string"),
    "authentication_data": (0x16, "binary"),
    "request_problem_information": (0x17, "byte"),
    "will_delay_interval": (0x18, "four"),
    "request_response_information": (0x19, "byte"),
    "response_information": (0x1A, "string"),
    "server_reference": (0x1C, "string"),
    "reason_string": (0x1F, "string"),
    "receive_maximum": (0x21, "two"),
    "topic_alias_maximum": (0x22, "two"),
    "topic_alias": (0x23, "two"),
    "maximum_qos": (0x24, "byte"),
    "retain_available": (0x25, "byte"),
    "user_property": (0x26, "pair"),
    "maximum_packet_size": (0x27, "four"),
    "wildcard_subscription_available": (0x28, "byte"),
    "subscription_identifier_available": (0x29, "byte"),
    "shared_subscription_available": (0x2A, "byte"),
}
PROPERTY_NAMES = {identifier: (name, kind) for name, (identifier, kind) in PROPERTIES.items()}
REPEATABLE = {"user_property", "subscription_identifier"}
FLAGS = {"maximum_qos", "retain_available", "wildcard_subscription_available", "subscription_identifier_available"}
FLAGS |= {"shared_subscription_available", "payload_format_indicator"}
NEVER_ZERO = {"receive_maximum", "topic_alias", "maximum_packet_size", "subscription_identifier"}
PROBLEM = {"reason_string", "user_property"}

# Which properties a server may send, by packet.
FROM_SERVER = {
    CONNACK: PROBLEM
    | {"session_expiry_interval", "receive_maximum", "maximum_qos", "retain_available", "maximum_packet_size"}
    | {"assigned_client_identifier", "topic_alias_maximum", "wildcard_subscription_available", "server_keep_alive"}
    | {"subscription_identifier_available", "shared_subscription_available", "response_information", "server_reference"}
    | {"authentication_method", "authentication_data"},
    PUBLISH: {"payload_format_indicator", "message_expiry_interval", "topic_alias", "response_topic", "correlation_data"}
    | {"user_property", "subscription_identifier", "content_type"},
    PUBACK: PROBLEM,
    PUBREC: PROBLEM,
    PUBREL: PROBLEM,
    PUBCOMP: PROBLEM,
    SUBACK: PROBLEM,
    UNSUBACK: PROBLEM,
    DISCONNECT: PROBLEM | {"server_reference"},
    AUTH: PROBLEM | {"authentication_method", "authentication_data"},
}

# Which reason codes a server may send, by packet: the tables of 3.2.2.2, 3.4.2.1 and so on.
REASON_CODES = {
    CONNACK: {0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    PUBACK: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3)},
    AUTH: {0x00, 0x18},
}
CODE_STATEMENT = {
    CONNACK: "MQTT-3.2.2-8",
    PUBACK: "MQTT-3.4.2-1",
    PUBREC: "MQTT-3.5.2-1",
    PUBREL: "MQTT-3.6.2-1",
    PUBCOMP: "MQTT-3.7.2-1",
    SUBACK: "MQTT-3.9.3-2",
    UNSUBACK: "MQTT-3.11.3-2",
    DISCONNECT: "MQTT-3.14.2-1",
    AUTH: "MQTT-3.15.2-1",
}


class Violation(AssertionError):
    """A packet that no server may send."""


def require(condition, statement, what):
    if not condition:
        raise Violation(f"[{statement}] {what}")


# ---- to bytes


def binary(data):
    return struct.pack("!H", len(data)) + data


def encode_property(name, value):
    identifier, kind = PROPERTIES[name]
    encoders = {
        "byte": lambda: bytes([value]),
        "two": lambda: struct.pack("!H", value),
        "four": lambda: struct.pack("!I", value),
        "variable": lambda: variable_length(value),
        "string": lambda: string(value),
        "binary": lambda: binary(value),
        "pair": lambda: string(value[0]) + string(value[1]),
    }
    return bytes([identifier]) + encoders[kind]()


def properties(version, values):
    """The property block; nothing before 5.0. A list repeats a property; bytes are taken for the whole block."""
    if version < V5:
        return b""
    if isinstance(values, bytes):
        return values
    block = b""
    for name, value in (values or {}).items():
        for one in value if isinstance(value, list) else [value]:
            block += encode_property(name, one)
    return variable_length(len(block)) + block


@dataclasses.dataclass
class Will:
    topic: str | bytes
    payload: bytes = b"will"
    qos: int = 0
    retain: bool = False
    props: dict | None = None


def connect(
    version,
    client_id="",
    clean=True,
    keep_alive=0,
    props=None,
    will=None,
    user_name=None,
    password=None,
    flags=None,
    name=None,
    level=None,
):
    """`flags`, `name` and `level` take the place of what the other arguments make of them."""
    made = 0x02 if clean else 0
    payload = string(client_id)
    if will:
        made |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        payload += properties(version, will.props) + string(will.topic) + binary(will.payload)
    if user_name is not None:
        made |= 0x80
        payload += string(user_name)
    if password is not None:
        made |= 0x40
        payload += binary(password)
    head = string(name if name is not None else "MQIsdp" if version == V31 else "MQTT")
    head += bytes([version if level is None else level, made if flags is None else flags]) + struct.pack("!H", keep_alive)
    return packet(CONNECT, 0, head + properties(version, props) + payload)


def publish(version, topic, payload=b"", qos=0, packet_id=None, retain=False, dup=False, props=None):
    body = string(topic)
    if packet_id is not None:
        body += struct.pack("!H", packet_id)
    body += properties(version, props) + payload
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | (1 if retain else 0), body)


def acknowledge(version, kind, packet_id, code=None, props=None, flags=None):
    """PUBACK, PUBREC, PUBREL, PUBCOMP: the short form unless there is a code or a property to tell."""
    body = struct.pack("!H", packet_id)
    if version == V5 and (code is not None or props is not None):
        body += bytes([code or 0])
        if props is not None:
            body += properties(version, props)
    return packet(kind, (2 if kind == PUBREL else 0) if flags is None else flags, body)


def subscribe(version, filters, packet_id=1, props=None, flags=2):
    """`filters` is a list of (filter, options byte)."""
    body = struct.pack("!H", packet_id) + properties(version, props)
    for name, options in filters:
        body += string(name) + bytes([options])
    return packet(SUBSCRIBE, flags, body)


def unsubscribe(version, filters, packet_id=1, props=None, flags=2):
    body = struct.pack("!H", packet_id) + properties(version, props) + b"".join(string(name) for name in filters)
    return packet(UNSUBSCRIBE, flags, body)


def pingreq():
    return packet(PINGREQ, 0)


def disconnect(version, code=None, props=None, flags=0):
    body = b""
    if version == V5 and (code is not None or props is not None):
        body = bytes([code or 0]) + (properties(version, props) if props is not None else b"")
    return packet(DISCONNECT, flags, body)


def auth(code=None, props=None, flags=0):
    body = b"" if code is None and props is None else bytes([code or 0]) + properties(V5, props)
    return packet(AUTH, flags, body)


def options(qos=0, no_local=False, retain_as_published=False, retain_handling=0):
    """The Subscription Options byte of 5.0; before that only the QoS is there."""
    return qos | (4 if no_local else 0) | (8 if retain_as_published else 0) | retain_handling << 4


# ---- from bytes


@dataclasses.dataclass
class Packet:
    """`size` is that of the whole packet on the wire."""

    type: int
    size: int = dataclasses.field(default=0, kw_only=True)


@dataclasses.dataclass
class Connack(Packet):
    session_present: bool
    code: int
    props: dict


@dataclasses.dataclass
class Publish(Packet):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    props: dict


@dataclasses.dataclass
class Ack(Packet):
    """PUBACK, PUBREC, PUBREL, PUBCOMP."""

    packet_id: int
    code: int
    props: dict


@dataclasses.dataclass
class Suback(Packet):
    """SUBACK and UNSUBACK."""

    packet_id: int
    codes: list
    props: dict


@dataclasses.dataclass
class Disconnect(Packet):
    """DISCONNECT and AUTH."""

    code: int
    props: dict


class Reader:
    def __init__(self, body):
        self.body = body
        self.at = 0

    def left(self):
        return len(self.body) - self.at

    def take(self, count):
        require(count <= self.left(), "MQTT-4.13.1-1", f"the packet ends within a field: {self.body.hex(' ')}")
        self.at += count
        return self.body[self.at - count : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def variable(self):
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                require(byte or shift == 0, "MQTT-1.5.5-1", "a Variable Byte Integer of more bytes than it needs")
                return value
            shift += 7
            require(shift <= 21, "MQTT-1.5.5-1", "a Variable Byte Integer of more than four bytes")

    def data(self):
        return self.take(self.number(2))

    def string(self):
        data = self.data()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Violation(f"[MQTT-1.5.4-1] not UTF-8: {data.hex(' ')}") from None
        require("\0" not in text, "MQTT-1.5.4-2", "a string with U+0000")
        return text

    def value(self, kind):
        readers = {
            "byte": lambda: self.number(1),
            "two": lambda: self.number(2),
            "four": lambda: self.number(4),
            "variable": self.variable,
            "string": self.string,
            "binary": self.data,
            "pair": lambda: (self.string(), self.string()),
        }
        return readers[kind]()

    def properties(self, version, kind):
        """User properties and subscription identifiers as lists, all others as their value."""
        found = {}
        if version < V5:
            return found
        block = Reader(self.take(self.variable()))
        while block.left():
            identifier = block.variable()
            require(identifier in PROPERTY_NAMES, "MQTT-4.13.1-1", f"unknown property {identifier:#x}")
            name, type_ = PROPERTY_NAMES[identifier]
            statement = "MQTT-3.14.2-2" if kind == DISCONNECT and name == "session_expiry_interval" else "MQTT-4.13.1-1"
            require(name in FROM_SERVER[kind], statement, f"{name} in packet type {kind}")
            value = block.value(type_)
            require(name not in FLAGS or value in (0, 1), "MQTT-4.13.1-1", f"{name} = {value}")
            require(name not in NEVER_ZERO or value, "MQTT-4.13.1-1", f"{name} = 0")
            if name in REPEATABLE:
                found.setdefault(name, []).append(value)
            else:
                require(name not in found, "MQTT-4.13.1-1", f"{name} twice")
                found[name] = value
        return found


def decode(frame, version):
    """A frame that a server sent, as one of the packets above."""
    kind, flags, body = frame
    found = decode_body(kind, flags, body, version)
    found.size = 1 + len(variable_length(len(body))) + len(body)
    return found


def decode_body(kind, flags, body, version):
    reader = Reader(body)
    if kind == PUBLISH:
        return decode_publish(reader, flags, version)
    require(flags == (2 if kind == PUBREL else 0), "MQTT-2.1.3-1", f"packet type {kind} with flags {flags:#x}")
    decoders = {
        CONNACK: decode_connack,
        PUBACK: decode_ack,
        PUBREC: decode_ack,
        PUBREL: decode_ack,
        PUBCOMP: decode_ack,
        SUBACK: decode_suback,
        UNSUBACK: decode_suback,
        DISCONNECT: decode_disconnect,
        AUTH: decode_disconnect,
        PINGRESP: lambda reader, version, kind: Packet(kind),
    }
    require(kind in decoders, "MQTT-4.13.1-1", f"packet type {kind} from a server")
    found = decoders[kind](reader, version, kind)
    require(reader.left() == 0, "MQTT-4.13.1-1", f"packet type {kind} with bytes behind its end: {body.hex(' ')}")
    return found


def reason_code(code, version, kind):
    require(version < V5 or code in REASON_CODES[kind], CODE_STATEMENT[kind], f"reason code {code:#x} in packet type {kind}")
    return code


def decode_connack(reader, version, kind):
    acknowledge_flags = reader.number(1)
    require(acknowledge_flags <= (0 if version == V31 else 1), "MQTT-3.2.2-1", f"connect acknowledge flags {acknowledge_flags:#x}")
    code = reason_code(reader.number(1), version, kind)
    require(version == V5 or code <= 5, "MQTT-3.2.2-6", f"return code {code}")
    return Connack(kind, bool(acknowledge_flags), code, reader.properties(version, kind))


def decode_publish(reader, flags, version):
    qos = flags >> 1 & 3
    require(qos < 3, "MQTT-3.3.1-4", "QoS 3")
    require(qos or not flags & 8, "MQTT-3.3.1-2", "DUP with QoS 0")
    topic = reader.string()
    require("+" not in topic and "#" not in topic, "MQTT-3.3.2-2", f"wildcards in the topic name {topic}")
    packet_id = reader.number(2) if qos else 0
    require(packet_id or not qos, "MQTT-2.2.1-4", "packet identifier 0")
    props = reader.properties(version, PUBLISH)
    require(topic or "topic_alias" in props, "MQTT-4.7.3-1", "an empty topic name")
    payload = reader.take(reader.left())
    return Publish(PUBLISH, topic, payload, qos, bool(flags & 1), bool(flags & 8), packet_id, props)


def decode_ack(reader, version, kind):
    packet_id = reader.number(2)
    code, props = 0, {}
    if version == V5 and reader.left():
        code = reason_code(reader.number(1), version, kind)
        if reader.left():
            props = reader.properties(version, kind)
    return Ack(kind, packet_id, code, props)


def decode_suback(reader, version, kind):
    packet_id = reader.number(2)
    props = reader.properties(version, kind)
    if kind == UNSUBACK and version < V5:
        return Suback(kind, packet_id, [], props)
    codes = list(reader.take(reader.left()))
    for code in codes:
        reason_code(code, version, kind)
        require(version == V5 or code in (0, 1, 2, 0x80), "MQTT-3.9.3-2", f"return code {code:#x} in a SUBACK")
    return Suback(kind, packet_id, codes, props)


def decode_disconnect(reader, version, kind):
    require(version == V5, "MQTT-4.8.0-1", f"packet type {kind} from a server before 5.0")
    code, props = 0, {}
    if reader.left():
        code = reason_code(reader.number(1), version, kind)
        if reader.left():
            props = reader.properties(version, kind)
    return Disconnect(kind, code, props)
