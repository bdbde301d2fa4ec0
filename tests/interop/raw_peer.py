"""A client made of bytes, for what a well-behaved client library does not let one see or do."""

import collections
import struct

# The tests know these names by this module.
from packet_socket import CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK
from packet_socket import UNSUBSCRIBE, V5, V31, V311, PacketSocket, packet, string, variable_length
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

Connack = collections.namedtuple("Connack", "session_present code properties")
Publish = collections.namedtuple("Publish", "topic payload qos retain dup packet_id properties size")


def properties(kind, **values):
    """Properties of packet type `kind`, named as paho names them; a list repeats a user property."""
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def packed(version, kind, values):
    if version < V5:
        return b""
    return (values or Properties(kind)).pack()


def connect_packet(client_id, version=V5, clean=True, keep_alive=0, props=None, will=None):
    """`will` is (topic, payload, qos, retain, properties)."""
    name = "MQIsdp" if version == V31 else "MQTT"
    flags = 0x02 if clean else 0
    payload = string(client_id)
    if will:
        topic, message, qos, retain, will_props = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        payload += packed(version, PacketTypes.WILLMESSAGE, will_props) + string(topic) + string(message)
    head = string(name) + bytes([version, flags]) + struct.pack("!H", keep_alive)
    return packet(CONNECT, 0, head + packed(version, PacketTypes.CONNECT, props) + payload)


def publish_packet(topic, payload=b"", version=V5, qos=0, packet_id=0, retain=False, dup=False, props=None):
    body = string(topic)
    if qos:
        body += struct.pack("!H", packet_id)
    body += packed(version, PacketTypes.PUBLISH, props) + payload
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | (1 if retain else 0), body)


def subscribe_packet(filters, version=V5, packet_id=1, props=None):
    """`filters` is a list of (filter, options byte)."""
    body = struct.pack("!H", packet_id) + packed(version, PacketTypes.SUBSCRIBE, props)
    for name, options in filters:
        body += string(name) + bytes([options])
    return packet(SUBSCRIBE, 2, body)


class RawPeer(PacketSocket):
    """A client of one protocol version."""

    def __init__(self, broker, version=V5, timeout_s=10.0, receive_buffer=None):
        super().__init__(broker.host, broker.port, timeout_s, receive_buffer)
        self.version = version

    def connect(self, client_id="", clean=True, keep_alive=0, props=None, will=None, code=0):
        self.send(connect_packet(client_id, self.version, clean, keep_alive, props, will))
        body = self.expect(CONNACK).body
        values = Properties(PacketTypes.CONNACK)
        if self.version == V5:
            values.unpack(body[2:])
        found = Connack(bool(body[0] & 1), body[1], values)
        assert found.code == code, f"CONNACK with {found.code:#x}, not {code:#x}"
        return found

    def subscribe(self, name, options=0, packet_id=1, props=None):
        self.send(subscribe_packet([(name, options)], self.version, packet_id, props))
        code = self.expect(SUBACK).body[-1]
        assert code < 0x80, f"SUBACK with {code:#x}"
        return code

    def publish(self, topic, payload=b"", **more):
        self.send(publish_packet(topic, payload, self.version, **more))
        if more.get("qos") == 1:
            self.expect(PUBACK)
        if more.get("qos") == 2:
            self.expect(PUBREC)
            self.send(packet(PUBREL, 2, struct.pack("!H", more["packet_id"])))
            self.expect(PUBCOMP)

    def read_publish(self, timeout_s=None):
        found = self.read(timeout_s)
        assert found is not None, "the broker closed the connection where a PUBLISH was due"
        assert found.type == PUBLISH, f"packet type {found.type} where a PUBLISH was due: {found}"
        return self.decode_publish(found)

    def decode_publish(self, found):
        body = found.body
        at = 2 + struct.unpack_from("!H", body)[0]
        topic = body[2:at].decode()
        qos = found.flags >> 1 & 3
        packet_id = 0
        if qos:
            packet_id = struct.unpack_from("!H", body, at)[0]
            at += 2
        values = Properties(PacketTypes.PUBLISH)
        if self.version == V5:
            _, used = values.unpack(body[at:])
            at += used
        return Publish(topic, body[at:], qos, bool(found.flags & 1), bool(found.flags & 8), packet_id, values, len(body))

    def acknowledge(self, message):
        """Ends the delivery of a QoS 1 message."""
        self.send(packet(PUBACK, 0, struct.pack("!H", message.packet_id)))

    def ping(self):
        """A round trip: publishes that arrive before the answer are kept for later reads."""
        self.send(packet(PINGREQ, 0))
        self.expect(PINGRESP)

    def disconnect(self, reason=None, props=None):
        body = b""
        if reason is not None:
            body = bytes([reason]) + (props or Properties(PacketTypes.DISCONNECT)).pack()
        self.send(packet(DISCONNECT, 0, body))
        self.expect_closed()
        self.close()


def disconnect_reason(packets):
    """The reason code of the DISCONNECT among the last packets of a v5 connection, None if there was none."""
    for found in packets:
        if found.type == DISCONNECT:
            return found.body[0] if found.body else 0
    return None
