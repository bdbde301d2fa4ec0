"""CONNECT and CONNACK, PINGREQ and DISCONNECT: how a connection begins and ends (3.1, 3.2, 3.12, 3.14)."""

import pytest

import packets
from packet_socket import PacketSocket
from packets import CONNACK, DISCONNECT, PINGRESP, V5, V311
from peer import connack_refuses
from registry import parse, statement


def raw_end(peer):
    """The last frames, not decoded: the version of an answer to an unknown version is not known."""
    return list(iter(lambda: PacketSocket.read(peer), None))


@statement(v5="MQTT-3.1.0-2", v311="MQTT-3.1.0-2")
def test_second_connect_is_an_error(mqtt):
    peer = mqtt.client()
    peer.send(packets.connect(mqtt.version, peer.client_id))
    peer.expect_end(0x82)


@statement(v5="MQTT-3.2.0-2", v311="MQTT-3.2.0-1")
def test_one_connack_for_two_connects_at_once(mqtt):
    """Both CONNECT packets in one segment: one CONNACK, then the end."""
    peer = mqtt.open()
    peer.send(2 * packets.connect(mqtt.version, mqtt.client_id()))
    assert peer.expect(CONNACK).code == 0
    peer.expect_end(0x82)


@statement(v5="MQTT-3.1.4-5 MQTT-3.2.0-1", v311="MQTT-3.1.4-4 MQTT-3.2.0-1")
def test_connack_comes_first(mqtt):
    """Packets sent behind CONNECT without waiting are served, after the CONNACK."""
    peer = mqtt.open()
    topic = mqtt.topic()
    peer.send(
        packets.connect(mqtt.version, mqtt.client_id())
        + packets.subscribe(mqtt.version, [(topic, 0)], packet_id=5)
        + packets.publish(mqtt.version, topic, b"x")
        + packets.pingreq()
    )
    kinds = [peer.read() for _ in range(4)]
    assert kinds[0].type == CONNACK and kinds[0].code == 0
    assert {packets.SUBACK, packets.PUBLISH, PINGRESP} == {found.type for found in kinds[1:]}


@statement(v5="MQTT-3.1.4-6", v311="MQTT-3.1.4-5")
def test_what_follows_a_refused_connect_is_not_processed(mqtt):
    watcher = mqtt.client()
    watcher.subscribe(mqtt.topic())
    peer = mqtt.open()
    refused = packets.connect(mqtt.version, mqtt.client_id(), level=9)
    peer.send(refused + packets.publish(mqtt.version, mqtt.topic(), b"must not arrive"))
    raw_end(peer)
    watcher.expect_nothing()


@statement(v5="MQTT-3.1.2-1", v311="MQTT-3.1.2-1")
def test_other_protocol_name(mqtt):
    """Whether the server says why is its choice; that it closes is not."""
    peer = mqtt.open()
    peer.send(packets.connect(mqtt.version, mqtt.client_id(), name="MQTX"))
    last = [frame.type for frame in raw_end(peer)]
    assert last in ([], [CONNACK])


@statement(v5="MQTT-3.1.2-2")
def test_unknown_protocol_level(mqtt):
    peer = mqtt.open()
    peer.send(packets.connect(V5, mqtt.client_id(), level=6))
    last = raw_end(peer)
    assert [frame.type for frame in last] in ([], [CONNACK])
    assert all(frame.body[1] in (1, 0x84) for frame in last)


@statement(v311="MQTT-3.1.2-2")
def test_unknown_protocol_level_is_answered(mqtt):
    peer = mqtt.open()
    peer.send(packets.connect(V311, mqtt.client_id(), level=6))
    (answer,) = raw_end(peer)
    assert answer.type == CONNACK and answer.body[:2] in (b"\x00\x01", b"\x00\x84")


@statement(v5="MQTT-3.1.3-5", v311="MQTT-3.1.3-5")
def test_client_ids_that_every_server_takes(mqtt):
    """1 and 23 characters, digits and letters."""
    mqtt.open().connect("Z", clean=True)
    longest = ("0aZ" + mqtt.client_id() + 23 * "9")[:23]
    mqtt.open().connect(longest)


@statement(v5="MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.2.2-16", v311="MQTT-3.1.3-6", v31=False)
def test_empty_client_id_gets_one(mqtt):
    """Two such clients do not disturb each other, so they have different ones; 5.0 tells them."""
    first, second = mqtt.open(), mqtt.open()
    answers = [first.connect(""), second.connect("")]
    first.ping()
    second.ping()
    if mqtt.is_v5:
        assigned = {answer.props["assigned_client_identifier"] for answer in answers}
        assert len(assigned) == 2 and "" not in assigned


@statement(v5="MQTT-3.1.3-7")
def test_assigned_client_id_names_the_session(mqtt):
    """A session begun without an id is found again under the assigned one."""
    first = mqtt.open()
    assigned = first.connect("", clean=False, props={"session_expiry_interval": 600}).props["assigned_client_identifier"]
    first.disconnect()
    again = mqtt.open()
    assert again.connect(assigned, clean=False).session_present


@statement(v311="MQTT-3.1.3-7 MQTT-3.1.3-8 MQTT-3.1.3-9 MQTT-3.2.2-4 MQTT-3.2.2-5", v31=False)
def test_empty_client_id_with_a_lasting_session_is_refused(mqtt):
    peer = mqtt.open()
    peer.send(packets.connect(mqtt.version, "", clean=False))
    answer = connack_refuses(peer, {2})
    assert answer is not None, "closed without the CONNACK that is due"


@statement(v5="MQTT-3.1.4-3 MQTT-3.1.3-2", v311="MQTT-3.1.4-2 MQTT-3.1.3-2")
def test_second_connection_of_a_client_takes_over(mqtt):
    first = mqtt.client("same")
    second = mqtt.client("same")
    first.expect_end(0x8E)
    second.ping()


@statement(v5="MQTT-3.1.3-2 MQTT-1.5.4-1", v311="MQTT-3.1.3-2 MQTT-1.5.3-1")
def test_client_ids_are_compared_as_they_are(mqtt):
    """Upper and lower case, composed and decomposed characters, a space more: four clients."""
    peers = [mqtt.client(text) for text in ("ä", "Ä", "a\u0308", "ä ")]
    for peer in peers:
        peer.ping()


@statement(v5="MQTT-3.1.2-4 MQTT-3.1.4-4 MQTT-3.2.2-2", v311="MQTT-3.1.2-6 MQTT-3.1.4-3 MQTT-3.2.2-1")
def test_clean_start_ends_the_old_session(mqtt):
    old = mqtt.lasting()
    old.subscribe(mqtt.topic(), qos=1)
    old.disconnect()
    fresh = mqtt.lasting(clean=True)
    assert not fresh.connack.session_present
    mqtt.client().publish(mqtt.topic(), b"x", qos=1)
    fresh.expect_nothing()


@statement(v5="MQTT-3.1.2-4", v311="MQTT-3.1.2-6")
def test_clean_start_discards_waiting_messages(mqtt):
    old = mqtt.lasting()
    old.subscribe(mqtt.topic(), qos=1)
    old.disconnect()
    mqtt.client().publish(mqtt.topic(), b"x", qos=1)
    mqtt.client("keeper").expect_nothing()


@statement(v311="MQTT-3.1.2-6")
def test_clean_session_ends_with_its_connection(mqtt):
    first = mqtt.client("brief", clean=True)
    first.subscribe(mqtt.topic(), qos=1)
    first.disconnect()
    again = mqtt.client("brief", clean=False)
    assert not again.connack.session_present
    mqtt.client().publish(mqtt.topic(), b"x", qos=1)
    again.expect_nothing()


@statement(v5="MQTT-3.1.2-5 MQTT-3.2.2-3 MQTT-3.1.2-23", v311="MQTT-3.1.2-4 MQTT-3.2.2-2")
def test_session_is_resumed(mqtt):
    first = mqtt.lasting()
    first.subscribe(mqtt.topic(), qos=1)
    first.disconnect()
    again = mqtt.lasting()
    assert again.connack.session_present == (mqtt.version != packets.V31)
    mqtt.client().publish(mqtt.topic(), b"x", qos=1)
    assert again.take_acknowledged().payload == b"x"


@statement(v5="MQTT-3.1.2-6 MQTT-3.2.2-3", v311="MQTT-3.1.2-4 MQTT-3.2.2-3")
def test_new_session_where_there_was_none(mqtt):
    peer = mqtt.lasting()
    assert not peer.connack.session_present
    peer.subscribe(mqtt.topic())
    mqtt.client().publish(mqtt.topic(), b"x")
    assert peer.take().payload == b"x"


@statement(v5="MQTT-3.1.2-5")
def test_session_without_expiry_ends_with_its_connection(mqtt):
    """Session Expiry Interval absent: zero."""
    mqtt.client("brief", clean=False).disconnect()
    assert not mqtt.client("brief", clean=False).connack.session_present


@statement(v5="MQTT-3.1.2-23")
def test_disconnect_may_shorten_the_session(mqtt):
    """Session Expiry Interval 0 in DISCONNECT ends the session at once."""
    mqtt.lasting().disconnect(0, {"session_expiry_interval": 0})
    assert not mqtt.lasting().connack.session_present


@statement(v5="MQTT-3.1.2-23")
@pytest.mark.takes_time
def test_disconnect_may_lengthen_the_session(mqtt):
    mqtt.lasting(expiry_s=1).disconnect(0, {"session_expiry_interval": 600})
    mqtt.let_pass(2)
    assert mqtt.lasting().connack.session_present


@statement(v311="MQTT-3.1.2-7")
def test_retained_messages_outlive_the_session(mqtt):
    publisher = mqtt.client(clean=True)
    publisher.publish(mqtt.topic(), b"kept", retain=True)
    publisher.disconnect()
    reader = mqtt.client()
    reader.subscribe(mqtt.topic())
    assert reader.take().payload == b"kept"


@statement(v5="MQTT-3.2.2-1 MQTT-3.2.2-8 MQTT-2.1.3-1", v311="MQTT-2.2.2-1 MQTT-3.1.4-4")
def test_connack_is_well_formed(mqtt):
    """Reserved bits, reason code and properties: peer.read() takes only what is allowed."""
    peer = mqtt.open()
    props = {"session_expiry_interval": 60, "receive_maximum": 7, "maximum_packet_size": 4096, "topic_alias_maximum": 3}
    props |= {"request_response_information": 1, "request_problem_information": 1, "user_property": [("a", "b"), ("a", "c")]}
    answer = peer.connect(mqtt.client_id(), props=props if mqtt.is_v5 else None)
    assert answer.code == 0


@statement(v5="MQTT-3.1.2-17 MQTT-3.1.2-19", v311="MQTT-3.1.2-19 MQTT-3.1.2-21")
def test_user_name_and_password_are_read(mqtt):
    """A broker that lets everybody in takes them, too; the password may hold any bytes."""
    mqtt.open().connect(mqtt.client_id(), user_name="käthe", password=b"\x00\xff")


@statement(v5="MQTT-3.1.4-1")
def test_password_without_user_name(mqtt):
    """5.0 allows what 3.1.1 forbids."""
    mqtt.open().connect(mqtt.client_id(), password=b"secret")


@statement(v5="MQTT-3.1.3-1", v311="MQTT-3.1.3-1")
def test_all_fields_of_connect(mqtt):
    """Client id, will, user name and password, in their order."""
    peer = mqtt.open()
    will = packets.Will(mqtt.topic("will"), b"gone", 1, props={"user_property": [("k", "v")]} if mqtt.is_v5 else None)
    peer.connect(mqtt.client_id(), will=will, user_name="u", password=b"p", keep_alive=600)
    peer.ping()


@statement(v5="MQTT-3.12.4-1", v311="MQTT-3.12.4-1")
def test_pingreq_is_answered(mqtt):
    peer = mqtt.client()
    for _ in range(3):
        peer.ping()


@statement(v5="MQTT-3.14.4-1 MQTT-3.14.4-2", v311="MQTT-3.14.4-1 MQTT-3.14.4-2")
def test_nothing_is_processed_behind_disconnect(mqtt):
    """The server closes on DISCONNECT; what the client sends behind it, against the rule, is not served."""
    watcher = mqtt.client()
    watcher.subscribe(mqtt.topic())
    peer = mqtt.client()
    peer.send(packets.disconnect(mqtt.version) + packets.publish(mqtt.version, mqtt.topic(), b"late") + packets.pingreq())
    assert peer.expect_closed() == []
    watcher.expect_nothing()


@statement(v5="MQTT-3.14.4-1 MQTT-3.14.4-2 MQTT-4.13.2-1 MQTT-3.14.2-2")
def test_server_closes_after_its_disconnect(mqtt):
    """Whatever it says last, a server with an error on its hands sends nothing behind its DISCONNECT and closes."""
    peer = mqtt.client(props={"session_expiry_interval": 5})
    peer.send(parse("36 LL 0001 'a' 0001 P", V5))
    last = peer.expect_closed()
    assert [found.type for found in last] in ([], [DISCONNECT])
    assert all("session_expiry_interval" not in found.props for found in last)


@statement(v5="MQTT-3.2.2-22")
@pytest.mark.takes_time
def test_keep_alive_without_server_keep_alive(mqtt):
    """No Server Keep Alive in the CONNACK: the client's value holds, and one that keeps to it stays connected."""
    peer = mqtt.client(keep_alive=4)
    keep_alive_s = peer.connack.props.get("server_keep_alive", 4)
    for _ in range(3):
        mqtt.let_pass(max(1, keep_alive_s // 2))
        peer.ping()


@statement(v5="MQTT-3.1.2-22", v311="MQTT-3.1.2-24")
@pytest.mark.takes_time
def test_keep_alive_runs_out(mqtt):
    """A silent client is disconnected as if the network had failed: its will is published."""
    watcher = mqtt.client()
    watcher.subscribe(mqtt.topic())
    peer = mqtt.client(keep_alive=1, will=packets.Will(mqtt.topic(), b"silent"))
    assert watcher.take().payload == b"silent"
    last = peer.expect_closed()
    assert [found.code for found in last] in ([], [0x8D])


@statement(v5="MQTT-3.1.2-22", v311="MQTT-3.1.2-24")
@pytest.mark.takes_time
def test_keep_alive_0_means_none(mqtt):
    peer = mqtt.client(keep_alive=0)
    mqtt.let_pass(2)
    peer.ping()


@statement(v5="MQTT-3.1.2-22", v311="MQTT-3.1.2-24")
@pytest.mark.takes_time
def test_any_packet_keeps_the_connection_alive(mqtt):
    """Not only PINGREQ: three PUBLISH packets, two seconds apart, take a client past one and a half times four seconds."""
    peer = mqtt.client(keep_alive=4)
    for _ in range(3):
        mqtt.let_pass(2)
        peer.send(packets.publish(mqtt.version, mqtt.topic(), b"alive"))
    peer.ping()


@statement(v5="MQTT-4.1.0-2 MQTT-3.1.2-23")
@pytest.mark.takes_time
def test_session_expires(mqtt):
    mqtt.lasting(expiry_s=1).disconnect()
    mqtt.let_pass(3)
    assert not mqtt.lasting().connack.session_present


@statement(v5="MQTT-4.1.0-1", v311="MQTT-4.1.0-1 MQTT-4.1.0-2")
@pytest.mark.takes_time
def test_session_lives_as_long_as_its_connection(mqtt):
    """Its expiry interval counts from the end of the connection, so it does not matter here."""
    peer = mqtt.lasting(expiry_s=1) if mqtt.is_v5 else mqtt.client(clean=True)
    peer.subscribe(mqtt.topic())
    mqtt.let_pass(2)
    mqtt.client().publish(mqtt.topic(), b"x")
    assert peer.take().payload == b"x"


@statement(v5="MQTT-3.1.2-28")
def test_no_response_information_unless_asked(mqtt):
    peers = [mqtt.client(), mqtt.client(props={"request_response_information": 0})]
    assert all("response_information" not in peer.connack.props for peer in peers)


@statement(v5="MQTT-3.1.2-29")
def test_problem_information_declined(mqtt):
    """Neither reason string nor user property in the answers to what is wrong or in vain."""
    peer = mqtt.client(props={"request_problem_information": 0})
    answers = [
        peer.subscribe(mqtt.topic("a/#")),
        peer.unsubscribe(mqtt.topic("none")),
        peer.publish(mqtt.topic("nobody"), b"x", qos=1),
        peer.publish(mqtt.topic("nobody"), b"x", qos=2, packet_id=2),
    ]
    peer.send(packets.acknowledge(V5, packets.PUBREL, 77))
    answers.append(peer.expect(packets.PUBCOMP))
    assert all(not answer.props for answer in answers)


@statement(v5="MQTT-4.12.0-1 MQTT-3.1.4-2 MQTT-3.2.2-6 MQTT-3.2.2-7")
def test_unknown_authentication_method(mqtt):
    """Refused with a fitting code, Session Present 0 even where there is a session, and closed."""
    mqtt.lasting("keeper").disconnect()
    peer = mqtt.open()
    props = {"authentication_method": "no such method", "authentication_data": b"x"}
    peer.send(packets.connect(V5, mqtt.client_id("keeper"), clean=False, props=props))
    connack_refuses(peer, {0x8C, 0x87})


@statement(v5="MQTT-4.12.0-6")
def test_no_authentication_unless_asked(mqtt):
    peer = mqtt.client()
    assert not {"authentication_method", "authentication_data"} & set(peer.connack.props)


@statement(v5="MQTT-3.2.2-19 MQTT-3.2.2-20")
def test_connack_keeps_to_maximum_packet_size(mqtt):
    """Refused, with no reason string or user property where the client leaves no room for them."""
    peer = mqtt.open()
    peer.send(packets.connect(V5, mqtt.client_id(), props={"maximum_packet_size": 8, "authentication_method": "no such method"}))
    answer = connack_refuses(peer, {0x8C, 0x87, 0x95})
    assert answer is None or answer.size <= 8


@statement(v5="MQTT-3.14.2-3 MQTT-3.14.2-4")
def test_disconnect_keeps_to_maximum_packet_size(mqtt):
    limit = 40
    peer = mqtt.open()
    peer.send(packets.connect(V5, mqtt.client_id(), props={"maximum_packet_size": limit}))
    assert peer.expect(CONNACK).size <= limit
    peer.send(parse("36 LL 0001 'a' 0001 P", V5))
    for found in peer.expect_closed():
        assert found.type == DISCONNECT and found.size <= limit


@statement(v5="MQTT-3.2.2-15")
@pytest.mark.petrel_only
def test_client_beyond_the_servers_maximum_packet_size(mqtt):
    """A client must not. Petrel tells from the fixed header, before it has taken in the packet: 0x95."""
    peer = mqtt.client()
    maximum = peer.connack.props["maximum_packet_size"]
    too_long = maximum - len(packets.variable_length(maximum))  # and one byte of packet type: one more than the maximum
    peer.send(bytes([packets.PUBLISH << 4]) + packets.variable_length(too_long) + b"\x00\x01a")
    peer.expect_end(0x95)


@statement(v5="MQTT-3.14.0-1", v311="MQTT-3.2.0-1")
def test_no_word_before_connect(mqtt):
    """Half a CONNECT, then the end of the stream: the server closes without DISCONNECT and without CONNACK."""
    peer = mqtt.open()
    peer.send(packets.connect(mqtt.version, mqtt.client_id())[:-3])
    peer.socket.shutdown(1)
    assert peer.expect_closed() == []


@statement(v5="MQTT-4.2-1", v311="MQTT-7.1.1-1")
def test_tcp_is_an_ordered_lossless_stream(mqtt):
    """Every packet a byte at a time, then many in one segment: it is the stream that counts, not its pieces."""
    peer = mqtt.open()
    for byte in packets.connect(mqtt.version, mqtt.client_id()):
        peer.send(bytes([byte]))
    assert peer.expect(CONNACK).code == 0
    peer.subscribe(mqtt.topic())
    for byte in packets.publish(mqtt.version, mqtt.topic(), b"one"):
        peer.send(bytes([byte]))
    peer.send(b"".join(packets.publish(mqtt.version, mqtt.topic(), b"%d" % index) for index in range(500)))
    assert [found.payload for found in peer.take_many(501)] == [b"one", *(b"%d" % index for index in range(500))]


@statement(v311="MQTT-7.0.0-2")
def test_no_extension_is_required(mqtt):
    """The plainest client there is: a client id and nothing else, QoS 0, and DISCONNECT."""
    peer = mqtt.client()
    peer.subscribe(mqtt.topic())
    peer.publish(mqtt.topic(), b"plain")
    assert peer.take().payload == b"plain"
    peer.disconnect()
