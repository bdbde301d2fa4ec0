"""Every row of the tables of malformed packets: the broker must close the connection, and nothing else may come of it."""

import malformed_connect
import malformed_packets
from peer import connack_refuses
from registry import table


@table(malformed_connect.ROWS)
def test_malformed_connect(mqtt, row):
    """[MQTT-3.1.4-1]: closed, before 5.0 without a CONNACK; 5.0 may say why."""
    peer = mqtt.open()
    peer.send(row.packet(mqtt.version))
    answer = connack_refuses(peer, {row.code, *row.also, 0x80, 0x81, 0x82} if mqtt.is_v5 else set())
    if mqtt.is_v5 and mqtt.is_petrel and answer:
        assert answer.code in {row.code, *row.also}


@table(malformed_packets.FIRST)
def test_first_packet_is_not_connect(mqtt, row):
    """Closed without a word: a server sends no DISCONNECT before its CONNACK [MQTT-3.14.0-1]."""
    peer = mqtt.open()
    peer.send(row.packet(mqtt.version))
    assert peer.expect_closed() == []


def refuse(mqtt, row):
    peer = mqtt.client()
    peer.send(row.packet(mqtt.version))
    peer.expect_end(row.code, row.also)


@table(malformed_packets.FRAMES)
def test_malformed_frame(mqtt, row):
    refuse(mqtt, row)


@table(malformed_packets.PUBLISHES)
def test_malformed_publish(mqtt, row):
    refuse(mqtt, row)


@table(malformed_packets.SUBSCRIBES)
def test_malformed_subscribe(mqtt, row):
    refuse(mqtt, row)


@table(malformed_packets.UNSUBSCRIBES)
def test_malformed_unsubscribe(mqtt, row):
    refuse(mqtt, row)


@table(malformed_packets.ACKNOWLEDGEMENTS)
def test_malformed_acknowledgement(mqtt, row):
    refuse(mqtt, row)


@table(malformed_packets.ENDS)
def test_malformed_end(mqtt, row):
    refuse(mqtt, row)
