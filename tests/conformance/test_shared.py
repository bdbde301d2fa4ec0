"""Shared subscriptions (5.0, 4.8.2)."""

import packets
from packets import PUBACK, PUBREC, PUBREL, V5, options
from registry import statement


def group(mqtt, name="g", text="t"):
    return f"$share/{name}{mqtt.run}x{mqtt.number}/{mqtt.topic(text)}"


@statement(v5="MQTT-4.8.2-1")
def test_each_message_goes_to_one_member(mqtt):
    """And all of them to an ordinary subscriber beside them."""
    members = [mqtt.client(), mqtt.client()]
    for member in members:
        member.subscribe(group(mqtt), qos=1)
    other = mqtt.client()
    other.subscribe(mqtt.topic(), qos=1)
    publisher = mqtt.client()
    for index in range(20):
        publisher.publish(mqtt.topic(), b"%d" % index, 1)
    assert [int(other.take_acknowledged().payload) for _ in range(20)] == list(range(20))
    heard = collect(mqtt, members, publisher)
    assert sorted(int(found.payload) for found in heard) == list(range(20))


def collect(mqtt, members, publisher):
    """All that members have got, told by a fence that each has subscribed to beside the group."""
    heard = []
    for member in members:
        member.subscribe(mqtt.topic("fence"), qos=1, packet_id=9)
    publisher.publish(mqtt.topic("fence"), b"fence", 1)
    for member in members:
        while (found := member.take_acknowledged()).payload != b"fence":
            heard.append(found)
    return heard


@statement(v5="MQTT-4.8.2-1")
def test_groups_are_independent(mqtt):
    """Two share names on one filter are two subscriptions: each gets every message."""
    first, second = mqtt.client(), mqtt.client()
    first.subscribe(group(mqtt, "a"))
    second.subscribe(group(mqtt, "b"))
    mqtt.client().publish(mqtt.topic(), b"x")
    assert first.take().payload == second.take().payload == b"x"


@statement(v5="MQTT-4.8.2-1 MQTT-4.8.2-2")
def test_filter_of_a_group_may_have_wildcards(mqtt):
    member = mqtt.client()
    member.subscribe(group(mqtt, text="+/#"))
    mqtt.client().publish(mqtt.topic("a/b"), b"x")
    assert member.take().topic == mqtt.topic("a/b")


@statement(v5="MQTT-4.8.2-1 MQTT-4.8.2-2")
def test_malformed_shared_filters_are_refused(mqtt):
    """No share name, wildcards in it, no filter behind it: a failure in the SUBACK, or the end of the connection."""
    for name in ("$share/", "$share//a", "$share/g", "$share/g/", "$share/g+/a", "$share/+/a", "$share/#/a", "$share/g#/a"):
        peer = mqtt.client()
        peer.send(packets.subscribe(V5, [(name, 0)]))
        found = peer.read()
        if found is not None and found.type == packets.SUBACK:
            assert found.codes[0] >= 0x80, f"{name} was granted"
        elif found is not None:
            assert found.type == packets.DISCONNECT and found.code >= 0x80 and peer.read() is None


@statement(v5="MQTT-4.8.2-3")
def test_each_member_has_its_own_qos(mqtt):
    members = {0: mqtt.client(), 1: mqtt.client(), 2: mqtt.client()}
    for qos, member in members.items():
        member.subscribe(group(mqtt), qos=qos)
    publisher = mqtt.client()
    for _ in range(12):
        publisher.publish(mqtt.topic(), b"x", 2)
    heard = 0
    for qos, member in members.items():
        for found in collect(mqtt, [member], publisher):
            assert found.qos == qos
            heard += 1
    assert heard == 12


@statement(v5="MQTT-4.8.2-4")
def test_qos_2_delivery_is_completed_with_the_same_client(mqtt):
    """The chosen member's connection breaks before PUBREC; the other member is there, and does not get the message."""
    chosen = mqtt.lasting("chosen")
    chosen.subscribe(group(mqtt), qos=2)
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"x", 2)
    first = chosen.take()
    other = mqtt.client()
    other.subscribe(group(mqtt), qos=2)
    chosen.disconnect()
    other.expect_nothing()
    back = mqtt.lasting("chosen")
    again = back.take_acknowledged()
    assert (again.packet_id, again.payload, again.dup) == (first.packet_id, b"x", True)


@statement(v5="MQTT-4.8.2-5")
def test_qos_2_message_of_an_ended_session_goes_to_nobody(mqtt):
    """The chosen member's session ends before it has answered."""
    chosen = mqtt.client("chosen")
    chosen.subscribe(group(mqtt), qos=2)
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"x", 2)
    chosen.take()
    other = mqtt.client()
    other.subscribe(group(mqtt), qos=2)
    chosen.disconnect()
    other.expect_nothing()


@statement(v5="MQTT-4.8.2-6")
def test_message_that_a_member_refuses_goes_to_nobody(mqtt):
    """PUBACK and PUBREC with 0x80 and above."""
    chosen, other = mqtt.client(), mqtt.client()
    chosen.subscribe(group(mqtt), qos=2)
    publisher = mqtt.client()
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        publisher.publish(mqtt.topic(), b"x", qos)
        chosen.acknowledge(kind, chosen.take().packet_id, 0x80)
    chosen.ping()
    other.subscribe(group(mqtt), qos=2)
    chosen.unsubscribe(group(mqtt))
    assert PUBREL not in [found.type for found in chosen.early]
    other.expect_nothing()


@statement(v5="MQTT-3.10.4-1")
def test_unsubscribe_of_one_member(mqtt):
    """By its whole filter; the other member goes on."""
    leaving, staying = mqtt.client(), mqtt.client()
    for member in (leaving, staying):
        member.subscribe(group(mqtt), qos=1)
    assert leaving.unsubscribe(mqtt.topic()).codes == [0x11]
    assert leaving.unsubscribe(group(mqtt)).codes == [0]
    publisher = mqtt.client()
    for index in range(4):
        publisher.publish(mqtt.topic(), b"%d" % index, 1)
    assert [int(staying.take_acknowledged().payload) for _ in range(4)] == [0, 1, 2, 3]
    leaving.expect_nothing()


@statement(v5="MQTT-3.3.1-9")
def test_no_retained_messages_for_shared_subscriptions(mqtt):
    """They are for new subscriptions that are not shared (3.3.1.3): not even the first member gets any."""
    mqtt.client().publish(mqtt.topic(), b"retained", retain=True)
    member = mqtt.client()
    member.subscribe((group(mqtt), options(1)))
    member.expect_nothing()


@statement(v5="MQTT-3.3.4-3")
def test_identifier_of_a_shared_subscription(mqtt):
    member = mqtt.client()
    member.subscribe(group(mqtt), props={"subscription_identifier": 9})
    mqtt.client().publish(mqtt.topic(), b"x")
    assert member.take().props["subscription_identifier"] == [9]
