"""Retained messages and the options of a subscription that govern them (3.3.1.3, 3.8.3.1)."""

from registry import statement


@statement(v5="MQTT-3.3.1-5 MQTT-3.3.1-9", v311="MQTT-3.3.1-5 MQTT-3.3.1-6 MQTT-3.3.1-8")
def test_retained_message_is_stored_and_replaced(mqtt):
    publisher = mqtt.client()
    for payload in (b"old", b"new"):
        publisher.publish(mqtt.topic("a"), payload, 1, retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("#"), qos=1)
    found = subscriber.take_acknowledged()
    assert (found.topic, found.payload, found.qos, found.retain, found.dup) == (mqtt.topic("a"), b"new", 1, True, False)
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-5 MQTT-3.8.4-8", v311="MQTT-3.3.1-5 MQTT-3.8.4-6")
def test_retained_message_keeps_its_qos(mqtt):
    """Delivered with the lower of the two."""
    for published in (0, 1, 2):
        mqtt.client().publish(mqtt.topic(str(published)), b"x", published, retain=True)
    for granted in (0, 1, 2):
        subscriber = mqtt.client()
        for published in (0, 1, 2):
            subscriber.subscribe(mqtt.topic(str(published)), qos=granted)
            assert subscriber.take_acknowledged().qos == min(published, granted)


@statement(v311="MQTT-3.3.1-7")
def test_retained_qos_0_discards_the_older_one(mqtt):
    """The new one should be kept and may be discarded; the old one must be."""
    publisher = mqtt.client()
    publisher.publish(mqtt.topic(), b"old", 1, retain=True)
    publisher.publish(mqtt.topic(), b"new", 0, retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), qos=1)
    subscriber.ping()
    assert [found.payload for found in subscriber.early] in ([b"new"], [])


@statement(v5="MQTT-3.3.1-6 MQTT-3.3.1-7", v311="MQTT-3.3.1-10 MQTT-3.3.1-11")
def test_empty_retained_message_clears(mqtt):
    """It is delivered to those who are there, and whoever comes later gets nothing."""
    publisher, present = mqtt.client(), mqtt.client()
    publisher.publish(mqtt.topic(), b"old", 1, retain=True)
    present.subscribe(mqtt.topic())
    assert present.take().payload == b"old"
    publisher.publish(mqtt.topic(), b"", 1, retain=True)
    found = present.take()
    assert (found.payload, found.retain) == (b"", False)
    late = mqtt.client()
    late.subscribe(mqtt.topic())
    late.expect_nothing()


@statement(v5="MQTT-3.3.1-8", v311="MQTT-3.3.1-12")
def test_message_without_retain_leaves_the_retained_one(mqtt):
    publisher = mqtt.client()
    publisher.publish(mqtt.topic("none"), b"x")
    publisher.publish(mqtt.topic("kept"), b"kept", retain=True)
    publisher.publish(mqtt.topic("kept"), b"x")
    publisher.publish(mqtt.topic("kept"), b"")
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic("#"))
    assert subscriber.take().payload == b"kept"
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-12", v311="MQTT-3.3.1-9")
def test_retain_flag_is_cleared_for_established_subscriptions(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic())
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    assert not subscriber.take().retain


@statement(v5="MQTT-3.3.1-13")
def test_retain_as_published(mqtt):
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), retain_as_published=True)
    publisher = mqtt.client()
    for retain in (True, False):
        publisher.publish(mqtt.topic(), b"x", retain=retain)
        assert subscriber.take().retain == retain


@statement(v5="MQTT-3.3.1-12 MQTT-3.3.1-13")
def test_retained_message_has_retain_whatever_the_option(mqtt):
    """Sent because of a new subscription: RETAIN is set, with Retain As Published or without."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    for as_published in (False, True):
        subscriber = mqtt.client()
        subscriber.subscribe(mqtt.topic(), retain_as_published=as_published)
        assert subscriber.take().retain


@statement(v5="MQTT-3.3.1-9 MQTT-3.8.4-4", v311="MQTT-3.3.1-6 MQTT-3.8.4-3")
def test_retained_messages_come_again_with_each_subscribe(mqtt):
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    for _ in range(3):
        subscriber.subscribe(mqtt.topic())
        assert subscriber.take().payload == b"x"


@statement(v5="MQTT-3.3.1-10")
def test_retain_handling_1(mqtt):
    """Only a new subscription is sent retained messages; once ended, it is new again."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    subscriber = mqtt.client()
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    assert subscriber.take().payload == b"x"
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    subscriber.expect_nothing()
    subscriber.unsubscribe(mqtt.topic())
    subscriber.subscribe(mqtt.topic(), retain_handling=1)
    assert subscriber.take().payload == b"x"


@statement(v5="MQTT-3.3.1-10")
def test_retain_handling_1_in_a_resumed_session(mqtt):
    """A subscription that the session has kept did already exist."""
    mqtt.client().publish(mqtt.topic(), b"x", retain=True)
    first = mqtt.lasting()
    first.subscribe(mqtt.topic(), retain_handling=1)
    assert first.take().payload == b"x"
    first.disconnect()
    back = mqtt.lasting()
    back.subscribe(mqtt.topic(), retain_handling=1)
    back.expect_nothing()


@statement(v5="MQTT-3.3.1-11")
def test_retain_handling_2(mqtt):
    publisher, subscriber = mqtt.client(), mqtt.client()
    publisher.publish(mqtt.topic(), b"retained", retain=True)
    subscriber.subscribe(mqtt.topic(), retain_handling=2)
    publisher.publish(mqtt.topic(), b"live")
    assert subscriber.take().payload == b"live"
    subscriber.expect_nothing()


@statement(v5="MQTT-3.3.1-9", v311="MQTT-3.3.1-6")
def test_retained_messages_of_a_wildcard(mqtt):
    """One for each matching topic, and no other."""
    publisher = mqtt.client()
    for text in ("a", "a/b", "a/b/c", "d"):
        publisher.publish(mqtt.topic(text), text.encode(), retain=True)
    for name, expected in (("a/#", {b"a", b"a/b", b"a/b/c"}), ("+", {b"a", b"d"}), ("+/b", {b"a/b"})):
        subscriber = mqtt.client()
        subscriber.subscribe(mqtt.topic(name))
        subscriber.ping()
        assert sorted(found.payload for found in subscriber.early) == sorted(expected)
