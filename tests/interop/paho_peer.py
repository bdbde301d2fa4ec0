"""The paho client, made to wait with deadlines."""

import contextlib
import os
import queue
import socket
import threading

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from raw_peer import properties

TIMEOUT_S = 15.0
V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5


class PahoPeer:
    """One paho client with its thread. Usable as a context; leaving it disconnects normally."""

    def __init__(self, broker, client_id="", version=V5, clean=True, will=None, manual_ack=False, keep_alive=60, **connect):
        more = {} if version == V5 else {"clean_session": clean}
        self.version, self.broker, self.clean, self.keep_alive = version, broker, clean, keep_alive
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
            transport=getattr(broker, "transport", "tcp"),
            **more,
        )
        if tls := getattr(broker, "tls", None):
            self.client.tls_set(**tls)
        self.connect_properties = properties(PacketTypes.CONNECT, **connect) if version == V5 else None
        if will:
            self.client.will_set(**will)
        self.messages = queue.Queue()
        self.acknowledged = queue.Queue()
        self.unsubscribed = queue.Queue()
        self.connected = queue.Queue()
        self.ended = threading.Event()
        self.end_reason = None
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_connect = lambda _c, _d, flags, code, props: self.connected.put((flags, code, props))
        self.client.on_subscribe = lambda _c, _d, _mid, codes, _props: self.acknowledged.put(codes)
        self.client.on_unsubscribe = lambda _c, _d, _mid, codes, _props: self.unsubscribed.put(codes)
        self.client.on_disconnect = self._on_disconnect

    def _on_disconnect(self, _client, _data, _flags, reason, _props):
        self.end_reason = reason
        self.ended.set()

    def __enter__(self):
        return self.connect()

    def __exit__(self, *_):
        self.leave()

    def connect(self):
        more = {"clean_start": self.clean, "properties": self.connect_properties} if self.version == V5 else {}
        self.client.connect(self.broker.host, self.broker.port, keepalive=self.keep_alive, **more)
        self.client.loop_start()
        flags, code, self.connack = self.connected.get(timeout=TIMEOUT_S)
        assert not code.is_failure, f"refused: {code}"
        self.session_present = flags.session_present
        return self

    def leave(self, **disconnect):
        """A normal DISCONNECT, with v5 properties or a reason if given. Then the broker has read it: over TCP that is waited for."""
        link = self.client.socket()
        seen = socket.socket(fileno=os.dup(link.fileno())) if link and not hasattr(self.broker, "transport") else None
        if disconnect:
            self.client.disconnect(**disconnect)
        else:
            self.client.disconnect()
        self.client.loop_stop()
        if seen:
            # Paho has closed its socket; the connection ends when the broker closes it.
            with seen, contextlib.suppress(ConnectionError):
                seen.settimeout(TIMEOUT_S)
                while seen.recv(65536):
                    pass

    def drop(self):
        """Ends the connection without a DISCONNECT, as a lost network does."""
        link = self.client.socket()
        link.shutdown(2)
        self.client.loop_stop()

    def subscribe(self, name, qos=0, identifier=None, **options):
        if self.version == V5:
            props = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier) if identifier else None
            self.client.subscribe(name, options=SubscribeOptions(qos=qos, **options), properties=props)
        else:
            self.client.subscribe(name, qos=qos)
        codes = self.acknowledged.get(timeout=TIMEOUT_S)
        assert not any(code.is_failure for code in codes), f"SUBACK with {codes}"
        return [code.value for code in codes]

    def unsubscribe(self, name):
        self.client.unsubscribe(name)
        return self.unsubscribed.get(timeout=TIMEOUT_S)

    def publish(self, topic, payload=b"", qos=0, retain=False, **values):
        """Returns once the message is sent (QoS 0) or its handshake is complete (QoS 1 and 2)."""
        props = properties(PacketTypes.PUBLISH, **values) if values else None
        info = self.client.publish(topic, payload, qos=qos, retain=retain, properties=props)
        info.wait_for_publish(timeout=TIMEOUT_S)
        assert info.is_published(), f"no acknowledgement of a QoS {qos} publish"

    def publish_all(self, topic, payloads, qos):
        """Publishes without waiting between messages, then waits for the last acknowledgement."""
        infos = [self.client.publish(topic, payload, qos=qos) for payload in payloads]
        for info in infos:
            info.wait_for_publish(timeout=TIMEOUT_S)
            assert info.is_published()

    def take(self, count=1, timeout_s=TIMEOUT_S):
        taken = []
        for _ in range(count):
            try:
                taken.append(self.messages.get(timeout=timeout_s))
            except queue.Empty:
                got = [message.payload[:40] for message in taken]
                raise AssertionError(f"{len(taken)} of {count} messages arrived: {got[:20]}") from None
        return taken

    def take_one(self, timeout_s=TIMEOUT_S):
        return self.take(1, timeout_s)[0]

    def payloads(self, count, timeout_s=TIMEOUT_S):
        return [message.payload for message in self.take(count, timeout_s)]


def until_fence(publisher, subscriber, fence, qos=0):
    """What `subscriber` (who subscribes to topic `fence`) gets of all that `publisher` sent before this call.

    One publisher's messages of one QoS arrive in order, so what has not come before the fence does not come.
    """
    publisher.publish(fence, b"fence", qos=qos)
    taken = []
    while (message := subscriber.take_one()).topic != fence:
        taken.append(message)
    return taken
