"""A real broker, and somebody who publishes through it."""

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.integration.ports import free_port

_READY = " running\n"  # what it says when it listens


class Mosquitto:
    """Keeps sessions over a restart, as a broker should be set up; its port stays the same."""

    def __init__(
        self,
        folder: Path,
        *,
        options: tuple[str, ...] = (),
        anonymous: bool = True,
        address: str = "127.0.0.1",
        port: int = 0,
        popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
    ) -> None:
        """`popen` starts it where `address` is."""
        folder.mkdir(parents=True)
        self.port = port or free_port()
        self._popen = popen
        self._config = folder / "mosquitto.conf"
        self._log = folder / "log"
        lines = [
            f"listener {self.port} {address}",
            f"allow_anonymous {str(anonymous).lower()}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "log_dest stderr",
            "log_type all",
            *(("user root",) if os.geteuid() == 0 else ()),
            *options,
        ]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> "Mosquitto":
        self._log.touch()
        begun = self.log.count(_READY)
        with self._log.open("ab") as log:
            self._process = self._popen(["mosquitto", "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while self.log.count(_READY) == begun:
            assert self._process.poll() is None, self.log[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """As an upgrade stops it: sessions and messages are saved."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None


def describe(folder: Path, broker: Mosquitto, scheme: str = "mqtt", **files: bytes) -> Path:
    """The folder by which ingest finds the broker."""
    folder.mkdir(exist_ok=True)
    (folder / "url").write_text(f"{scheme}://localhost:{broker.port}\n")
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


class Publisher:
    """Publishes with QoS 1, and waits until the broker has it."""

    def __init__(
        self, broker: Mosquitto, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
    ) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        if tls is not None:
            self._client.tls_set_context(tls)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.connect("localhost", broker.port)
        self._client.loop_start()

    def publish(self, topic: str, *payloads: bytes, qos: int = 1, content_type: str = "", **user: str) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if content_type:
            properties.ContentType = content_type
        if user:
            properties.UserProperty = list(user.items())
        sent = [self._client.publish(topic, payload, qos, properties=properties) for payload in payloads]
        for each in sent:
            each.wait_for_publish(30)
            assert each.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
