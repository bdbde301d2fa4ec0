"""$SYS as Mosquitto's and petrel's subscribers see it."""

import json

import pytest

import raw_peer
from broker_process import free_port
from programs import SUBSCRIBERS, Subscriber, publish, run_subscriber
from raw_peer import RawPeer, subscribe_packet

pytestmark = pytest.mark.petrel_only

# mosquitto(8), "Broker status".
NAMES = """
bytes/received bytes/sent clients/connected clients/expired clients/disconnected clients/maximum clients/total clients/active
clients/inactive heap/current heap/maximum messages/received messages/sent messages/stored publish/messages/dropped
publish/messages/received publish/messages/sent publish/bytes/received publish/bytes/sent store/messages/count store/messages/bytes
subscriptions/count shared_subscriptions/count uptime version
""".split() + ["retained messages/count"]
LOADS = "connections bytes/received bytes/sent messages/received messages/sent publish/dropped publish/received publish/sent sockets".split()


def values(rows):
    return dict(row.split("|", 1) for row in rows)


@pytest.mark.parametrize("kind", SUBSCRIBERS)
def test_a_new_subscriber_gets_every_value_at_once(start_broker, kind):
    running = start_broker("sys.interval_s = 3600\n")
    names = NAMES + [f"load/{load}/{span}min" for load in LOADS for span in (1, 5, 15)]
    for _ in range(2):
        done = run_subscriber(running, "-t", "$SYS/broker/#", "-C", str(len(names)), "-F", "%t|%p|%r", kind=kind)
        rows = done.stdout.decode().splitlines()
        assert all(row.endswith("|1") for row in rows), rows
    # The values of limits lie between the others: all of them by name.
    for name in names:
        done = run_subscriber(running, "-t", f"$SYS/broker/{name}", "-C", "1", "-F", "%t|%p", kind=kind)
        topic, payload = done.stdout.decode().rstrip("\n").split("|")
        assert topic == f"$SYS/broker/{name}"
        assert payload != ""


def test_values_follow_what_happens(start_broker, name):
    running = start_broker("sys.interval_s = 1\n")
    with Subscriber(running, "-t", "$SYS/broker/publish/messages/received", "-t", "$SYS/broker/uptime", form="%t|%p") as watcher:
        for index in range(5):
            publish(running, "-t", name("t"), "-m", str(index), "-q", "1")
        seen = {}
        # One by Subscriber itself, five here.
        while seen.get("$SYS/broker/publish/messages/received") != "6" or seen.get("$SYS/broker/uptime") in (None, "0 seconds"):
            topic, payload = watcher.line().split("|")
            seen[topic] = payload
        assert seen["$SYS/broker/uptime"].endswith(" seconds")


def test_wildcards_do_not_match(broker, name):
    with RawPeer(broker) as peer:
        peer.connect(name.client("a"))
        peer.subscribe("#")
        peer.subscribe("+/broker/#", packet_id=2)
        peer.ping()
        assert not [found for found in peer.early if b"$SYS" in found.body]


def suback(running, version, filters, client):
    with RawPeer(running, version) as peer:
        peer.connect(client)
        peer.send(subscribe_packet([(each, 0) for each in filters], version))
        return list(peer.expect(raw_peer.SUBACK).body[-len(filters) :])


def test_access_none(start_broker, name):
    running = start_broker('sys.access = "none"\n')
    filters = ["$SYS/#", name("t"), "$share/g/$SYS/broker/uptime"]
    assert suback(running, raw_peer.V5, filters, name.client("a")) == [0x87, 0, 0x87]
    assert suback(running, raw_peer.V311, filters, name.client("b")) == [0x80, 0, 0x80]
    running.wait_log(r"subscription refused.*sys\.access")


def test_access_is_the_listeners(start_broker, name):
    """By default only those who come through a loopback address may read."""
    port = free_port()
    running = start_broker(args=["--listen", f"tcp://0.0.0.0:{port}", "--allow-anonymous"])
    assert suback(running, raw_peer.V5, ["$SYS/#"], name.client("a")) == [0]
    running.port = port
    assert suback(running, raw_peer.V5, ["$SYS/#"], name.client("b")) == [0x87]


def test_access_all(start_broker, name):
    port = free_port()
    running = start_broker('sys.access = "all"\n', args=["--listen", f"tcp://0.0.0.0:{port}", "--allow-anonymous"])
    running.port = port
    assert suback(running, raw_peer.V5, ["$SYS/#"], name.client("b")) == [0]


def test_switched_off(start_broker, name):
    running = start_broker("sys.enabled = false\nsys.interval_s = 1\n")
    with RawPeer(running) as peer:
        peer.connect(name.client("a"))
        peer.subscribe("$SYS/#")
        peer.ping()
        assert not peer.early


def test_events(start_broker, name):
    running = start_broker('sys.events = true\nsys.id = "north"\n')
    with RawPeer(running) as watcher:
        watcher.connect(name.client("watcher"))
        watcher.subscribe("$SYS/north/#")
        watcher.ping()
        watcher.early.clear()
        with RawPeer(running) as client:
            client.connect(name.client("client"))
            client.subscribe(name("t"))
            client.send(raw_peer.packet(raw_peer.UNSUBSCRIBE, 2, b"\0\2\0" + raw_peer.string(name("t"))))
            client.expect(raw_peer.UNSUBACK)
            client.disconnect()
        seen = [watcher.read_publish() for _ in range(4)]
    told = {"clientId": name.client("client"), "topic": name("t")}
    assert [message.topic for message in seen] == [
        "$SYS/north/new/clients",
        "$SYS/north/new/subscribes",
        "$SYS/north/new/unsubscribes",
        "$SYS/north/disconnect/clients",
    ]
    assert seen[0].payload.decode() == seen[3].payload.decode() == name.client("client")
    assert json.loads(seen[1].payload) == json.loads(seen[2].payload) == told
