"""What MQTT 5.0 adds, seen with paho and, where a library hides it, with a raw socket."""

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

import raw_peer
from broker_process import wait_until
from paho_peer import PahoPeer, until_fence
from raw_peer import RawPeer, disconnect_reason, properties
from settings import settings


def test_user_properties_keep_their_order(broker, name):
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("a", "grüße")]
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), 1)
        peer.publish(name("t"), b"x", 1, UserProperty=pairs)
        assert peer.take_one().properties.UserProperty == pairs


def test_request_properties_pass_unchanged(broker, name):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), 1)
        peer.publish(
            name("t"), b"{}", 1, ResponseTopic=name("answer"), CorrelationData=b"\0\xff\x01",
            ContentType="application/json", PayloadFormatIndicator=1,
        )  # fmt: skip
        found = peer.take_one().properties
    assert (found.ResponseTopic, found.CorrelationData) == (name("answer"), b"\0\xff\x01")
    assert (found.ContentType, found.PayloadFormatIndicator) == ("application/json", 1)


def test_properties_of_retained_messages(broker, name):
    with PahoPeer(broker) as peer:
        peer.publish(name("t"), b"x", 1, retain=True, UserProperty=[("k", "v")], ContentType="text/plain")
        peer.subscribe(name("t"), 1)
        found = peer.take_one()
        assert found.retain and found.properties.UserProperty == [("k", "v")] and found.properties.ContentType == "text/plain"
        peer.publish(name("t"), b"", 1, retain=True)


def test_message_expiry_counts_down(broker, name):
    """[MQTT-3.3.2-6]: a message that waited is delivered with what is left of its time, or not at all."""
    keep = {"clean": False, "SessionExpiryInterval": 120}
    sleeper = PahoPeer(broker, name.client("s"), **keep).connect()
    sleeper.subscribe(name("#"), 1)
    sleeper.leave()
    with PahoPeer(broker) as publisher, PahoPeer(broker) as clock:
        publisher.publish(name("t"), b"long", 1, MessageExpiryInterval=100)
        publisher.publish(name("t"), b"short", 1, MessageExpiryInterval=1)
        publisher.publish(name("t"), b"forever", 1)
        # A retained message with the same time tells when the broker's clock has passed it.
        publisher.publish(name("clock"), b"tick", 1, retain=True, MessageExpiryInterval=2)

        def expired():
            clock.subscribe(name("clock"), 1)
            clock.subscribe(name("fence"), 1)
            gone = until_fence(publisher, clock, name("fence"), 1) == []
            clock.unsubscribe(name("clock"))
            return gone

        wait_until(expired, "the retained message expires", step_s=0.1)
        with PahoPeer(broker, name.client("s"), **keep) as awake:
            first = awake.take_one()
            assert first.payload == b"long" and 90 <= first.properties.MessageExpiryInterval <= 99
            assert awake.take_one().payload == b"forever"


def test_subscription_identifiers(broker, name):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("a/+"), 1, identifier=7)
        peer.subscribe(name("a/b"), 1, identifier=268435455)
        peer.subscribe(name("fence"), 1)
        peer.publish(name("a/b"), b"x", 1)
        found = []
        for message in until_fence(peer, peer, name("fence"), 1):
            found += message.properties.SubscriptionIdentifier
    assert sorted(found) == [7, 268435455]


def test_no_local(broker, name):
    with PahoPeer(broker) as peer, PahoPeer(broker) as other:
        peer.subscribe(name("t"), 1, noLocal=True)
        peer.subscribe(name("fence"), 1)
        peer.publish(name("t"), b"own", 1)
        assert until_fence(peer, peer, name("fence"), 1) == []
        other.publish(name("t"), b"other's", 1)
        assert peer.take_one().payload == b"other's"


@pytest.mark.parametrize("kept", [False, True])
def test_retain_as_published(broker, name, kept):
    with PahoPeer(broker) as peer:
        peer.subscribe(name("t"), 1, retainAsPublished=kept)
        peer.publish(name("t"), b"x", 1, retain=True)
        peer.publish(name("t"), b"y", 1)
        assert [message.retain for message in peer.take(2)] == [kept, False]
        peer.publish(name("t"), b"", 1, retain=True)


def test_retain_handling(broker, name):
    """[MQTT-3.3.1-9..11]: 0 sends at each subscribe, 1 only for a new subscription, 2 never."""
    with PahoPeer(broker) as peer:
        peer.publish(name("t"), b"kept", 1, retain=True)
        peer.subscribe(name("fence"), 1)
        counts = []
        for handling in (2, 0, 1):
            peer.subscribe(name("t"), 1, retainHandling=handling)
            counts.append(len(until_fence(peer, peer, name("fence"), 1)))
        peer.unsubscribe(name("t"))
        peer.subscribe(name("t"), 1, retainHandling=1)
        counts.append(len(until_fence(peer, peer, name("fence"), 1)))
        peer.publish(name("t"), b"", 1, retain=True)
    assert counts == [0, 1, 0, 1]


def test_will_delay(broker, name):
    """[MQTT-3.1.3-9]: a client that returns in time has no will published; the end of the session ends the delay."""
    will = {
        "topic": name("will"), "payload": b"lost", "qos": 1,
        "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=4, ContentType="text/plain"),
    }  # fmt: skip
    keep = {"clean": False, "SessionExpiryInterval": 60}
    with PahoPeer(broker) as watcher, PahoPeer(broker) as publisher:
        watcher.subscribe(name("will"), 1)
        watcher.subscribe(name("fence"), 1)
        PahoPeer(broker, name.client("v"), will=will, **keep).connect().drop()
        back = PahoPeer(broker, name.client("v"), will=will, **keep).connect()
        assert back.session_present
        assert until_fence(publisher, watcher, name("fence"), 1) == []
        back.drop()
        message = watcher.take_one()
        assert (message.payload, message.properties.ContentType) == (b"lost", "text/plain")
        assert until_fence(publisher, watcher, name("fence"), 1) == []


@pytest.mark.petrel_only
def test_will_comes_at_the_end_of_the_session(broker, name):
    will = {
        "topic": name("will"), "payload": b"lost", "qos": 1,
        "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=3600),
    }  # fmt: skip
    with PahoPeer(broker) as watcher:
        watcher.subscribe(name("will"), 1)
        PahoPeer(broker, name.client("v"), will=will, clean=True).connect().drop()
        assert watcher.take_one().payload == b"lost"


def test_disconnect_with_will(broker, name):
    with PahoPeer(broker) as watcher:
        watcher.subscribe(name("will"), 1)
        leaver = PahoPeer(broker, will={"topic": name("will"), "payload": b"asked for", "qos": 1}).connect()
        leaver.leave(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=4))
        assert watcher.take_one().payload == b"asked for"


def test_session_expires(broker, name):
    keep = {"clean": False, "SessionExpiryInterval": 1}
    PahoPeer(broker, name.client("s"), **keep).connect().leave()
    with RawPeer(broker) as clock:
        clock.connect(name.client("clock"), keep_alive=2)
        clock.expect_closed()  # the broker's own clock: three seconds pass before it ends this connection
    with PahoPeer(broker, name.client("s"), **keep) as peer:
        assert not peer.session_present


def test_session_without_expiry_ends_with_the_connection(broker, name):
    PahoPeer(broker, name.client("s"), clean=False).connect().leave()
    with PahoPeer(broker, name.client("s"), clean=False) as peer:
        assert not peer.session_present


def test_disconnect_changes_session_expiry(broker, name):
    keep = {"clean": False, "SessionExpiryInterval": 60}
    first = PahoPeer(broker, name.client("s"), **keep).connect()
    first.leave(properties=properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0))
    with PahoPeer(broker, name.client("s"), **keep) as peer:
        assert not peer.session_present


def test_assigned_client_identifier(broker):
    with PahoPeer(broker) as one, PahoPeer(broker) as two:
        identifiers = {one.connack.AssignedClientIdentifier, two.connack.AssignedClientIdentifier}
    assert len(identifiers) == 2 and "" not in identifiers


def test_flow_control_toward_the_client(broker, name):
    """[MQTT-3.3.4-9]: never more than the client's Receive Maximum unacknowledged; the rest follows acknowledgements."""
    with RawPeer(broker) as reader, PahoPeer(broker) as publisher:
        reader.connect(name.client("s"), props=properties(PacketTypes.CONNECT, ReceiveMaximum=3))
        reader.subscribe(name("t"), 1)
        publisher.publish_all(name("t"), [b"%d" % index for index in range(10)], 1)
        window = [reader.read_publish() for _ in range(3)]
        reader.ping()
        assert not reader.early, "a fourth message came before an acknowledgement"
        heard = [message.payload for message in window]
        for message in window:
            reader.acknowledge(message)
        while len(heard) < 10:
            message = reader.read_publish()
            heard.append(message.payload)
            reader.acknowledge(message)
    assert heard == [b"%d" % index for index in range(10)]


def test_qos_0_passes_a_full_window(broker, name):
    with RawPeer(broker) as reader, PahoPeer(broker) as publisher:
        reader.connect(name.client("s"), props=properties(PacketTypes.CONNECT, ReceiveMaximum=1))
        reader.subscribe(name("one"), 1)
        reader.subscribe(name("zero"), 0, packet_id=2)
        publisher.publish_all(name("one"), [b"1", b"2"], 1)
        publisher.publish(name("zero"), b"0", 1)
        assert [reader.read_publish().payload for _ in range(2)] == [b"1", b"0"]


def test_maximum_packet_size_of_the_client(broker, name):
    """[MQTT-3.1.2-24] [MQTT-3.1.2-25]: a message too large for this client is dropped for it alone."""
    with RawPeer(broker) as small, PahoPeer(broker) as peer:
        small.connect(name.client("s"), props=properties(PacketTypes.CONNECT, MaximumPacketSize=200))
        small.subscribe(name("t"), 1)
        peer.subscribe(name("t"), 1)
        peer.publish(name("t"), b"x" * 500, 1)
        peer.publish(name("t"), b"fits", 1)
        assert small.read_publish().payload == b"fits"
        assert [len(message.payload) for message in peer.take(2)] == [500, 4]


def test_topic_alias_of_the_client(broker, name):
    with RawPeer(broker) as sender, PahoPeer(broker) as peer:
        peer.subscribe(name("#"), 0)
        allowed = getattr(sender.connect(name.client("p")).properties, "TopicAliasMaximum", 0)
        assert allowed >= 1
        alias = properties(PacketTypes.PUBLISH, TopicAlias=1)
        for topic in (name("a"), "", name("b"), "", ""):
            sender.publish(topic, b"x", props=alias)
        assert [message.topic for message in peer.take(5)] == [name("a")] * 2 + [name("b")] * 3


def test_topic_alias_beyond_the_maximum(broker, name):
    """[MQTT-3.3.2-9]: 0x94."""
    with RawPeer(broker) as sender:
        allowed = getattr(sender.connect(name.client("p")).properties, "TopicAliasMaximum", 0)
        sender.publish(name("t"), b"x", props=properties(PacketTypes.PUBLISH, TopicAlias=allowed + 1))
        assert disconnect_reason(sender.expect_closed()) == 0x94


@pytest.mark.petrel_only
def test_broker_assigns_topic_aliases(broker, name):
    """Toward a client that allows aliases, a repeated topic costs its bytes once."""
    with RawPeer(broker) as reader, PahoPeer(broker) as publisher:
        reader.connect(name.client("s"), props=properties(PacketTypes.CONNECT, TopicAliasMaximum=2))
        reader.subscribe(name("#"), 1)
        topic = name("a-topic-long-enough-to-be-worth-an-alias")
        publisher.publish_all(topic, [b"%d" % index for index in range(10)], 1)
        known, sizes = {}, []
        for index in range(10):
            message = reader.read_publish()
            alias = getattr(message.properties, "TopicAlias", 0)
            assert alias <= 2
            if message.topic and alias:
                known[alias] = message.topic
            assert (message.topic or known[alias]) == topic and message.payload == b"%d" % index
            sizes.append(message.size)
            reader.acknowledge(message)
        assert sizes[-1] <= sizes[0] - len(topic)


@pytest.mark.petrel_only
@pytest.mark.parametrize("version", [raw_peer.V31, raw_peer.V311, raw_peer.V5])
def test_takeover_ends_the_older_connection(broker, name, version):
    """[MQTT-3.1.4-3]: the older connection is told 0x8E in v5, closed in the others; its will is published."""
    with RawPeer(broker, version) as older, RawPeer(broker, version) as newer, PahoPeer(broker) as watcher:
        watcher.subscribe(name("will"), 1)
        older.connect(name.client("s"), will=(name("will"), b"taken over", 1, False, None))
        newer.connect(name.client("s"))
        last = older.expect_closed()
        assert disconnect_reason(last) == (0x8E if version == raw_peer.V5 else None)
        newer.ping()
        assert watcher.take_one().payload == b"taken over"


def test_takeover_keeps_the_session(broker, name):
    keep = {"clean": False, "props": properties(PacketTypes.CONNECT, SessionExpiryInterval=60, ReceiveMaximum=5)}
    with RawPeer(broker) as older, RawPeer(broker) as newer, PahoPeer(broker) as publisher:
        older.connect(name.client("s"), **keep)
        older.subscribe(name("t"), 1)
        publisher.publish_all(name("t"), [b"%d" % index for index in range(20)], 1)
        assert [older.read_publish().payload for _ in range(5)] == [b"%d" % index for index in range(5)]
        assert newer.connect(name.client("s"), **keep).session_present
        heard = []
        while len(heard) < 20:
            message = newer.read_publish()
            assert message.dup == (len(heard) < 5)
            heard.append(message.payload)
            newer.acknowledge(message)
    assert heard == [b"%d" % index for index in range(20)]


def test_publish_without_a_subscriber_is_acknowledged(broker, name):
    with PahoPeer(broker) as peer:
        for qos in (1, 2):
            peer.publish(name("nobody"), b"x", qos)


def test_keep_alive_is_honoured_by_pings(broker, name):
    with RawPeer(broker) as peer:
        peer.connect(name.client("s"), keep_alive=60)
        peer.ping()
        peer.disconnect()


@pytest.mark.petrel_only
def test_server_keep_alive(start_broker, name):
    """[MQTT-3.1.2-21]: what the broker's CONNACK says replaces the client's wish."""
    running = start_broker(settings(keep_alive_max_s=30))
    with RawPeer(running) as peer, RawPeer(running) as modest:
        assert peer.connect(name.client("s"), keep_alive=600).properties.ServerKeepAlive == 30
        found = modest.connect(name.client("m"), keep_alive=10)
        assert not hasattr(found.properties, "ServerKeepAlive") or found.properties.ServerKeepAlive == 10


@pytest.mark.petrel_only
def test_limits_are_announced_and_enforced(start_broker, name):
    running = start_broker(settings(max_packet_bytes=4096, receive_maximum=4))
    with RawPeer(running) as peer:
        found = peer.connect(name.client("s")).properties
        assert (found.MaximumPacketSize, found.ReceiveMaximum) == (4096, 4)
        peer.publish(name("t"), b"x" * 5000)
        assert disconnect_reason(peer.expect_closed()) == 0x95
    with RawPeer(running) as peer:
        peer.connect(name.client("s"))
        for packet_id in range(1, 6):  # QoS 2 without PUBREL: five exchanges open where four are allowed
            peer.send(raw_peer.publish_packet(name("t"), b"x", qos=2, packet_id=packet_id))
        assert disconnect_reason(peer.expect_closed()) == 0x93
