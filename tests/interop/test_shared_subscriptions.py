"""Shared subscriptions: who of a group gets a message, and what becomes of it when that member leaves."""

import pytest
from paho.mqtt.packettypes import PacketTypes

from paho_peer import PahoPeer, until_fence
from raw_peer import RawPeer, disconnect_reason, properties, subscribe_packet


def test_each_message_to_one_member_of_each_group(broker, name):
    members = {(group, index): PahoPeer(broker).connect() for group in "ab" for index in range(3)}
    with PahoPeer(broker) as plain, PahoPeer(broker) as publisher:
        plain.subscribe(name("t"), 1)
        for (group, _), member in members.items():
            member.subscribe(f"$share/{group}/{name('+')}", 1)
            member.subscribe(name("fence/x"), 1)
        plain.subscribe(name("fence/x"), 1)
        sent = [b"%d" % index for index in range(30)]
        publisher.publish_all(name("t"), sent, 1)
        publisher.publish(name("fence/x"), b"fence", 1)
        heard = {key: [] for key in members}
        for key, member in members.items():
            while (message := member.take_one()).topic != name("fence/x"):
                heard[key].append(message.payload)
        assert plain.payloads(30) == sent
    for group in "ab":
        shares = [heard[group, index] for index in range(3)]
        assert sorted(sum(shares, []), key=int) == sent
        assert all(len(share) == 10 for share in shares), "not spread evenly"
        assert all(share == sorted(share, key=int) for share in shares), "a member got messages out of order"
    for member in members.values():
        member.leave()


@pytest.mark.petrel_only
def test_no_retained_message_for_a_shared_subscription(broker, name):
    with PahoPeer(broker) as peer:
        peer.publish(name("t"), b"kept", 1, retain=True)
        peer.subscribe(f"$share/group/{name('t')}", 1)
        peer.subscribe(name("fence"), 1)
        assert until_fence(peer, peer, name("fence"), 1) == []
        peer.publish(name("t"), b"", 1, retain=True)


def test_remaining_members_get_all_after_one_leaves(broker, name):
    with PahoPeer(broker) as stays, PahoPeer(broker) as publisher:
        leaves = PahoPeer(broker).connect()
        for member in (stays, leaves):
            member.subscribe(f"$share/group/{name('t')}", 1)
        publisher.publish_all(name("t"), [b"a", b"b"], 1)
        assert {stays.take_one().payload, leaves.take_one().payload} == {b"a", b"b"}
        leaves.unsubscribe(f"$share/group/{name('t')}")
        publisher.publish_all(name("t"), [b"1", b"2", b"3", b"4"], 1)
        assert stays.payloads(4) == [b"1", b"2", b"3", b"4"]
        leaves.leave()


@pytest.mark.petrel_only
def test_unacknowledged_messages_are_handed_on(broker, name):
    """[MQTT-4.8.2-5] lets the broker send them to another member when the session of the first ends."""
    with RawPeer(broker) as leaver, PahoPeer(broker) as stays, PahoPeer(broker) as publisher:
        leaver.connect(name.client("leaver"))
        leaver.subscribe(f"$share/group/{name('t')}", 1)
        stays.subscribe(f"$share/group/{name('t')}", 1)
        sent = [b"%d" % index for index in range(10)]
        publisher.publish_all(name("t"), sent, 1)
        unacknowledged = [leaver.read_publish().payload for _ in range(5)]
        heard = stays.payloads(5)
        leaver.close()
        assert stays.payloads(5) == unacknowledged
    assert sorted(heard + unacknowledged, key=int) == sent


@pytest.mark.petrel_only
def test_offline_members_are_skipped_while_others_are_online(broker, name):
    keep = {"clean": False, "SessionExpiryInterval": 60}
    offline = PahoPeer(broker, name.client("offline"), **keep).connect()
    with PahoPeer(broker, name.client("online"), **keep) as online, PahoPeer(broker) as publisher:
        for member in (offline, online):
            member.subscribe(f"$share/group/{name('t')}", 1)
        offline.leave()
        sent = [b"%d" % index for index in range(10)]
        publisher.publish_all(name("t"), sent, 1)
        assert online.payloads(10) == sent


def test_group_of_offline_members_keeps_messages(broker, name):
    keep = {"clean": False, "SessionExpiryInterval": 60}
    member = PahoPeer(broker, name.client("m"), **keep).connect()
    member.subscribe(f"$share/group/{name('t')}", 1)
    member.leave()
    sent = [b"%d" % index for index in range(10)]
    with PahoPeer(broker) as publisher:
        publisher.publish_all(name("t"), sent, 1)
    with PahoPeer(broker, name.client("m"), **keep) as again:
        assert again.session_present and again.payloads(10) == sent


@pytest.mark.petrel_only
def test_no_local_on_a_shared_subscription_is_an_error(broker, name):
    """[MQTT-3.8.3-4]: Protocol Error."""
    with RawPeer(broker) as peer:
        peer.connect(name.client("s"), props=properties(PacketTypes.CONNECT, ReceiveMaximum=10))
        peer.send(subscribe_packet([(f"$share/group/{name('t')}", 0x04 | 1)]))
        assert disconnect_reason(peer.expect_closed()) == 0x82
