"""Ingest as it runs in the inference process: real logs, a real port, real threads; and clients of it."""

import asyncio
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.ingest.ingest import Ingest
from tests.unit.ingest.worlds import raw_event, stored_ids

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_DEADLINE = 120.0
_ROOT = Path(__file__).parents[3]


def wait(condition: Callable[[], Any], seconds: float = _DEADLINE) -> Any:
    """Ask until it holds: threads, brokers and processes have no clock that a test could turn."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} s")
        time.sleep(0.01)
    return found


def start_process(root: Path, policy: SyncPolicyDocument, broker: Path, *count: int) -> "subprocess.Popen[bytes]":
    """Start ingest in a process of its own, below a folder; see `ingest_process`."""
    policy_file = root / "policy.json"
    policy_file.write_text(policy.model_dump_json(by_alias=True))
    command = [sys.executable, "-m", "tests.integration.ingest.ingest_process"]
    arguments = [str(root / "inference"), str(policy_file), str(broker), *map(str, count)]
    return subprocess.Popen([*command, *arguments], cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Client:
    """Sends requests to an events port, over one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def post(self, stream: str, body: bytes, content_type: str | None = STRUCTURED, **headers: str):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            given["content-type"] = content_type
        self._connection.request("POST", f"/v1/streams/{stream}/events", body, given)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null"), dict(answer.getheaders())

    def batch(self, stream: str, ids, **more: Any):
        body = b"[" + b",".join(raw_event(each, **more) for each in ids) + b"]"
        return self.post(stream, body, BATCH)

    def close(self) -> None:
        self._connection.close()


class RunningIngest:
    """In a thread with a loop of its own."""

    def __init__(
        self, root: Path, policy: SyncPolicyDocument, broker: Path | None = None, node: str = "node-1"
    ) -> None:
        """Who may send events is in the folder `producers` below `root`."""
        self.policy = policy
        self.registry = CollectorRegistry()
        self.root = root
        (root / "log").mkdir(parents=True, exist_ok=True)
        self.logs = EventLogs(root / "log", Owner("site-a", node, "boot-1"))
        self._stop = threading.Event()
        self._node, self._broker = node, broker or root / "no-broker"
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self._started: Any = None
        self._thread.start()
        self.port = wait(lambda: self._started and self._started.port)
        self.client = Client(self.port)

    async def _serve(self) -> None:
        ingest = Ingest(
            "site-a",
            self._node,
            logs=self.logs,
            state=self.root,
            broker=self._broker,
            producers=self.root / "producers",
            devices=self.root / "devices",
            inbox=self.root / "withdrawals.json",
            policy=lambda: self.policy,
            registry=self.registry,
        )
        ingest.start("127.0.0.1", 0)
        self._started = ingest
        while not self._stop.is_set():  # noqa: ASYNC110 - the event is another thread's
            await asyncio.sleep(0.02)
        await ingest.stop(5)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def open(self, *streams: str) -> "RunningIngest":
        """Wait until streams take events."""
        for stream in streams:
            wait(lambda stream=stream: self.client.post(stream, b"[]", BATCH)[0] == 200)
        return self

    def ids(self, stream: str) -> list[str]:
        return stored_ids(self.logs, stream)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def devices(self) -> list[float]:
        """How many devices are known, by version of the registry."""
        (found,) = (each for each in self.registry.collect() if each.name == "skerry_devices")
        return [sample.value for sample in found.samples]

    def close(self) -> None:
        self.client.close()
        self._stop.set()
        self._thread.join(20)
        self.logs.close()
