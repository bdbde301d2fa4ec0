"""The doors of one broker: TLS, WebSocket, both, HTTP, pre-shared keys, a Unix socket; and how clients go through each."""

import dataclasses
import pathlib

from broker_process import Broker, free_port

PSK = ("device1", "00112233445566778899aabbccddeeff")


@dataclasses.dataclass
class Door:
    """What paho_peer, node_peer and programs need to know to go through."""

    name: str
    port: int
    transport: str = "tcp"
    tls: dict | None = None
    host: str = "localhost"
    options: dict = dataclasses.field(default_factory=dict)  # of MQTT.js

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


class Doors:
    """Starts a broker with a listener of every kind. `doors` by name."""

    def __init__(self, directory, authority, threads, **more):
        directory = pathlib.Path(directory)
        self.authority = authority
        self.broker_files = authority.sign("broker")
        self.client_files = authority.sign("client")
        self.folder = directory / "site"
        self.folder.mkdir(parents=True)
        psk_file = directory / "psk"
        psk_file.write_text(":".join(PSK) + "\n")
        # The path of a Unix socket is short.
        self.unix = directory / "s"
        certificate, key = self.broker_files
        served = {"certificate": certificate, "key": key}
        proved = {**served, "client_certificates": "required", "ca_file": authority.file, "allow_anonymous": False}
        kinds = {
            "tls": ("tls", served),
            "certificate": ("tls", proved),
            "psk": ("tls", {"psk_file": psk_file, "allow_anonymous": False}),
            "ws": ("ws", {}),
            "pages": ("ws", {"origins": ["https://chat.example"]}),
            "wss": ("wss", served),
            "http": ("http", {"static": self.folder}),
            "https": ("https", {**served, "static": self.folder}),
        }
        self.doors = {}
        listeners = [{"address": f"unix://{self.unix}"}]
        for name, (scheme, keys) in kinds.items():
            door = Door(name, free_port(), "websockets" if scheme[0] in "wh" else "tcp")
            protocol = {"tls": "mqtts", "ws": "ws", "http": "ws"}.get(scheme, "wss")
            door.options = {"protocol": protocol}
            if door.transport == "websockets":
                door.options["path"] = "/mqtt"
            if "certificate" in keys:
                door.tls = {"ca_certs": str(authority.file)}
                door.options["ca"] = authority.file.read_text()
            if name == "certificate":
                shown, shown_key = self.client_files
                door.tls |= {"certfile": str(shown), "keyfile": str(shown_key)}
                door.options |= {"cert": shown.read_text(), "key": shown_key.read_text()}
            self.doors[name] = door
            listeners.append({"address": f"{scheme}://127.0.0.1:{door.port}", **keys})
        self.broker = Broker(directory, threads, listeners=listeners, **more)
        self.doors["tcp"] = Door("tcp", self.broker.port)

    def start(self):
        self.broker.start()
        return self

    def __getitem__(self, name):
        return self.doors[name]
