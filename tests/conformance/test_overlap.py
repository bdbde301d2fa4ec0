"""Overlapping subscriptions, subscription identifiers, No Local (3.3.4, 3.8.3.1)."""

from packets import options
from registry import statement


@statement(v5="MQTT-3.3.4-3 MQTT-3.3.4-4")
def test_subscription_identifier(mqtt):
    subscriber = mqtt.client()
    for name, identifier in (("a", 1), ("b", 268435455)):
        subscriber.subscribe(mqtt.topic(name), props={"subscription_identifier": identifier})
        mqtt.client().publish(mqtt.topic(name), b"x")
        assert subscriber.take().props["subscription_identifier"] == [identifier]
    subscriber.subscribe(mqtt.topic("c"))
    mqtt.client().publish(mqtt.topic("c"), b"x")
    assert "subscription_identifier" not in subscriber.take().props


@statement(v5="MQTT-3.3.4-2 MQTT-3.3.4-3 MQTT-3.3.4-4 MQTT-3.3.4-5")
def test_overlapping_subscriptions_with_identifiers(mqtt):
    """In one copy all identifiers, or in each copy its own; the highest QoS of the matching ones is kept to."""
    subscriber = mqtt.client()
    for name, qos, identifier in (("a", 0, 1), ("+", 2, 2), ("#", 1, 3)):
        subscriber.subscribe(mqtt.topic(name), qos=qos, props={"subscription_identifier": identifier})
    subscriber.subscribe(mqtt.topic("a/#"), qos=0)
    mqtt.client().publish(mqtt.topic("a"), b"x", 2)
    mqtt.client().publish(mqtt.topic("fence/fence"), b"fence", 0)
    copies = []
    while (found := subscriber.take_acknowledged()).payload != b"fence":
        copies.append(found)
    identifiers = [sorted(found.props.get("subscription_identifier", [])) for found in copies]
    assert max(found.qos for found in copies) == 2
    if len(copies) == 1:
        assert identifiers == [[1, 2, 3]]
    else:
        assert sorted(identifiers) == [[], [1], [2], [3]]
        assert {found.props.get("subscription_identifier", [0])[0]: found.qos for found in copies} == {0: 0, 1: 0, 2: 2, 3: 1}


@statement(v5="MQTT-3.8.4-3 MQTT-3.3.4-3")
def test_new_subscribe_replaces_the_identifier(mqtt):
    subscriber = mqtt.client()
    for props, expected in (({"subscription_identifier": 1}, [1]), ({"subscription_identifier": 2}, [2]), (None, None)):
        subscriber.subscribe(mqtt.topic(), props=props)
        mqtt.client().publish(mqtt.topic(), b"x")
        assert subscriber.take().props.get("subscription_identifier") == expected
        subscriber.expect_nothing()


@statement(v5="MQTT-3.3.4-3 MQTT-3.1.2-5")
def test_identifier_is_part_of_the_session(mqtt):
    subscriber = mqtt.lasting()
    subscriber.subscribe(mqtt.topic(), qos=1, props={"subscription_identifier": 77})
    subscriber.disconnect()
    mqtt.client().publish(mqtt.topic(), b"waits", 1)
    back = mqtt.lasting()
    mqtt.client().publish(mqtt.topic(), b"live", 1)
    assert [back.take_acknowledged().props["subscription_identifier"] for _ in range(2)] == [[77], [77]]


@statement(v5="MQTT-3.3.4-3")
def test_identifier_with_retained_messages(mqtt):
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), props={"subscription_identifier": 5})
    assert subscriber.take().props["subscription_identifier"] == [5]


@statement(v5="MQTT-3.3.4-2", v311="MQTT-3.3.5-1")
def test_overlapping_subscriptions_keep_to_the_highest_qos(mqtt):
    subscriber = mqtt.client()
    for name, qos in (("a", 0), ("+", 1), ("#", 2)):
        subscriber.subscribe(mqtt.topic(name), qos=qos)
    mqtt.client().publish(mqtt.topic("a"), b"x", 2)
    mqtt.client().publish(mqtt.topic("fence/fence"), b"fence", 0)
    copies = []
    while (found := subscriber.take_acknowledged()).payload != b"fence":
        copies.append(found.qos)
    assert max(copies) == 2 and len(copies) <= 3


@statement(v5="MQTT-3.8.3-3")
def test_no_local(mqtt):
    """The publishing client itself gets nothing; with the option off, and from others, it does."""
    peer, other = mqtt.client(), mqtt.client()
    peer.subscribe((mqtt.topic("quiet"), options(1, no_local=True)), (mqtt.topic("loud"), options(1)))
    for name in ("quiet", "loud"):
        peer.publish(mqtt.topic(name), b"own", 1)
        other.publish(mqtt.topic(name), b"other", 1)
    heard = [peer.take_acknowledged() for _ in range(3)]
    assert sorted((found.topic, found.payload) for found in heard) == sorted(
        [(mqtt.topic("quiet"), b"other"), (mqtt.topic("loud"), b"own"), (mqtt.topic("loud"), b"other")]
    )
    peer.expect_nothing()


@statement(v5="MQTT-3.8.3-3")
def test_no_local_goes_by_client_id(mqtt):
    """Published on one connection, delivered on the client's next: it is the same client id."""
    peer = mqtt.lasting()
    peer.subscribe((mqtt.topic(), options(1, no_local=True)))
    peer.publish(mqtt.topic(), b"own", 1)
    peer.disconnect()
    back = mqtt.lasting()
    back.publish(mqtt.topic(), b"own", 1)
    mqtt.client().publish(mqtt.topic(), b"other", 1)
    assert back.take_acknowledged().payload == b"other"
    back.expect_nothing()
