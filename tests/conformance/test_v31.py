"""Where MQTT 3.1 (MQIsdp, level 3) differs from 3.1.1. Its statements have no numbers; statements/v31.toml gives them some."""

import packets
from packets import CONNACK, PUBCOMP, PUBREC, PUBREL, SUBACK, UNSUBACK, V31
from peer import connack_refuses
from registry import parse, statement


@statement(v31="MQIsdp-3.1-1")
def test_name_and_level(mqtt):
    peer = mqtt.open()
    peer.send(parse(f"10 LL 0006 'MQIsdp' 03 02 003c 0017 '{mqtt.client_id().ljust(23, 'x')}'", V31))
    assert peer.expect(CONNACK).code == 0
    peer.ping()


@statement(v31="MQIsdp-3.1-1")
def test_name_and_level_of_different_versions(mqtt):
    """MQIsdp with level 4, MQTT with level 3: neither is a protocol; the connection is not accepted."""
    for name, level in (("MQIsdp", 4), ("MQTT", 3), ("MQIsdp", 5)):
        peer = mqtt.open()
        peer.send(packets.connect(V31, mqtt.client_id(), name=name, level=level))
        connack_refuses(peer, {1})


@statement(v31="MQIsdp-3.1-2")
def test_empty_client_id_is_refused(mqtt):
    for clean in (True, False):
        peer = mqtt.open()
        peer.send(packets.connect(V31, "", clean=clean))
        assert connack_refuses(peer, {2}) is not None


@statement(v31="MQIsdp-3.1-3")
def test_user_name_flag_without_user_name(mqtt):
    """The Remaining Length goes before the flags: with nothing behind the client id, there is no user name, and that is valid."""
    for flags in ("82", "c2"):
        peer = mqtt.open()
        peer.send(parse(f"10 LL HEAD {flags} 003c 0017 '{mqtt.client_id().ljust(23, 'x')}'", V31))
        assert peer.expect(CONNACK).code == 0


@statement(v31="MQIsdp-3.2-1")
def test_connack_has_no_session_present(mqtt):
    """The byte is reserved and not used; packets.decode() takes only 0."""
    mqtt.lasting().disconnect()
    assert mqtt.lasting().connack.code == 0


@statement(v31="MQIsdp-3.2-2")
def test_session_is_resumed_without_a_word(mqtt):
    first = mqtt.lasting()
    first.subscribe(mqtt.topic(), qos=1)
    first.disconnect()
    mqtt.client().publish(mqtt.topic(), b"x", 1)
    assert mqtt.lasting().take_acknowledged().payload == b"x"


@statement(v31="MQIsdp-2.1-1")
def test_dup_in_subscribe_unsubscribe_and_pubrel(mqtt):
    """A client may send these again, with DUP (2.1); 3.1.1 has reserved the bit."""
    peer = mqtt.client()
    peer.send(packets.subscribe(V31, [(mqtt.topic(), 1)], packet_id=1, flags=10))
    assert peer.expect(SUBACK).packet_id == 1
    peer.send(packets.unsubscribe(V31, [mqtt.topic()], packet_id=2, flags=10))
    assert peer.expect(UNSUBACK).packet_id == 2
    peer.send(packets.publish(V31, mqtt.topic(), b"x", 2, 3))
    assert peer.expect(PUBREC).packet_id == 3
    for _ in range(2):
        peer.send(packets.acknowledge(V31, PUBREL, 3, flags=10))
        assert peer.expect(PUBCOMP).packet_id == 3


@statement(v31="MQIsdp-3.9-1")
def test_suback_grants_a_qos(mqtt):
    """There is no failure code in 3.1: each byte is a QoS."""
    peer = mqtt.client()
    assert peer.subscribe((mqtt.topic("a"), 2), (mqtt.topic("b"), 0), (mqtt.topic("c"), 1)).codes == [2, 0, 1]


@statement(v31="MQIsdp-3.8-1")
def test_upper_bits_of_the_requested_qos(mqtt):
    """They are reserved and not used: the QoS is granted; a server that would rather close the connection may."""
    peer = mqtt.client()
    peer.send(packets.subscribe(V31, [(mqtt.topic(), 0xFD)]))
    found = peer.read()
    assert found is None or found.codes == [1]
