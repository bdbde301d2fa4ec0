"""The store on disk while the broker serves: no room for its files, backups, and what is in it told in JSON lines."""

import base64
import contextlib
import itertools
import json
import os
import resource
import struct
import subprocess
import urllib.error
import urllib.request

import pytest
from paho.mqtt.packettypes import PacketTypes

import metrics
from broker_process import Broker, binary, environment, free_port, wait_until
from packet_socket import PUBACK, Overdue
from raw_peer import V5, V311, RawPeer, properties, publish_packet

pytestmark = pytest.mark.petrel_only

QUOTA_EXCEEDED = 0x97
LARGEST_FILE = 40_000  # less than the store's probe writes


def keep(seconds=3600):
    return {"clean": False, "props": properties(PacketTypes.CONNECT, SessionExpiryInterval=seconds)}


def store(*arguments, code=0, text=None):
    done = subprocess.run([binary(), "store", *map(str, arguments)], input=text, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert done.returncode == code, f"petrel store {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def reason(puback):
    return puback.body[2] if len(puback.body) > 2 else 0


def publish(peer, topic, payload, packet_id):
    """The reason code of the PUBACK."""
    peer.send(publish_packet(topic, payload, V5, qos=1, packet_id=packet_id))
    return reason(peer.expect(PUBACK))


def leave_behind(broker, client, name="t/#"):
    with RawPeer(broker) as reader:
        reader.connect(client, **keep())
        reader.subscribe(name, 1)


def come_back(broker, client, least):
    """The payloads that wait for a session, of which `least` must come."""
    found = []
    with RawPeer(broker) as reader:
        assert reader.connect(client, **keep()).session_present
        while len(found) < least:
            message = reader.read_publish()
            found.append(message.payload)
            reader.acknowledge(message)
        reader.ping()
    return found


def ready(page):
    """What /readyz says: its status and text."""
    try:
        with urllib.request.urlopen(f"{page}/readyz", timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def limit_files(broker, size):
    """Files of the broker may not grow beyond so many bytes: an error as of a full disk, without rights over a file system."""
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_no_room_for_the_store(start_broker, name):
    """Publishers are told, what needs no store is served, and when there is room again all goes on: nothing acknowledged is lost."""
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    running = start_broker(store="rocksdb", listeners=[{"address": page}])
    leave_behind(running, "away")
    assert ready(page) == (200, "ready\n")
    assert metrics.value(metrics.read(f"{page}/metrics"), "petrel_store_writable") == 1
    accepted = []
    writer = RawPeer(running)
    writer.connect("writer")
    payloads = (b"%06d " % n + b"x" * 1000 for n in itertools.count())
    for _ in range(10):
        payload = next(payloads)
        assert publish(writer, "t/1", payload, 1) == 0
        accepted.append(payload)
    limit_files(running, LARGEST_FILE)

    def answer():
        """The next PUBACK; None when the store has failed. A disk may be slow: silence alone says nothing."""
        for _ in range(100):
            with contextlib.suppress(Overdue):
                return writer.read(0.2)
            if "the store takes no changes" in running.log():
                return None
        raise AssertionError("neither an acknowledgement nor a failure")

    waiting = None  # the one that was on its way when the store failed is acknowledged later
    for _ in range(200):
        payload = next(payloads)
        writer.send(publish_packet("t/1", payload, V5, qos=1, packet_id=2))
        puback = answer()
        if puback is None:
            waiting = payload
            break
        assert reason(puback) == 0
        accepted.append(payload)
    assert waiting is not None, "files of 40 kB hold 200 kB"
    # Each thread of the broker is told by itself.
    for shard in range(running.threads):
        running.wait_log(rf"the store takes no changes.* shard={shard}\b")
    with RawPeer(running) as other, RawPeer(running, V311) as old:
        other.connect("other")
        assert publish(other, "t/1", b"refused", 1) == QUOTA_EXCEEDED
        other.publish("nobody/listens", b"x", qos=1, packet_id=2)
        old.connect("old")
        old.send(publish_packet("t/1", b"refused", V311, qos=1, packet_id=1))
        old.expect_closed()
    code, why = ready(page)
    assert code == 503 and why.startswith("the store takes no changes: ") and "full" in why
    assert metrics.value(metrics.read(f"{page}/metrics"), "petrel_store_writable") == 0
    assert running.alive()
    limit_files(running, resource.RLIM_INFINITY)
    assert struct.unpack("!H", writer.expect(PUBACK).body[:2])[0] == 2
    accepted.append(waiting)
    running.wait_log("store takes changes again")

    def works():
        payload = next(payloads)
        if publish(writer, "t/1", payload, 3) == 0:
            accepted.append(payload)
            return True
        return False

    wait_until(works, "messages are stored again")
    wait_until(lambda: ready(page)[0] == 200, "the broker is ready again")
    assert metrics.value(metrics.read(f"{page}/metrics"), "petrel_store_writable") == 1
    writer.close()
    assert come_back(running, "away", len(accepted)) == accepted


def test_a_backup_while_messages_come_in(start_broker, tmp_path):
    """Restored, it has all that was acknowledged before it was begun, and the messages after those without a gap."""
    running = start_broker(store="rocksdb")
    leave_behind(running, "away")
    with RawPeer(running) as writer:
        writer.connect("writer")
        number = 0
        for round_number in range(3):
            for _ in range(300):
                assert publish(writer, "t/1", b"%d" % number, 1) == 0
                number += 1
            backup = subprocess.Popen([binary(), "store", "backup", str(running.directory / "data"), str(tmp_path / f"backup{round_number}")],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
            before = number
            while backup.poll() is None:
                assert publish(writer, "t/1", b"%d" % number, 1) == 0
                number += 1
            output = backup.stdout.read()
            assert backup.returncode == 0, output
    store("restore", tmp_path / "restored" / "data", tmp_path / "backup2")
    second = Broker(tmp_path / "restored", 2, store="rocksdb").start()
    try:
        found = come_back(second, "away", before)
    finally:
        second.stop()
    assert found == [b"%d" % n for n in range(len(found))]
    assert before <= len(found) <= number


def test_export_import_info_and_check(start_broker, tmp_path):
    running = start_broker(store="rocksdb")
    leave_behind(running, "away")
    with RawPeer(running) as writer:
        writer.connect("writer")
        assert publish(writer, "t/1", b"\x00\xff", 1) == 0
        writer.publish("kept", b"r", qos=1, packet_id=2, retain=True)
    directory = running.directory / "data"
    told = store("info", directory)
    assert "(in use)" in told and "sessions                  1\n" in told
    lines = store("export", directory, "-")
    kinds = [json.loads(line)["type"] for line in lines.splitlines()]
    assert sorted(kinds) == ["end", "message", "queued", "retained", "session", "store", "subscription"]
    message = next(json.loads(line) for line in lines.splitlines() if '"message"' in line and '"payload"' in line)
    assert base64.b64decode(message["payload"]) == b"\x00\xff"
    store("check", directory, code=1)  # in use
    store("import", tmp_path / "copy" / "data", "-", text=lines)
    assert "sound" in store("check", tmp_path / "copy" / "data")
    assert store("export", tmp_path / "copy" / "data", "-") == lines
    second = Broker(tmp_path / "copy", 1, store="rocksdb").start()
    try:
        assert come_back(second, "away", 1) == [b"\x00\xff"]
    finally:
        second.stop()


def complaint(*arguments, prefix=(), text=None):
    """What a command that fails says, on standard error alone."""
    done = subprocess.run([*prefix, binary(), "store", *map(str, arguments)], input=text, capture_output=True, text=True,
                          env=environment(), timeout=60, check=False)
    assert done.returncode == 1 and not done.stdout, f"petrel store {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "exception" not in done.stderr and "filesystem error" not in done.stderr
    return done.stderr


def test_an_export_that_was_cut_short_is_no_store(start_broker, tmp_path):
    running = start_broker(store="rocksdb")
    leave_behind(running, "away")
    directory = running.directory / "data"
    file = tmp_path / "export"
    store("export", directory, file)
    whole = file.read_text()
    copy = tmp_path / "copy"
    for cut in (len(whole) // 2, whole.rindex("\n", 0, len(whole) - 1) + 1, len(whole) - 10):
        assert "Nothing was imported" in complaint("import", copy, "-", text=whole[:cut])
        assert not copy.exists()
    lines = whole.splitlines()
    assert 'type "subscription"' in complaint("import", copy, "-", text="\n".join(line for line in lines if "subscription" not in line or "end" in line))
    assert not copy.exists()
    # An export that fails leaves the earlier one as it was.
    assert "holds no store" in complaint("export", tmp_path, file)
    assert file.read_text() == whole and not (tmp_path / "export.part").exists()
    assert "No space left" in complaint("export", directory, "/dev/full")
    store("import", copy, file)
    assert "sound" in store("check", copy)


WITHOUT_POWERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def test_what_may_not_be_read_or_written(start_broker, tmp_path):
    """Each complaint says what to do."""
    running = start_broker(store="rocksdb")
    directory = running.directory / "data"
    file = tmp_path / "export"
    backup = tmp_path / "backup"
    store("export", directory, file)
    store("backup", directory, backup)
    file.chmod(0)
    assert "Permission denied; let this user have it" in complaint("import", tmp_path / "copy", file, prefix=WITHOUT_POWERS)
    assert not (tmp_path / "copy").exists()
    assert "a directory that is there" in complaint("import", tmp_path / "copy", tmp_path / "no" / "file")
    assert "a directory that is there" in complaint("export", directory, tmp_path / "no" / "file")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    for arguments in (("backup", directory, closed / "b"), ("restore", closed / "b", backup), ("info", closed), ("check", closed),
                      ("export", closed, "-"), ("import", closed / "b", "-")):
        assert "run this as the user petrel runs as" in complaint(*arguments, prefix=WITHOUT_POWERS, text=""), arguments
    closed.chmod(0o700)


def test_an_export_goes_where_a_link_leads(start_broker, tmp_path):
    running = start_broker(store="rocksdb")
    leave_behind(running, "away")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    store("export", running.directory / "data", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and '"end"' in (tmp_path / "file").read_text()
