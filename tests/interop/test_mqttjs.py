"""MQTT.js through the broker, in all three protocol levels."""

import pytest

from node_peer import Refused

LEVELS = [3, 4, 5]


@pytest.fixture
def node(broker, drive_node):
    return drive_node(broker)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_once_and_in_order(node, name, level, qos):
    subscriber = node.peer(name.client("sub"), level)
    assert subscriber.subscribe(name("t"), qos) == [qos]
    publisher = node.peer(name.client("pub"), level)
    publisher.publish_many(name("t"), 100, qos=qos)
    taken = subscriber.take(100)
    assert [message["payload"] for message in taken] == [str(index) for index in range(100)]
    assert {message["qos"] for message in taken} == {qos}
    assert not any(message["dup"] or message["retain"] for message in taken)


def test_levels_understand_each_other(node, name):
    subscribers = [node.peer(name.client(f"sub{level}"), level) for level in LEVELS]
    for peer in subscribers:
        peer.subscribe(name("+"), 1)
    for level in LEVELS:
        node.peer(name.client(f"pub{level}"), level).publish(name("t"), f"from {level}", qos=1)
    for peer in subscribers:
        assert [message["payload"] for message in peer.take(3)] == [f"from {level}" for level in LEVELS]


@pytest.mark.parametrize("level", LEVELS)
def test_retained_message_is_kept_and_cleared(node, name, level):
    publisher = node.peer(name.client("pub"), level)
    publisher.publish(name("t"), "kept", qos=1, retain=True)
    first = node.peer(name.client("first"), level)
    first.subscribe(name("t"), 1)
    (message,) = first.take()
    assert (message["payload"], message["retain"]) == ("kept", True)
    publisher.publish(name("t"), "", qos=1, retain=True)
    second = node.peer(name.client("second"), level)
    second.subscribe(name("t"), 1)
    publisher.publish(name("t"), "live", qos=1)
    (message,) = second.take()
    assert (message["payload"], message["retain"]) == ("live", False)


@pytest.mark.parametrize("level", LEVELS)
def test_will_of_a_lost_client(node, name, level):
    watcher = node.peer(name.client("watcher"), level)
    watcher.subscribe(name("will"), 1)
    will = {"topic": name("will"), "payload": "lost", "qos": 1, "retain": False}
    node.peer(name.client("leaver"), level, will={**will, "payload": "not to be seen"}).leave()
    node.peer(name.client("victim"), level, will=will).drop()
    assert watcher.take()[0]["payload"] == "lost"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("qos", [1, 2])
def test_offline_messages_come_in_order(node, name, level, qos):
    keep = {"clean": False}
    if level == 5:
        keep["properties"] = {"sessionExpiryInterval": 60}
    sleeper = node.peer(name.client("sleeper"), level, **keep)
    assert not sleeper.connack["sessionPresent"]
    sleeper.subscribe(name("t"), qos)
    sleeper.leave()
    node.peer(name.client("pub"), level).publish_many(name("t"), 50, qos=qos)
    awake = node.peer(name.client("sleeper"), level, **keep)
    assert level == 3 or awake.connack["sessionPresent"]
    assert [message["payload"] for message in awake.take(50)] == [str(index) for index in range(50)]


def test_properties_end_to_end(node, name):
    subscriber = node.peer(name.client("sub"))
    subscriber.subscribe(name("t"), 1, properties={"subscriptionIdentifier": 77})
    node.peer(name.client("pub")).publish(
        name("t"),
        "{}",
        qos=1,
        properties={
            "payloadFormatIndicator": True,
            "messageExpiryInterval": 100,
            "responseTopic": name("answer"),
            "correlationData": "number 7",
            "contentType": "application/json",
            "userProperties": {"b": ["1", "3"], "a": "2"},
        },
    )
    found = subscriber.take()[0]["properties"]
    assert found["payloadFormatIndicator"] is True
    assert 98 <= found["messageExpiryInterval"] <= 100
    assert found["responseTopic"] == name("answer")
    assert found["correlationData"] == "number 7"
    assert found["contentType"] == "application/json"
    assert found["userProperties"] == {"b": ["1", "3"], "a": "2"}
    assert found["subscriptionIdentifier"] == 77


def test_topic_aliases_both_ways(node, name):
    """MQTT.js replaces topics by aliases toward the broker and allows the broker to do so toward it."""
    subscriber = node.peer(name.client("sub"), properties={"topicAliasMaximum": 5})
    subscriber.subscribe(name("#"), 1)
    publisher = node.peer(name.client("pub"), autoAssignTopicAlias=True, autoUseTopicAlias=True)
    topics = [name(f"t{index % 8}") for index in range(40)]
    for topic in topics:
        publisher.publish(topic, topic, qos=1)
    taken = subscriber.take(40)
    assert [message["payload"] for message in taken] == topics
    assert all(message["topic"] == message["payload"] for message in taken if message["topic"])


def test_shared_subscription_spreads(node, name):
    members = [node.peer(name.client(f"member{index}")) for index in range(2)]
    for member in members:
        member.subscribe(f"$share/group/{name('t')}", 1)
    node.peer(name.client("pub")).publish_many(name("t"), 20, qos=1)
    taken = [message["payload"] for member in members for message in member.take(10)]
    assert sorted(taken, key=int) == [str(index) for index in range(20)]


def test_large_payload(node, name):
    subscriber = node.peer(name.client("sub"))
    subscriber.subscribe(name("t"), 2)
    node.peer(name.client("pub")).publish(name("t"), size=1 << 20, qos=2)
    assert subscriber.take()[0]["payload"] == 1 << 20


@pytest.mark.petrel_only
def test_takeover_tells_the_older_connection(node, drive_node, name):
    older = node.peer(name.client("twin"))
    drive_node(node.broker).peer(name.client("twin"))
    assert older.wait_closed() == 0x8E


def test_assigned_client_identifier(node):
    first = node.peer("", version=5)
    assert first.connack["properties"]["assignedClientIdentifier"]


def test_subscribe_refused_filter(node, name):
    peer = node.peer(name.client("sub"))
    with pytest.raises(Refused):
        peer.subscribe(name("#/not-last"), 1)


def test_unsubscribe_ends_delivery(node, name):
    peer = node.peer(name.client("sub"))
    peer.subscribe(name("a"), 1)
    peer.subscribe(name("b"), 1)
    peer.unsubscribe(name("a"))
    publisher = node.peer(name.client("pub"))
    publisher.publish(name("a"), "not wanted", qos=1)
    publisher.publish(name("b"), "wanted", qos=1)
    assert peer.take()[0]["payload"] == "wanted"
