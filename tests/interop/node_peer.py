"""MQTT.js clients, driven through mqttjs_driver.mjs."""

import itertools
import json
import pathlib
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent

ANSWER_S = 25.0


class Refused(Exception):
    """What MQTT.js reported as an error."""


class Node:
    """A process that holds any number of MQTT.js clients. To start one takes longer than most tests: they share it."""

    def __init__(self):
        assert (HERE / "node_modules" / "mqtt").is_dir(), "MQTT.js is not installed: npm ci --prefix tests/interop"
        self.process = subprocess.Popen(
            ["node", str(HERE / "mqttjs_driver.mjs")], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def alive(self):
        return self.process.poll() is None

    def call(self, op, client, **more):
        watchdog = threading.Timer(ANSWER_S, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(json.dumps({"op": op, "client": client, **more}) + "\n")
            self.process.stdin.flush()
            row = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        assert row, f"the node process gave no answer to {op} within {ANSWER_S:g} s"
        answer = json.loads(row)
        if "error" in answer:
            raise Refused(f"{op} of {client}: {answer['error']}")
        return answer["ok"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class NodeDriver:
    """The clients of one test in a node process. `broker` is a broker or a door."""

    numbers = itertools.count(1)

    def __init__(self, node, broker):
        self.node, self.broker = node, broker
        self.prefix = f"{next(self.numbers)}/"

    def call(self, op, client, **more):
        return self.node.call(op, self.prefix + client, **more)

    def peer(self, client, version=5, **options):
        """Connects a client; options as MQTT.js names them."""
        return NodePeer(self, client, {"protocolVersion": version, "clientId": client, **options})

    def close(self):
        """Ends the connections of its clients, as a lost network does."""
        if self.node.alive():
            self.call("forget", "")


class NodePeer:
    def __init__(self, driver, client, options):
        if options["protocolVersion"] == 3:
            options["protocolId"] = "MQIsdp"
        self.driver, self.client = driver, client
        self.connack = driver.call(
            "connect", client, host=driver.broker.host, port=driver.broker.port, options=options
        )

    def subscribe(self, name, qos=0, **options):
        return self.driver.call("subscribe", self.client, filter=name, options={"qos": qos, **options})

    def unsubscribe(self, name):
        self.driver.call("unsubscribe", self.client, filter=name)

    def publish(self, topic, payload="", size=None, **options):
        more = {} if size is None else {"size": size}
        self.driver.call("publish", self.client, topic=topic, payload=payload, options=options, **more)

    def publish_many(self, topic, count, **options):
        self.driver.call("publishMany", self.client, topic=topic, count=count, options=options)

    def take(self, count=1):
        return self.driver.call("take", self.client, count=count)

    def leave(self):
        self.driver.call("leave", self.client)

    def drop(self):
        self.driver.call("drop", self.client)

    def wait_closed(self):
        return self.driver.call("waitClosed", self.client)
